//! Several reductions that share one read; none at all; one that may be; and a reduction that is borrowed.

use crate::{Block, Error, Reduce, Result};

impl Reduce for () {
    type State = ();
    type Output = ();

    fn start(&self) {}

    fn fold(&self, _state: &mut (), _block: &Block) -> Result<()> {
        Ok(())
    }

    fn merge(&self, _left: (), _right: ()) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _state: ()) -> Result<()> {
        Ok(())
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        0
    }
}

impl<R: Reduce> Reduce for &R {
    type State = R::State;
    type Output = R::Output;

    fn start(&self) -> R::State {
        (**self).start()
    }

    fn fold(&self, state: &mut R::State, block: &Block) -> Result<()> {
        (**self).fold(state, block)
    }

    fn close(&self, state: &mut R::State) -> Result<()> {
        (**self).close(state)
    }

    fn merge(&self, left: R::State, right: R::State) -> Result<R::State> {
        (**self).merge(left, right)
    }

    fn finish(&self, state: R::State) -> Result<R::Output> {
        (**self).finish(state)
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        (**self).state_bytes(rows)
    }

    fn fold_bytes(&self) -> u64 {
        (**self).fold_bytes()
    }

    fn to_bytes(&self, state: &R::State) -> Result<Vec<u8>> {
        (**self).to_bytes(state)
    }

    fn from_bytes(&self, bytes: &[u8]) -> Result<R::State> {
        (**self).from_bytes(bytes)
    }
}

/// A reduction that is there or not.
impl<R: Reduce> Reduce for Option<R> {
    type State = Option<R::State>;
    type Output = Option<R::Output>;

    fn start(&self) -> Self::State {
        self.as_ref().map(R::start)
    }

    fn fold(&self, state: &mut Self::State, block: &Block) -> Result<()> {
        match (self, state) {
            (Some(reduce), Some(state)) => reduce.fold(state, block),
            _ => Ok(()),
        }
    }

    fn close(&self, state: &mut Self::State) -> Result<()> {
        match (self, state) {
            (Some(reduce), Some(state)) => reduce.close(state),
            _ => Ok(()),
        }
    }

    fn merge(&self, left: Self::State, right: Self::State) -> Result<Self::State> {
        match (self, left, right) {
            (Some(reduce), Some(left), Some(right)) => reduce.merge(left, right).map(Some),
            (None, None, None) => Ok(None),
            _ => Err(strange()),
        }
    }

    fn finish(&self, state: Self::State) -> Result<Self::Output> {
        match (self, state) {
            (Some(reduce), Some(state)) => reduce.finish(state).map(Some),
            (None, None) => Ok(None),
            _ => Err(strange()),
        }
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        self.as_ref().map_or(0, |reduce| reduce.state_bytes(rows))
    }

    fn fold_bytes(&self) -> u64 {
        self.as_ref().map_or(0, R::fold_bytes)
    }
}

fn strange() -> Error {
    Error::Wire {
        what: "state",
        reason: "it is of another set of reductions".to_owned(),
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Reduce),+> Reduce for ($($name,)+) {
            type State = ($($name::State,)+);
            type Output = ($($name::Output,)+);

            fn start(&self) -> Self::State {
                ($(self.$index.start(),)+)
            }

            fn fold(&self, state: &mut Self::State, block: &Block) -> Result<()> {
                $(self.$index.fold(&mut state.$index, block)?;)+
                Ok(())
            }

            fn close(&self, state: &mut Self::State) -> Result<()> {
                $(self.$index.close(&mut state.$index)?;)+
                Ok(())
            }

            fn merge(&self, left: Self::State, right: Self::State) -> Result<Self::State> {
                Ok(($(self.$index.merge(left.$index, right.$index)?,)+))
            }

            fn finish(&self, state: Self::State) -> Result<Self::Output> {
                Ok(($(self.$index.finish(state.$index)?,)+))
            }

            fn state_bytes(&self, rows: u64) -> u64 {
                0 $(+ self.$index.state_bytes(rows))+
            }

            fn fold_bytes(&self) -> u64 {
                0 $(+ self.$index.fold_bytes())+
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
