//! The reduction: a mergeable summary of blocks.

mod cell_totals;
mod count_check;
mod counts;
mod gene_moments;
mod gene_range;
mod gram;
mod gram_times;
mod group_moments;
mod group_sums;
mod group_totals;
mod groups;
mod highly_expressed;
mod products;
mod quality;
mod tuple;
mod via;

pub use cell_totals::{CellTotals, Totals};
pub use count_check::{BadCount, CountCheck, CountReport};
pub use counts::Counts;
pub use gene_moments::{GeneMoments, Moments, MomentsState};
pub use gene_range::{GeneRange, GeneRangeState};
pub use gram::{Gram, GramMatrix, GramState};
pub use gram_times::{GramTimes, Times, TimesState};
pub use group_moments::{GroupMoments, GroupMomentsState};
pub use group_sums::{GroupSums, GroupSumsState, Residual, Term};
pub use group_totals::{GroupTotal, GroupTotals, GroupTotalsState};
pub use groups::Groups;
pub use highly_expressed::HighlyExpressed;
pub use products::{Products, ProductsState};
pub use quality::{Bounds, GeneTally, Metrics, Quality};
pub use via::{Via, ViaState};

use crate::{Block, Error, Result};
use serde::{Serialize, de::DeserializeOwned};

/// `start / fold / merge / finish`: a summary that can be computed span by span and merged.
///
/// Laws (`testing::reduce_laws` checks them): an empty block changes nothing; splitting rows
/// into blocks and spans anywhere changes the output only within the reduction's stated
/// tolerance; the same grid gives the same bits; `from_bytes(to_bytes(state))` is the state.
/// A tuple of reductions is a reduction, so several share one read.
pub trait Reduce: Send + Sync {
    /// The state of one span, or of several merged ones.
    type State: Send + Serialize + DeserializeOwned;
    /// The plain result.
    type Output;

    /// The state of no cell.
    fn start(&self) -> Self::State;

    /// Adds the cells of a block. Blocks of a span arrive in row order.
    ///
    /// # Errors
    /// When the data does not allow the summary (a negative count, say), with its address.
    fn fold(&self, state: &mut Self::State, block: &Block) -> Result<()>;

    /// Called once after the last block of a span, so that a state can put away what it held
    /// back to work on many blocks at once.
    ///
    /// # Errors
    /// As [`Reduce::fold`].
    fn close(&self, state: &mut Self::State) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Joins the states of two neighbouring runs of spans; `left` holds the earlier rows.
    ///
    /// # Errors
    /// When the states do not belong together.
    fn merge(&self, left: Self::State, right: Self::State) -> Result<Self::State>;

    /// The result of all cells.
    ///
    /// # Errors
    /// When the data as a whole does not allow the result.
    fn finish(&self, state: Self::State) -> Result<Self::Output>;

    /// Upper bound of the heap bytes of a state that has seen `rows` rows: a constant, plus a
    /// part that grows with the rows.
    fn state_bytes(&self, rows: u64) -> u64;

    /// Upper bound of the heap bytes that a state holds on top of that until it is closed.
    fn fold_bytes(&self) -> u64 {
        0
    }

    /// A state in its wire form.
    ///
    /// # Errors
    /// When it cannot be serialised.
    fn to_bytes(&self, state: &Self::State) -> Result<Vec<u8>> {
        postcard::to_stdvec(state).map_err(|e| Error::Wire {
            what: "state",
            reason: e.to_string(),
        })
    }

    /// A state from its wire form.
    ///
    /// # Errors
    /// When the bytes are not such a state.
    #[allow(
        clippy::wrong_self_convention,
        reason = "the reduction knows its state's type"
    )]
    fn from_bytes(&self, bytes: &[u8]) -> Result<Self::State> {
        postcard::from_bytes(bytes).map_err(|e| Error::Wire {
            what: "state",
            reason: e.to_string(),
        })
    }
}
