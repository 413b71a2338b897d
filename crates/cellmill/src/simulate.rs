//! A realistic synthetic atlas, streamed.
