//! The reductions of a plan, run as one.

use super::ReduceSpec;
use crate::op::Pipeline;
use crate::reduce::{
    CellTotals, CountCheck, CountReport, GeneMoments, Gram, GramMatrix, GramState, Moments,
    MomentsState, Totals, Via, ViaState,
};
use crate::{Block, Error, Op, Reduce, Result};
use serde::{Deserialize, Serialize};

/// The reductions that a plan names, as one reduction whose output is a list in their order.
#[derive(Debug, Clone)]
pub struct Planned {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    CellTotals(Via<CellTotals>),
    CountCheck(Via<CountCheck>),
    GeneMoments(Via<GeneMoments>),
    Gram(Via<Gram>),
}

/// The state of one planned reduction.
#[derive(Serialize, Deserialize)]
#[allow(missing_docs, reason = "the variants are the reductions")]
pub enum PlannedState {
    CellTotals(ViaState<Totals>),
    CountCheck(ViaState<CountReport>),
    GeneMoments(ViaState<MomentsState>),
    Gram(ViaState<GramState>),
}

/// The result of one planned reduction.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are the reductions")]
pub enum PlannedOutput {
    CellTotals(Totals),
    CountCheck(CountReport),
    GeneMoments(Moments),
    Gram(GramMatrix),
}

impl Planned {
    /// Compiles `specs` for blocks of a source of `n_rows` x `n_cols` that went through `ops`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when an op does not fit.
    pub fn new(specs: &[ReduceSpec], ops: &[Op], n_rows: u64, n_cols: u32) -> Result<Self> {
        let width = Pipeline::new(ops, n_rows, n_cols)?.n_cols();
        let part = |spec: &ReduceSpec| {
            let before = Pipeline::new(spec.ops(), n_rows, width)?;
            let k = before.n_cols();
            Ok(match spec {
                ReduceSpec::CellTotals { .. } => Part::CellTotals(Via::new(before, CellTotals)),
                ReduceSpec::CountCheck { .. } => Part::CountCheck(Via::new(before, CountCheck)),
                ReduceSpec::GeneMoments { .. } => {
                    Part::GeneMoments(Via::new(before, GeneMoments::new(k)))
                }
                ReduceSpec::Gram { .. } => Part::Gram(Via::new(before, Gram::new(k))),
            })
        };
        Ok(Self {
            parts: specs.iter().map(part).collect::<Result<_>>()?,
        })
    }

    fn check(&self, states: &[PlannedState]) -> Result<()> {
        if states.len() == self.parts.len() {
            Ok(())
        } else {
            Err(mismatch())
        }
    }
}

fn mismatch() -> Error {
    Error::Wire {
        what: "state",
        reason: "it is of another plan".to_owned(),
    }
}

impl Reduce for Planned {
    type State = Vec<PlannedState>;
    type Output = Vec<PlannedOutput>;

    fn start(&self) -> Self::State {
        let start = |part: &Part| match part {
            Part::CellTotals(r) => PlannedState::CellTotals(r.start()),
            Part::CountCheck(r) => PlannedState::CountCheck(r.start()),
            Part::GeneMoments(r) => PlannedState::GeneMoments(r.start()),
            Part::Gram(r) => PlannedState::Gram(r.start()),
        };
        self.parts.iter().map(start).collect()
    }

    fn fold(&self, state: &mut Self::State, block: &Block) -> Result<()> {
        self.check(state)?;
        for pair in self.parts.iter().zip(state) {
            match pair {
                (Part::CellTotals(r), PlannedState::CellTotals(s)) => r.fold(s, block)?,
                (Part::CountCheck(r), PlannedState::CountCheck(s)) => r.fold(s, block)?,
                (Part::GeneMoments(r), PlannedState::GeneMoments(s)) => r.fold(s, block)?,
                (Part::Gram(r), PlannedState::Gram(s)) => r.fold(s, block)?,
                _ => return Err(mismatch()),
            }
        }
        Ok(())
    }

    fn close(&self, state: &mut Self::State) -> Result<()> {
        self.check(state)?;
        for pair in self.parts.iter().zip(state) {
            match pair {
                (Part::CellTotals(r), PlannedState::CellTotals(s)) => r.close(s)?,
                (Part::CountCheck(r), PlannedState::CountCheck(s)) => r.close(s)?,
                (Part::GeneMoments(r), PlannedState::GeneMoments(s)) => r.close(s)?,
                (Part::Gram(r), PlannedState::Gram(s)) => r.close(s)?,
                _ => return Err(mismatch()),
            }
        }
        Ok(())
    }

    fn merge(&self, left: Self::State, right: Self::State) -> Result<Self::State> {
        use PlannedState as S;
        self.check(&left)?;
        self.check(&right)?;
        let merge = |((part, left), right): ((&Part, S), S)| {
            Ok(match (part, left, right) {
                (Part::CellTotals(r), S::CellTotals(a), S::CellTotals(b)) => {
                    S::CellTotals(r.merge(a, b)?)
                }
                (Part::CountCheck(r), S::CountCheck(a), S::CountCheck(b)) => {
                    S::CountCheck(r.merge(a, b)?)
                }
                (Part::GeneMoments(r), S::GeneMoments(a), S::GeneMoments(b)) => {
                    S::GeneMoments(r.merge(a, b)?)
                }
                (Part::Gram(r), S::Gram(a), S::Gram(b)) => S::Gram(r.merge(a, b)?),
                _ => return Err(mismatch()),
            })
        };
        self.parts.iter().zip(left).zip(right).map(merge).collect()
    }

    fn finish(&self, state: Self::State) -> Result<Self::Output> {
        self.check(&state)?;
        let finish = |pair: (&Part, PlannedState)| {
            Ok(match pair {
                (Part::CellTotals(r), PlannedState::CellTotals(s)) => {
                    PlannedOutput::CellTotals(r.finish(s)?)
                }
                (Part::CountCheck(r), PlannedState::CountCheck(s)) => {
                    PlannedOutput::CountCheck(r.finish(s)?)
                }
                (Part::GeneMoments(r), PlannedState::GeneMoments(s)) => {
                    PlannedOutput::GeneMoments(r.finish(s)?)
                }
                (Part::Gram(r), PlannedState::Gram(s)) => PlannedOutput::Gram(r.finish(s)?),
                _ => return Err(mismatch()),
            })
        };
        self.parts.iter().zip(state).map(finish).collect()
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        let bytes = |part: &Part| match part {
            Part::CellTotals(r) => r.state_bytes(rows),
            Part::CountCheck(r) => r.state_bytes(rows),
            Part::GeneMoments(r) => r.state_bytes(rows),
            Part::Gram(r) => r.state_bytes(rows),
        };
        self.parts.iter().map(bytes).sum()
    }

    fn fold_bytes(&self) -> u64 {
        let bytes = |part: &Part| match part {
            Part::CellTotals(r) => r.fold_bytes(),
            Part::CountCheck(r) => r.fold_bytes(),
            Part::GeneMoments(r) => r.fold_bytes(),
            Part::Gram(r) => r.fold_bytes(),
        };
        self.parts.iter().map(bytes).sum()
    }
}
