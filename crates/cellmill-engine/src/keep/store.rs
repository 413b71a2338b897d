//! Where the entries of a span lie: in memory, or in a scratch file.

use super::part::{Indices, Numbers};
use crate::run::{Budget, Reservation, scratch_file};
use crate::{Block, Error, Result, Values};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The entries of one span.
pub(super) enum Bulk {
    Memory {
        indices: Indices,
        numbers: Numbers,
        _held: Reservation,
    },
    Scratch {
        indices_at: u64,
        numbers_at: u64,
        narrow: bool,
        wide: bool,
    },
}

/// The memory and the scratch file that all spans share. Only one thread puts at a time.
pub(super) struct Store {
    budget: Budget,
    folder: PathBuf,
    memory_limit: u64,
    memory_used: AtomicU64,
    file: OnceLock<File>,
    file_end: AtomicU64,
}

impl Store {
    pub(super) fn new(budget: Budget, folder: PathBuf, memory_limit: u64) -> Self {
        Self {
            budget,
            folder,
            memory_limit,
            memory_used: AtomicU64::new(0),
            file: OnceLock::new(),
            file_end: AtomicU64::new(0),
        }
    }

    pub(super) fn memory_used(&self) -> u64 {
        self.memory_used.load(Ordering::Relaxed)
    }

    pub(super) fn scratch_used(&self) -> u64 {
        self.file_end.load(Ordering::Relaxed)
    }

    /// Reserves memory for what always stays there.
    pub(super) fn hold(&self, bytes: u64) -> Result<Reservation> {
        self.budget
            .reserve(bytes, "the row lengths of the kept columns")
    }

    /// Stores the entries of a span: in memory, until a span does not fit for the first time.
    pub(super) fn put(&self, mut indices: Indices, mut numbers: Numbers) -> Result<Bulk> {
        let bytes = (index_bytes(&indices).len() + number_bytes(&numbers).len()) as u64;
        if self.file.get().is_none()
            && self.memory_used() + bytes <= self.memory_limit
            && let Some(held) = self.budget.try_reserve(bytes)
        {
            match &mut indices {
                Indices::U16(v) => v.shrink_to_fit(),
                Indices::U32(v) => v.shrink_to_fit(),
            }
            match &mut numbers {
                Numbers::F32(v) => v.shrink_to_fit(),
                Numbers::F64(v) => v.shrink_to_fit(),
            }
            self.memory_used.fetch_add(bytes, Ordering::Relaxed);
            return Ok(Bulk::Memory {
                indices,
                numbers,
                _held: held,
            });
        }
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = scratch_file(&self.folder)?;
                self.file.get_or_init(|| file)
            }
        };
        let indices_at = self.write(file, index_bytes(&indices))?;
        let numbers_at = self.write(file, number_bytes(&numbers))?;
        Ok(Bulk::Scratch {
            indices_at,
            numbers_at,
            narrow: matches!(indices, Indices::U16(_)),
            wide: matches!(numbers, Numbers::F64(_)),
        })
    }

    fn write(&self, file: &File, bytes: &[u8]) -> Result<u64> {
        let at = self
            .file_end
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        file.write_all_at(bytes, at).map_err(|source| Error::Io {
            what: format!(
                "writing {} of kept columns after {} to a scratch file in {} (free space there, raise the memory budget, or choose another scratch folder)",
                crate::error::human_bytes(bytes.len() as u64),
                crate::error::human_bytes(at),
                self.folder.display()
            ),
            source,
        })?;
        Ok(at)
    }

    /// Fills the entries of `block` and returns the bytes read from the scratch file.
    pub(super) fn get(
        &self,
        bulk: &Bulk,
        entries: Range<usize>,
        block: &mut Block,
        narrow_buffer: &mut Vec<u16>,
    ) -> Result<u64> {
        match bulk {
            Bulk::Memory {
                indices, numbers, ..
            } => {
                match indices {
                    Indices::U16(v) => block
                        .indices
                        .extend(v[entries.clone()].iter().map(|&c| u32::from(c))),
                    Indices::U32(v) => block.indices.extend_from_slice(&v[entries.clone()]),
                }
                match numbers {
                    Numbers::F32(v) => f32_values(&mut block.values).extend_from_slice(&v[entries]),
                    Numbers::F64(v) => f64_values(&mut block.values).extend_from_slice(&v[entries]),
                }
                Ok(0)
            }
            &Bulk::Scratch {
                indices_at,
                numbers_at,
                narrow,
                wide,
            } => {
                let n = entries.len();
                let first = entries.start as u64;
                if narrow {
                    narrow_buffer.resize(n, 0);
                    self.read(
                        bytemuck::cast_slice_mut(narrow_buffer),
                        indices_at + first * 2,
                    )?;
                    block
                        .indices
                        .extend(narrow_buffer.iter().map(|&c| u32::from(c)));
                } else {
                    block.indices.resize(n, 0);
                    self.read(
                        bytemuck::cast_slice_mut(&mut block.indices),
                        indices_at + first * 4,
                    )?;
                }
                if wide {
                    let values = f64_values(&mut block.values);
                    values.resize(n, 0.0);
                    self.read(bytemuck::cast_slice_mut(values), numbers_at + first * 8)?;
                } else {
                    let values = f32_values(&mut block.values);
                    values.resize(n, 0.0);
                    self.read(bytemuck::cast_slice_mut(values), numbers_at + first * 4)?;
                }
                Ok((n * (if narrow { 2 } else { 4 } + if wide { 8 } else { 4 })) as u64)
            }
        }
    }

    fn read(&self, to: &mut [u8], at: u64) -> Result<()> {
        let file = self
            .file
            .get()
            .ok_or_else(|| Error::Bug("the scratch file of kept columns is not open".to_owned()))?;
        file.read_exact_at(to, at).map_err(|source| Error::Io {
            what: format!(
                "reading kept columns from the scratch file in {}",
                self.folder.display()
            ),
            source,
        })
    }
}

fn index_bytes(indices: &Indices) -> &[u8] {
    match indices {
        Indices::U16(v) => bytemuck::cast_slice(v),
        Indices::U32(v) => bytemuck::cast_slice(v),
    }
}

fn number_bytes(numbers: &Numbers) -> &[u8] {
    match numbers {
        Numbers::F32(v) => bytemuck::cast_slice(v),
        Numbers::F64(v) => bytemuck::cast_slice(v),
    }
}

/// The values of a block as an empty f32 vector, in its own memory where it can.
fn f32_values(values: &mut Values) -> &mut Vec<f32> {
    if !matches!(values, Values::F32(_)) {
        *values = Values::F32(Vec::new());
    }
    match values {
        Values::F32(v) => {
            v.clear();
            v
        }
        Values::F64(_) => unreachable!("replaced above"),
    }
}

fn f64_values(values: &mut Values) -> &mut Vec<f64> {
    if !matches!(values, Values::F64(_)) {
        *values = Values::F64(Vec::new());
    }
    match values {
        Values::F64(v) => {
            v.clear();
            v
        }
        Values::F32(_) => unreachable!("replaced above"),
    }
}
