//! Writing h5ad files, zarr folders and folders of 10x Genomics: beside the target, renamed at the end.

mod chunks;
mod copy;
mod csr_sink;
mod dense_sink;
mod dtype;
mod elements;
mod mtx_sink;
mod part;
mod place;
mod temporary;

pub use csr_sink::{CsrSink, CsrSinkOptions};
pub use dense_sink::{DenseSink, DenseSinkOptions};
pub use dtype::SinkDtype;
pub use mtx_sink::{MtxPart, MtxSink, MtxWriter};
pub use part::CsrPart;

use crate::anndata::H5ad;
use crate::elem::Elem;
use crate::elem_read::join;
use crate::error::{Error, Result};
use crate::store::hdf5::create;
use crate::store::hdf5::{Fault, File, Kind, Object};
use crate::store::zarr::create::Folder;
use place::Place;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use temporary::Temporary;
pub use temporary::abandon;

/// The groups that anndata always writes.
const GROUPS: [&str; 6] = ["layers", "obsm", "obsp", "uns", "varm", "varp"];

/// How elements are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The gzip level of arrays of numbers and sparse graphs; `None`, as anndata does: not
    /// compressed.
    pub compression: Option<u32>,
}

/// The file that is being written, shared with the sinks that write into it.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) target: PathBuf,
    pub(crate) place: Place,
}

impl Output {
    /// Sets the encoding attributes of an element.
    fn encode(&self, address: &str, encoding: &str, version: &str) -> Result<()> {
        let place = &self.place;
        place
            .text_attribute(address, "encoding-type", encoding)
            .and_then(|()| place.text_attribute(address, "encoding-version", version))
            .map_err(|fault| self.fault(address, fault))
    }

    /// What the library refused, as an error with an address.
    pub(crate) fn fault(&self, address: &str, fault: Fault) -> Error {
        match fault.errno() {
            Some(code) => Error::Io {
                path: self.target.clone(),
                what: format!("{address} could not be written"),
                source: std::io::Error::from_raw_os_error(code),
            },
            None => Error::Malformed {
                path: self.target.clone(),
                element: address.into(),
                rows: None,
                what: format!("it could not be written: {}", fault.0),
            },
        }
    }
}

/// Writes an h5ad file or a zarr folder of AnnData. The target appears whole at
/// [`H5adWriter::commit`]; without it nothing is left. Until then the bytes are in
/// `.NAME.cellmill-PID.tmp` in the target's folder.
///
/// ```
/// use cellmill_io::{DataFrame, Elem, H5ad, H5adWriter};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("small.h5ad");
/// let mut writer = H5adWriter::create(&path, false)?;
/// let names = |v: &[&str]| DataFrame {
///     index_name: "_index".into(),
///     index: v.iter().map(|s| s.to_string()).collect(),
///     columns: vec![],
/// };
/// writer.write("obs", &Elem::DataFrame(names(&["cell 1", "cell 2"])))?;
/// writer.write("var", &Elem::DataFrame(names(&["gene"])))?;
/// writer.commit()?;
/// assert_eq!(H5ad::open(&path)?.shape_of("obs")?, [2, 0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct H5adWriter {
    // Dropped in this order: the library's file is closed before the temporary file goes.
    output: Arc<Output>,
    temporary: Temporary,
    overwrite: bool,
    options: WriteOptions,
}

impl H5adWriter {
    /// Begins a file. Left-overs of killed programs beside the target are removed.
    ///
    /// # Errors
    /// [`Error::Exists`] where the target is there and may not be replaced; [`Error::Io`] where
    /// the folder cannot be written to.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self> {
        let temporary = Temporary::create(target, overwrite)?;
        let file = File::create(temporary.path()).map_err(|fault| Error::Io {
            path: target.into(),
            what: format!("the file could not be begun ({})", fault.0),
            source: std::io::Error::from_raw_os_error(fault.errno().unwrap_or(5)),
        })?;
        Self::begin(Place::Hdf5(file), temporary, target, overwrite)
    }

    /// Begins a zarr folder of version 3, compressed with gzip. With `overwrite`, a zarr folder or a
    /// file may stand at the target.
    ///
    /// # Errors
    /// As [`H5adWriter::create`]; [`Error::Malformed`] where the target is a folder of something else.
    pub fn create_zarr(target: &Path, overwrite: bool) -> Result<Self> {
        let ours =
            |folder: &Path| folder.join("zarr.json").exists() || folder.join(".zgroup").exists();
        let temporary = Temporary::create_folder(target, overwrite, ours)?;
        let folder = Folder::create(temporary.path()).map_err(|fault| Error::Io {
            path: target.into(),
            what: format!("the folder could not be begun ({})", fault.0),
            source: std::io::Error::from_raw_os_error(fault.errno().unwrap_or(5)),
        })?;
        let mut writer = Self::begin(Place::Zarr(folder), temporary, target, overwrite)?;
        writer.options.compression = Some(4);
        Ok(writer)
    }

    fn begin(place: Place, temporary: Temporary, target: &Path, overwrite: bool) -> Result<Self> {
        let output = Arc::new(Output {
            target: target.into(),
            place,
        });
        let writer = Self {
            output,
            temporary,
            overwrite,
            options: WriteOptions::default(),
        };
        writer.encode("", "anndata", "0.1.0")?;
        Ok(writer)
    }

    /// Whether this is a zarr folder.
    pub fn is_zarr(&self) -> bool {
        self.output.place.is_zarr()
    }

    /// Sets how elements are stored from here on.
    pub fn set_options(&mut self, options: WriteOptions) {
        self.options = options;
    }

    /// The target.
    pub fn target(&self) -> &Path {
        &self.output.target
    }

    /// Writes an element, in place of what stands there. Groups above it are made.
    ///
    /// # Errors
    /// [`Error::Io`] on a full disk; [`Error::Malformed`] where the element contradicts itself or
    /// holds a string with a NUL inside.
    pub fn write(&mut self, address: &str, element: &Elem) -> Result<()> {
        let address = address.trim_matches('/');
        self.make_room(address)?;
        elements::write(self, address, element)
    }

    /// Copies an element of another file. Stored chunks are copied without inflating them where
    /// their filters are gzip, shuffle, lzf, fletcher32 or unknown; values that have other filters
    /// are written anew with gzip. What this version does not understand is copied too, except
    /// references to objects, which mean nothing in another file. Dataframes of anndata 0.7 are
    /// written in their present form, and attributes that old anndata did not write are added.
    ///
    /// # Errors
    /// Where there is no such element, it is damaged, or the disk is full.
    ///
    /// Of other files than h5ad, or into a zarr folder, the element is read and written anew, a matrix
    /// as CSR.
    pub fn copy_from(&mut self, source: &H5ad, from: &str, to: &str) -> Result<()> {
        let to = to.trim_matches('/');
        let Some(opened) = source.opened().filter(|_| !self.is_zarr()) else {
            return copy::anew(self, source, from.trim_matches('/'), to);
        };
        let from = opened.resolve(from)?;
        self.make_room(to)?;
        copy::copy(self, opened, &from, to)?;
        self.complete_encoding(to)
    }

    /// Begins a CSR matrix that is written block by block.
    ///
    /// # Errors
    /// As [`H5adWriter::write`].
    pub fn csr_sink(&mut self, address: &str, options: CsrSinkOptions) -> Result<CsrSink> {
        let shape = options.shape;
        self.sparse(address, "csr_matrix", shape, options)
    }

    /// Begins a CSC matrix that is written block by block: the blocks are those of the matrix with
    /// rows and columns exchanged, whose shape is that of `options`.
    ///
    /// # Errors
    /// As [`H5adWriter::write`].
    pub fn csc_sink(&mut self, address: &str, options: CsrSinkOptions) -> Result<CsrSink> {
        let [columns, rows] = options.shape;
        self.sparse(address, "csc_matrix", [rows, columns], options)
    }

    fn sparse(
        &mut self,
        address: &str,
        encoding: &str,
        shape: [u64; 2],
        options: CsrSinkOptions,
    ) -> Result<CsrSink> {
        let address = address.trim_matches('/');
        self.make_room(address)?;
        self.group(address, encoding, "0.1.0")?;
        let shape = shape.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        self.output
            .place
            .integers_attribute(address, "shape", &shape)
            .map_err(|fault| self.output.fault(address, fault))?;
        CsrSink::begin(self.output.clone(), address, options)
    }

    /// Begins a dense matrix that is written block by block.
    ///
    /// # Errors
    /// As [`H5adWriter::write`].
    pub fn dense_sink(&mut self, address: &str, options: DenseSinkOptions) -> Result<DenseSink> {
        let address = address.trim_matches('/');
        self.make_room(address)?;
        DenseSink::begin(self.output.clone(), address, options)
    }

    /// Ends the file: everything is on disk, and it has its name.
    ///
    /// # Errors
    /// [`Error::Io`] on a full disk, [`Error::Exists`] where the target has appeared meanwhile.
    /// The temporary file is removed then.
    pub fn commit(self) -> Result<()> {
        for name in GROUPS {
            if self.kind(name)?.is_none() {
                self.group(name, "dict", "0.1.0")?;
            }
        }
        self.output
            .place
            .flush()
            .map_err(|fault| self.output.fault("the file", fault))?;
        let target = self.output.target.clone();
        let Self {
            output,
            mut temporary,
            overwrite,
            ..
        } = self;
        let output = Arc::try_unwrap(output).map_err(|output| Error::Malformed {
            path: output.target.clone(),
            element: "the file".into(),
            rows: None,
            what: "a matrix in it has not been finished".into(),
        })?;
        let Output { place, .. } = output;
        place.close().map_err(|fault| Error::Io {
            path: target,
            what: format!("the file could not be closed ({})", fault.0),
            source: std::io::Error::from_raw_os_error(fault.errno().unwrap_or(5)),
        })?;
        temporary.rename(overwrite)
    }

    pub(crate) fn id(&self) -> hdf5_metno_sys::h5i::hid_t {
        self.output.place.id()
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    pub(crate) fn place(&self) -> &Place {
        &self.output.place
    }

    pub(crate) fn options(&self) -> WriteOptions {
        self.options
    }

    fn kind(&self, address: &str) -> Result<Option<Kind>> {
        self.output
            .place
            .kind(address)
            .map_err(|fault| self.output.fault(address, fault))
    }

    /// Makes the groups above `address` and removes what stands there.
    fn make_room(&self, address: &str) -> Result<()> {
        if address.is_empty() || address.split('/').any(str::is_empty) {
            return Err(Error::Malformed {
                path: self.output.target.clone(),
                element: address.into(),
                rows: None,
                what: "it is not the address of an element, such as uns/pca".into(),
            });
        }
        for (end, _) in address.match_indices('/') {
            let parent = &address[..end];
            match self.kind(parent)? {
                Some(Kind::Group) => {}
                Some(_) => {
                    return Err(Error::Malformed {
                        path: self.output.target.clone(),
                        element: address.into(),
                        rows: None,
                        what: format!("{parent} is not a group"),
                    });
                }
                None => {
                    let encoding = if parent == "raw" { "raw" } else { "dict" };
                    self.group(parent, encoding, "0.1.0")?;
                }
            }
        }
        let place = &self.output.place;
        place
            .remove(address)
            .map_err(|fault| self.output.fault(address, fault))
    }

    /// Makes a group with its encoding.
    pub(crate) fn group(&self, address: &str, encoding: &str, version: &str) -> Result<()> {
        let place = &self.output.place;
        place
            .group(address)
            .map_err(|fault| self.output.fault(address, fault))?;
        self.encode(address, encoding, version)
    }

    /// Sets the encoding attributes of an element.
    pub(crate) fn encode(&self, address: &str, encoding: &str, version: &str) -> Result<()> {
        self.output.encode(address, encoding, version)
    }

    /// Adds the encoding attributes that anndata before 0.7 did not write.
    fn complete_encoding(&self, address: &str) -> Result<()> {
        let fault = |fault| self.output.fault(address, fault);
        let Some(object) = Object::open(self.id(), address).map_err(fault)? else {
            return Ok(());
        };
        if object.text("encoding-type").map_err(fault)?.is_some() {
            return Ok(());
        }
        if let Some(format) = object.text("h5sparse_format").map_err(fault)? {
            if let Some(place) = object.attribute("h5sparse_shape").map_err(fault)? {
                let shape: Vec<i64> = crate::store::hdf5::values::numbers(&place).map_err(fault)?;
                create::integers_attribute(self.id(), address, "shape", &shape).map_err(fault)?;
            }
            return self.encode(address, &format!("{format}_matrix"), "0.1.0");
        }
        if object.kind() == Kind::Group {
            let names = object.names().map_err(fault)?;
            self.encode(address, "dict", "0.1.0")?;
            return names
                .iter()
                .try_for_each(|name| self.complete_encoding(&join(address, name)));
        }
        let place = object.dataset().map_err(fault)?;
        let plain = crate::store::hdf5::Dtype::is_plain(&place.dtype().map_err(fault)?);
        let extent = place.extent().map_err(fault)?;
        match (
            plain,
            elements::plain_encoding(&place.dtype().map_err(fault)?, &extent),
        ) {
            (true, Some((encoding, version))) => self.encode(address, encoding, version),
            _ => Ok(()),
        }
    }
}
