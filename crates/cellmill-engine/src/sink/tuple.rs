//! Several sinks that share one read, and a sink that is borrowed.

use crate::{Block, Result, Sink};

impl<S: Sink> Sink for &S {
    type Part = S::Part;

    fn start(&self, span: usize) -> S::Part {
        (**self).start(span)
    }

    fn push(&self, part: &mut S::Part, block: &Block) -> Result<()> {
        (**self).push(part, block)
    }

    fn accept(&self, part: S::Part) -> Result<()> {
        (**self).accept(part)
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        (**self).part_bytes(span_entries, span_rows)
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Sink),+> Sink for ($($name,)+) {
            type Part = ($($name::Part,)+);

            fn start(&self, span: usize) -> Self::Part {
                ($(self.$index.start(span),)+)
            }

            fn push(&self, part: &mut Self::Part, block: &Block) -> Result<()> {
                $(self.$index.push(&mut part.$index, block)?;)+
                Ok(())
            }

            fn accept(&self, part: Self::Part) -> Result<()> {
                $(self.$index.accept(part.$index)?;)+
                Ok(())
            }

            fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
                0 $(+ self.$index.part_bytes(span_entries, span_rows))+
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
