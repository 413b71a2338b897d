//! The op: a lazy step on one block, printable data.
