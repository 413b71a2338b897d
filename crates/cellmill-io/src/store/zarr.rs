//! Zarr folders: metadata, arrays chunk by chunk. Versions 2 and 3 are read, 3 is written.

mod array;
mod blosc;
mod codec;
pub(crate) mod create;
mod dtype;
mod metadata;

pub(crate) use array::Array;
pub(crate) use dtype::ZarrDtype;

use crate::error::{Error, Result};
use crate::open::{FileIdentity, Origin};
use serde_json::{Map, Value};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A zarr folder that is open for reading.
#[derive(Debug)]
pub(crate) struct Zarr {
    pub(crate) origin: Arc<Origin>,
}

/// What stands at an address.
#[derive(Debug)]
pub(crate) enum Node {
    Group(Map<String, Value>),
    Array(Box<Array>, Map<String, Value>),
}

impl Node {
    pub(crate) fn attributes(&self) -> &Map<String, Value> {
        match self {
            Self::Group(attributes) | Self::Array(_, attributes) => attributes,
        }
    }

    /// An attribute that is text.
    pub(crate) fn text(&self, label: &str) -> Option<&str> {
        self.attributes().get(label).and_then(Value::as_str)
    }
}

/// The files that hold the metadata of a node.
const METADATA: [&str; 3] = ["zarr.json", ".zgroup", ".zarray"];

impl Zarr {
    /// Opens the folder at `path`; `None` where it is no zarr folder.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let Some(metadata) = METADATA.iter().map(|n| path.join(n)).find(|p| p.is_file()) else {
            return Ok(None);
        };
        let facts = std::fs::metadata(&metadata).map_err(|source| Error::Io {
            path: metadata.clone(),
            what: "its size could not be read".into(),
            source,
        })?;
        let identity = FileIdentity {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            size: facts.len(),
            mtime_ns: facts
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(facts.mtime_nsec()),
        };
        let zarr = Self {
            origin: Arc::new(Origin {
                path: path.into(),
                identity,
            }),
        };
        match zarr.node("")? {
            Some(Node::Group(_)) => Ok(Some(zarr)),
            _ => Err(zarr.origin.malformed("the root", "a group was expected")),
        }
    }

    fn folder(&self, address: &str) -> PathBuf {
        let address = address.trim_matches('/');
        if address.is_empty() {
            self.origin.path.clone()
        } else {
            self.origin.path.join(address)
        }
    }

    /// What stands at `address`.
    pub(crate) fn node(&self, address: &str) -> Result<Option<Node>> {
        // An address is below the folder.
        if address.split('/').any(|part| part == "..") {
            return Ok(None);
        }
        metadata::read(&self.origin, &self.folder(address), address)
    }

    /// What stands at `address`, which has to be there.
    pub(crate) fn expect(&self, address: &str) -> Result<Node> {
        self.node(address)?.ok_or_else(|| {
            let parent = address.rsplit_once('/').map_or("", |(parent, _)| parent);
            let names = self.names(parent).unwrap_or_default();
            let place = if parent.is_empty() {
                "the folder"
            } else {
                parent
            };
            Error::MissingElement {
                path: self.origin.path.clone(),
                element: address.into(),
                instead: if names.is_empty() {
                    format!("{place} is empty or not there")
                } else {
                    format!("{place} holds {}", names.join(", "))
                },
            }
        })
    }

    /// The array at `address`.
    pub(crate) fn array(&self, address: &str) -> Result<Array> {
        match self.expect(address)? {
            Node::Array(array, _) => Ok(*array),
            Node::Group(_) => Err(self
                .origin
                .malformed(address, "an array was expected and a group was found")),
        }
    }

    /// The names of the nodes in a group, sorted.
    pub(crate) fn names(&self, address: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        if let Ok(folder) = std::fs::read_dir(self.folder(address)) {
            for entry in folder.flatten() {
                let path = entry.path();
                if METADATA.iter().any(|name| path.join(name).is_file()) {
                    names.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
        }
        names.sort();
        Ok(names)
    }
}
