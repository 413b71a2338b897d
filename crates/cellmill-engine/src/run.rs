//! The executor. Only this module owns threads; others borrow its pool and its cancel flag.

mod budget;
mod context;
mod observe;

pub use budget::{Budget, Reservation};
pub use context::{Cancel, Context};
pub use observe::{Event, Observer};
