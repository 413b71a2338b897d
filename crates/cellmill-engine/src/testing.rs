//! Suites of laws: every source, op, reduction and sink passes the suite of its trait.
//!
//! For tests only: the suites panic with a sentence where a law is broken.

mod matrix;
mod op_laws;
mod reduce_laws;
mod sink_laws;
mod source_laws;

pub use matrix::{Matrix, check_block, random_counts};
pub use op_laws::op_laws;
pub use reduce_laws::reduce_laws;
pub use sink_laws::sink_laws;
pub use source_laws::source_laws;
