//! Numbers that wait in a scratch file while other work needs their memory.

use crate::run::scratch_file;
use crate::{Context, Error, Result};
use bytemuck::Pod;
use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;

/// Bytes that are written or read between two looks at a cancellation.
const PIECE: usize = 64 << 20;

/// A vector in a scratch file without a name, which is gone with this value.
pub struct Aside<T> {
    file: File,
    len: usize,
    what: &'static str,
    numbers: PhantomData<T>,
}

impl<T: Pod> Aside<T> {
    /// Writes `numbers` to the context's scratch folder. `what` says what they are, in errors.
    ///
    /// ```
    /// use cellmill_engine::{Context, keep::Aside};
    ///
    /// let ctx = Context::quiet(1)?;
    /// let scores = Aside::write(&ctx, &[1.0f32, 2.0], "scores")?;
    /// assert_eq!(scores.read(&ctx)?, [1.0, 2.0]);
    /// # Ok::<(), cellmill_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] with the folder when it is full or cannot be written to;
    /// [`Error::Cancelled`].
    pub fn write(ctx: &Context, numbers: &[T], what: &'static str) -> Result<Self> {
        let file = scratch_file(ctx.scratch())?;
        let bytes: &[u8] = bytemuck::cast_slice(numbers);
        for (at, piece) in bytes.chunks(PIECE).enumerate() {
            ctx.cancel().check()?;
            file.write_all_at(piece, (at * PIECE) as u64)
                .map_err(|source| Error::Io {
                    what: format!(
                        "setting {} of {what} aside in {} (free space there, raise the memory budget, or choose another scratch folder)",
                        crate::error::human_bytes(bytes.len() as u64),
                        ctx.scratch().display()
                    ),
                    source,
                })?;
        }
        Ok(Self {
            file,
            len: numbers.len(),
            what,
            numbers: PhantomData,
        })
    }

    /// The numbers, bit by bit as they were. The caller reserves their memory.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Cancelled`].
    pub fn read(&self, ctx: &Context) -> Result<Vec<T>> {
        let mut numbers = vec![T::zeroed(); self.len];
        self.read_part(ctx, 0, &mut numbers)?;
        Ok(numbers)
    }

    /// Fills `to` with the numbers from the one at `first` on.
    ///
    /// # Errors
    /// [`Error::Io`], also where there are not as many; [`Error::Cancelled`].
    pub fn read_part(&self, ctx: &Context, first: usize, to: &mut [T]) -> Result<()> {
        let mut at = (first * size_of::<T>()) as u64;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(to);
        for piece in bytes.chunks_mut(PIECE) {
            ctx.cancel().check()?;
            self.file
                .read_exact_at(piece, at)
                .map_err(|source| Error::Io {
                    what: format!(
                        "reading {} back from {}",
                        self.what,
                        ctx.scratch().display()
                    ),
                    source,
                })?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        let ctx = Context::quiet(1).unwrap();
        let weights = [1.5f32, f32::NAN, -0.0];
        let aside = Aside::write(&ctx, &weights, "weights").unwrap();
        let back: [f32; 3] = aside.read(&ctx).unwrap().try_into().unwrap();
        assert_eq!(back.map(f32::to_bits), weights.map(f32::to_bits));
        assert_eq!((aside.len(), aside.is_empty()), (3, false));
        let none = Aside::write(&ctx, &[0u64; 0], "nothing").unwrap();
        assert!(none.read(&ctx).unwrap().is_empty());
    }

    #[test]
    fn more_than_a_piece_comes_back() {
        let ctx = Context::quiet(1).unwrap();
        let many: Vec<u64> = (0..(PIECE as u64 / 8 * 2 + 5)).collect();
        let aside = Aside::write(&ctx, &many, "many").unwrap();
        assert!(aside.read(&ctx).unwrap() == many);
        let mut part = [0; 3];
        aside.read_part(&ctx, 7, &mut part).unwrap();
        assert_eq!(part, [7, 8, 9]);
        assert!(aside.read_part(&ctx, many.len() - 2, &mut part).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let ctx = Context::new(
            1,
            crate::Budget::unlimited(),
            std::sync::Arc::new(()),
            "/no/such/folder".into(),
        )
        .unwrap();
        let error = Aside::write(&ctx, &[1u32], "x").err().unwrap().to_string();
        assert!(error.contains("/no/such/folder"), "{error}");
    }
}
