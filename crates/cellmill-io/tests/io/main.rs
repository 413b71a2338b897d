//! Reading and writing files as a user of the crate does it.

mod damage;
mod elements;
mod make;
mod real;
mod source;
mod writer;
