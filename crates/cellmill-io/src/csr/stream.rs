//! A gzip chunk that is too large to be inflated at once.

use crate::error::{Error, Result};
use flate2::{Decompress, FlushDecompress, Status};

/// Compressed bytes that are read at once.
const PIECE: u64 = 1 << 20;

/// Inflates a zlib stream in the file from its start, piece by piece.
pub(crate) struct Stream {
    inflater: Decompress,
    /// Where the next compressed bytes are, and how many are left.
    next: u64,
    left: u64,
    input: Vec<u8>,
    used: usize,
}

impl Stream {
    pub(crate) fn new(address: u64, size: u64) -> Self {
        Self {
            inflater: Decompress::new(true),
            next: address,
            left: size,
            input: Vec::new(),
            used: 0,
        }
    }

    /// Bytes handed out so far.
    pub(crate) fn position(&self) -> u64 {
        self.inflater.total_out()
    }

    /// Fills `out`. `fetch` reads bytes of the file; `broken` makes the error of a stream that
    /// does not hold what it should.
    pub(crate) fn read_exact(
        &mut self,
        out: &mut [u8],
        fetch: &mut impl FnMut(&mut [u8], u64) -> Result<()>,
        broken: &impl Fn(&str) -> Error,
    ) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            if self.used == self.input.len() && self.left > 0 {
                let n = self.left.min(PIECE);
                self.input.resize(n as usize, 0);
                fetch(&mut self.input, self.next)?;
                self.next += n;
                self.left -= n;
                self.used = 0;
            }
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(
                    &self.input[self.used..],
                    &mut out[done..],
                    FlushDecompress::None,
                )
                .map_err(|_| broken("its gzip stream is damaged"))?;
            let took = (self.inflater.total_in() - before_in) as usize;
            let gave = (self.inflater.total_out() - before_out) as usize;
            self.used += took;
            done += gave;
            let stuck = took == 0 && gave == 0 && self.left == 0;
            if done < out.len() && (status == Status::StreamEnd || stuck) {
                return Err(broken("its gzip stream ends too early"));
            }
        }
        Ok(())
    }
}
