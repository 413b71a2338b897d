//! Reading and writing files as a user of the crate does it.

#![allow(
    clippy::single_range_in_vec_init,
    reason = "a list of ranges of blocks, here of one"
)]

mod copy;
mod csc;
mod damage;
mod dense;
mod elements;
mod make;
mod real;
mod source;
mod writer;
