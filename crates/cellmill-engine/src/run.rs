//! The executor. Only this module owns threads; others borrow its pool and its cancel flag.

mod abandon;
mod budget;
mod context;
mod observe;
mod scratch;
mod span;
mod stage;
mod tree;

pub use abandon::abandonable;
pub use budget::{Budget, Reservation};
pub use context::{Cancel, Context};
pub use observe::{Event, Observer};
pub use scratch::scratch_file;
pub use span::{finish, keep_span, merge, merge_states, run_span, run_spans, span_state};
pub(crate) use stage::run_pass;
pub use stage::{run_stage, smallest_stage};
pub use tree::{Join, merge_tree};
