//! Copying elements from another file: stored chunks where their bytes mean the same, values
//! elsewhere, and what only old anndata understood in its present form.

use super::{CsrSinkOptions, H5adWriter, SinkDtype, elements};
use crate::anndata::H5ad;
use crate::elem::Elem;
use crate::elem_read::{self, dataframe, join};
use crate::error::{Error, Result};
use crate::open::Opened;
use crate::store::hdf5::transfer::{self, Original, Side};
use crate::store::hdf5::{Dtype, Fault, Kind, Object, create};
use std::os::unix::fs::FileExt;

/// Groups within groups beyond this depth are taken for a loop.
const DEPTH: usize = 64;
/// Where files of anndata before 0.7 have compound datasets in place of groups.
const COMPOUND: [&str; 8] = [
    "obs", "var", "obsm", "varm", "raw.var", "raw.varm", "raw/var", "raw/varm",
];

/// Writes an element of a file that is no h5ad anew: a matrix as CSR, block by block.
pub(super) fn anew(out: &mut H5adWriter, source: &H5ad, from: &str, to: &str) -> Result<()> {
    if from == "X" || from == "raw/X" || from.starts_with("layers/") {
        let matrix = source.source(from, None)?;
        let shape = matrix.shape();
        let at_most = matrix.nnz().unwrap_or(shape[0].saturating_mul(shape[1]));
        let options = CsrSinkOptions {
            dtype: SinkDtype::of(&source.matrix_info(from)?.data_dtype),
            ..CsrSinkOptions::new(shape, at_most)
        };
        let sink = out.csr_sink(to, options)?;
        sink.take(&*matrix)?;
        return sink.finish();
    }
    if from == "layers" || from == "raw" {
        return source
            .keys(from)?
            .iter()
            .try_for_each(|name| anew(out, source, &join(from, name), &join(to, name)));
    }
    out.write(to, &source.read(from)?)
}

/// Copies the element at `from` to `to`, where there is room for it.
pub(super) fn copy(out: &H5adWriter, source: &Opened, from: &str, to: &str) -> Result<()> {
    object(out, source, from, to, 0)
}

fn object(out: &H5adWriter, source: &Opened, from: &str, to: &str, depth: usize) -> Result<()> {
    if depth > DEPTH {
        return Err(source.malformed(from, format!("groups are nested deeper than {DEPTH}")));
    }
    let fault = |fault| source.fault(from, fault);
    let object = source.object(from)?;
    match object.kind() {
        Kind::Group => group(out, source, object, from, to, depth),
        Kind::Dataset => dataset(out, source, object, from, to),
        Kind::Other => Err(fault(Fault(
            "it is neither a group nor a dataset and cannot be copied".into(),
        ))),
    }
}

fn group(
    out: &H5adWriter,
    source: &Opened,
    object: Object,
    from: &str,
    to: &str,
    depth: usize,
) -> Result<()> {
    let fault = |fault| source.fault(from, fault);
    let names = object.names().map_err(fault)?;
    if object.text("encoding-type").map_err(fault)?.as_deref() == Some("dataframe") {
        let old = object.text("encoding-version").map_err(fault)?.as_deref() == Some("0.1.0");
        // Its categories are found through references, which a copy cannot keep.
        if old || names.iter().any(|name| name == "__categories") {
            let frame = dataframe::read(source, from, None)?;
            return elements::write(out, to, &Elem::DataFrame(frame));
        }
    }
    create::group(out.id(), to).map_err(|fault| out.output().fault(to, fault))?;
    attributes(out, source, &object, from, to)?;
    for name in names {
        // Links that lead nowhere and named types hold nothing.
        let inner = join(from, &name);
        if object.leads_nowhere(&name).map_err(fault)?
            || source.object(&inner)?.kind() == Kind::Other
        {
            continue;
        }
        self::object(out, source, &inner, &join(to, &name), depth + 1)?;
    }
    Ok(())
}

fn attributes(
    out: &H5adWriter,
    source: &Opened,
    object: &Object,
    from: &str,
    to: &str,
) -> Result<()> {
    transfer::attributes(object, out.id(), to).map_err(|side| at_side(out, source, from, to, side))
}

fn at_side(out: &H5adWriter, source: &Opened, from: &str, to: &str, side: Side) -> Error {
    match side {
        Side::From(fault) => source.fault(from, fault),
        Side::To(fault) => out.output().fault(to, fault),
    }
}

fn dataset(out: &H5adWriter, source: &Opened, object: Object, from: &str, to: &str) -> Result<()> {
    let fault = |fault| source.fault(from, fault);
    let own = object.file_number() == source.number;
    let place = object.dataset().map_err(fault)?;
    if COMPOUND.contains(&from) && matches!(place.dtype().map_err(fault)?, Dtype::Compound(_)) {
        match elem_read::read(source, from)? {
            Elem::Foreign { .. } => {}
            element => return elements::write(out, to, &element),
        }
    }
    let original = Original::of(place).map_err(fault)?;
    let as_stored = own && original.chunks_travel();
    if let Some(filter) = original.unknown_filter().filter(|_| !as_stored) {
        return Err(crate::csr::unknown_filter(source, from, filter));
    }
    let refused = |fault| out.output().fault(to, fault);
    let twin = original.twin(out.id(), to, as_stored).map_err(refused)?;
    if as_stored {
        let stored = original.chunks().map_err(fault)?;
        let mut bytes = Vec::new();
        for (first, chunk) in stored.iter() {
            source.inside(from, chunk.address, chunk.size.into())?;
            bytes.resize(chunk.size as usize, 0);
            source
                .data
                .read_exact_at(&mut bytes, chunk.address)
                .map_err(|error| Error::Io {
                    path: source.path.clone(),
                    what: format!("{from} could not be read"),
                    source: error,
                })?;
            twin.write_chunk(first, chunk.mask, &bytes)
                .map_err(refused)?;
        }
    } else {
        original
            .copy_values(&twin)
            .map_err(|side| at_side(out, source, from, to, side))?;
    }
    let object = source.object(from)?;
    attributes(out, source, &object, from, to)
}
