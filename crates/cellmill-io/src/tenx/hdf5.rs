//! HDF5 files of Cell Ranger: version 3 has one group `matrix`, version 2 one group a genome.

use super::{Counts, Table, Tables};
use crate::csr::RawArray;
use crate::elem::{ArrayData, Column, DataFrame};
use crate::elem_read::{column, join, plain};
use crate::error::Result;
use crate::matrix::{MatrixInfo, ReadPath};
use crate::open::Opened;
use crate::store::hdf5::Kind;
use std::sync::{Arc, Mutex};

/// What is named otherwise in var, or is no column.
const KNOWN: [&str; 5] = ["name", "feature_type", "id", "gene_id", "_all_tag_keys"];

/// The tables of a file of 10x Genomics; `None` where it is none.
pub(crate) fn open(file: &Arc<Opened>) -> Result<Option<Tables>> {
    if file.find("obs")?.is_some() || file.find("var")?.is_some() {
        return Ok(None);
    }
    let fault = |fault| file.fault("the root group", fault);
    let groups = file.object("")?.names().map_err(fault)?;
    let is_group = |name: &str| matches!(file.find(name), Ok(Some(o)) if o.kind() == Kind::Group);
    let has = |group: &str, part: &str| matches!(file.find(&join(group, part)), Ok(Some(_)));
    let version_3 = is_group("matrix") && has("matrix", "barcodes");
    let genomes: Vec<&String> = groups
        .iter()
        .filter(|g| is_group(g) && has(g, "barcodes") && has(g, "genes"))
        .collect();
    let mut all = Vec::new();
    if version_3 {
        all.push(table(file, "matrix", "X", features(file)?)?);
    } else {
        for &genome in &genomes {
            let address = if genomes.len() == 1 { "X" } else { genome };
            all.push(table(file, genome, address, genes(file, genome)?)?);
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    Ok(Some(Tables {
        path: file.path.clone(),
        identity: file.identity.clone(),
        warnings: file.warnings.clone(),
        all,
        chosen: Mutex::new(None),
    }))
}

fn table(file: &Arc<Opened>, group: &str, address: &str, var: DataFrame) -> Result<Table> {
    let at = join(group, "shape");
    let shape = plain::unsigned(column::data(file, &at)?).unwrap_or_default();
    let &[n_vars, n_obs] = shape.as_slice() else {
        return Err(file.malformed(
            &at,
            format!("two lengths were expected and it is {shape:?}"),
        ));
    };
    let barcodes = texts(file, &join(group, "barcodes"))?;
    for (what, found, expected) in [
        ("barcodes", barcodes.len() as u64, n_obs),
        ("features", var.index.len() as u64, n_vars),
    ] {
        if found != expected {
            return Err(file.malformed(
                group,
                format!("there are {found} {what}, and the shape says {expected}"),
            ));
        }
    }
    let mut obs = frame(barcodes);
    let filtered = join(group, "filtered_barcodes");
    if file.find(&filtered)?.is_some() {
        let flags = flags(column::data(file, &filtered)?);
        obs.columns.push(("filtered_barcodes".into(), flags));
    }
    let part = |name: &str| RawArray::open(file, &join(group, name));
    let (data, indices, indptr) = (part("data")?, part("indices")?, part("indptr")?);
    let info = MatrixInfo {
        address: address.into(),
        encoding: "csr".into(),
        shape: [n_obs, n_vars],
        nnz: Some(data.len),
        // As scanpy reads it.
        data_dtype: "float32".into(),
        indices_dtype: indices.dtype.to_string(),
        indptr_dtype: indptr.dtype.to_string(),
        chunk_entries: data.chunk_entries(),
        filters: data.filters(),
        compressed_bytes: data.stored_bytes() + indices.stored_bytes() + indptr.stored_bytes(),
        path: match [&data, &indices].iter().find_map(|a| a.library_reason()) {
            Some(reason) => ReadPath::Library(reason.to_owned()),
            None => ReadPath::Fast,
        },
    };
    Ok(Table {
        address: address.into(),
        obs,
        var,
        info,
        counts: Counts::Parts {
            file: file.clone(),
            group: group.into(),
        },
    })
}

/// var of version 3: names, then what else there is of each feature.
fn features(file: &Opened) -> Result<DataFrame> {
    let group = "matrix/features";
    let at = |name: &str| join(group, name);
    let mut var = frame(texts(file, &at("name"))?);
    let text = |name: &str| -> Result<Column> {
        Ok(Column::Plain(ArrayData::Str(texts(file, &at(name))?)))
    };
    // Of probes, the gene is another element than the id.
    if file.find(&at("gene_id"))?.is_some() {
        var.columns.push(("gene_ids".into(), text("gene_id")?));
        var.columns.push(("probe_ids".into(), text("id")?));
    } else {
        var.columns.push(("gene_ids".into(), text("id")?));
    }
    var.columns
        .push(("feature_types".into(), text("feature_type")?));
    let object = file.object(group)?;
    for name in object.names().map_err(|fault| file.fault(group, fault))? {
        let is_array = file.object(&at(&name))?.kind() == Kind::Dataset;
        if is_array && !KNOWN.contains(&name.as_str()) {
            let column = match column::data(file, &at(&name))? {
                bools @ ArrayData::Bool(_) => Column::Plain(bools),
                other => Column::Plain(ArrayData::Str(plain::strings(other))),
            };
            var.columns.push((name, column));
        }
    }
    same_lengths(file, group, &var)?;
    Ok(var)
}

/// var of version 2.
fn genes(file: &Opened, genome: &str) -> Result<DataFrame> {
    let mut var = frame(texts(file, &join(genome, "gene_names"))?);
    let ids = Column::Plain(ArrayData::Str(texts(file, &join(genome, "genes"))?));
    var.columns.push(("gene_ids".into(), ids));
    same_lengths(file, genome, &var)?;
    Ok(var)
}

fn same_lengths(file: &Opened, group: &str, var: &DataFrame) -> Result<()> {
    for (name, column) in &var.columns {
        if let Column::Plain(values) = column
            && values.len() != var.index.len()
        {
            return Err(file.malformed(
                group,
                format!(
                    "{name} has {} entries, and there are {} names",
                    values.len(),
                    var.index.len()
                ),
            ));
        }
    }
    Ok(())
}

fn frame(index: Vec<String>) -> DataFrame {
    DataFrame {
        index_name: "_index".into(),
        index,
        columns: Vec::new(),
    }
}

fn texts(file: &Opened, address: &str) -> Result<Vec<String>> {
    Ok(plain::strings(column::data(file, address)?))
}

fn flags(data: ArrayData) -> Column {
    Column::Plain(match plain::unsigned(data.clone()) {
        Some(numbers) => ArrayData::Bool(numbers.into_iter().map(|n| n != 0).collect()),
        None => data,
    })
}
