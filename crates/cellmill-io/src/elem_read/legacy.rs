//! Files of anndata before 0.7: dataframes and groups of arrays as compound datasets.

use super::{column, plain};
use crate::elem::{Array, ArrayData, Column, DataFrame, Elem};
use crate::error::Result;
use crate::open::Opened;
use crate::store::hdf5::handle::Outcome;
use crate::store::hdf5::values::{self, Extent, Place};
use crate::store::hdf5::{Dtype, Kind, Object};

/// Reads a compound dataset as a dataframe.
pub(super) fn read(file: &Opened, address: &str, object: Object) -> Result<DataFrame> {
    let fault = |fault| file.fault(address, fault);
    let place = object.dataset().map_err(fault)?;
    let extent = place.extent().map_err(fault)?;
    compound_frame(file, address, &place, &extent)?
        .ok_or_else(|| file.malformed(address, "it is a dataset and no dataframe"))
}

/// A compound dataset that is a dataframe by its address (`obs`, `var`, `raw.var`), else nothing.
pub(super) fn frame(
    file: &Opened,
    address: &str,
    place: &Place,
    extent: &Extent,
) -> Result<Option<DataFrame>> {
    match address {
        "obs" | "var" | "raw/var" | "raw.var" => compound_frame(file, address, place, extent),
        _ => Ok(None),
    }
}

fn compound_frame(
    file: &Opened,
    address: &str,
    place: &Place,
    extent: &Extent,
) -> Result<Option<DataFrame>> {
    let fault = |fault| file.fault(address, fault);
    let (Dtype::Compound(members), Extent::Simple(dims)) = (place.dtype().map_err(fault)?, extent)
    else {
        return Ok(None);
    };
    if dims.len() != 1 {
        return Ok(None);
    }
    let index_name = ["_index", "index"]
        .into_iter()
        .find(|name| members.iter().any(|(member, _)| member == name))
        .or_else(|| members.first().map(|(member, _)| member.as_str()));
    let mut frame = DataFrame {
        index_name: "_index".into(),
        ..DataFrame::default()
    };
    for (name, dtype) in &members {
        let Some(values) = member(place, name, dtype).map_err(fault)? else {
            return Err(file.malformed(address, format!("its column {name} holds {dtype}")));
        };
        if Some(name.as_str()) == index_name {
            frame.index = plain::strings(values);
            continue;
        }
        // Categories of old files are in uns, under the column's name.
        let at = format!("uns/{name}_categories");
        let labels = match &values {
            ArrayData::Str(_) | ArrayData::F32(_) | ArrayData::F64(_) => None,
            _ => file.find(&at)?,
        };
        let column = match labels {
            Some(_) => {
                let categories = column::data(file, &at)?;
                column::categorical(file, address, values, categories, false)
                    .map(Column::Categorical)?
            }
            None => Column::Plain(values),
        };
        frame.columns.push((name.clone(), column));
    }
    Ok(Some(frame))
}

/// The members of a compound dataset of one dimension, else nothing.
pub(crate) fn records(file: &Opened, address: &str) -> Result<Option<Vec<(String, ArrayData)>>> {
    let fault = |fault| file.fault(address, fault);
    let object = file.object(address)?;
    if object.kind() != Kind::Dataset {
        return Ok(None);
    }
    let place = object.dataset().map_err(fault)?;
    let (Dtype::Compound(members), Extent::Simple(dims)) = (
        place.dtype().map_err(fault)?,
        place.extent().map_err(fault)?,
    ) else {
        return Ok(None);
    };
    if dims.len() != 1 {
        return Ok(None);
    }
    members
        .into_iter()
        .map(|(name, dtype)| {
            let values = member(&place, &name, &dtype).map_err(fault)?;
            Ok(values.map(|values| (name, values)))
        })
        .collect()
}

/// The names in `uns` that hold categories of columns of a compound `obs` or `var`.
pub(crate) fn category_keys(file: &Opened) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for address in ["obs", "var"] {
        let Some(object) = file.find(address)? else {
            continue;
        };
        if object.kind() != Kind::Dataset {
            continue;
        }
        let place = object
            .dataset()
            .map_err(|fault| file.fault(address, fault))?;
        if let Dtype::Compound(members) =
            place.dtype().map_err(|fault| file.fault(address, fault))?
        {
            // Texts and fractions are no codes.
            let codes = |dtype: &Dtype| !matches!(dtype, Dtype::Text(_) | Dtype::Float { .. });
            all.extend(
                members
                    .into_iter()
                    .filter(|(_, dtype)| codes(dtype))
                    .map(|(name, _)| format!("{name}_categories")),
            );
        }
    }
    Ok(all)
}

/// A compound dataset of arrays (`obsm`, `varm` of old files) as a dict, else nothing.
pub(super) fn arrays(
    file: &Opened,
    address: &str,
    place: &Place,
    extent: &Extent,
) -> Result<Option<Elem>> {
    let fault = |fault| file.fault(address, fault);
    let (Dtype::Compound(members), Extent::Simple(rows)) = (place.dtype().map_err(fault)?, extent)
    else {
        return Ok(None);
    };
    if !matches!(address, "obsm" | "varm" | "raw/varm" | "raw.varm") || rows.len() != 1 {
        return Ok(None);
    }
    let mut all = Vec::new();
    for (name, dtype) in &members {
        let (dims, of) = match dtype {
            Dtype::Block { dims, of } => (dims.clone(), of.as_ref()),
            other => (Vec::new(), other),
        };
        let data = match of {
            Dtype::Float { size: 8, .. } => {
                ArrayData::F64(values::member_numbers(place, name, &dims).map_err(fault)?)
            }
            Dtype::Float { .. } => {
                ArrayData::F32(values::member_numbers(place, name, &dims).map_err(fault)?)
            }
            Dtype::Int { .. } => {
                ArrayData::I64(values::member_numbers(place, name, &dims).map_err(fault)?)
            }
            other => {
                return Err(file.malformed(address, format!("its array {name} holds {other}")));
            }
        };
        let mut shape = rows.clone();
        shape.extend(if dims.is_empty() { vec![1] } else { dims });
        all.push((name.clone(), Elem::Array(Array { shape, data })));
    }
    Ok(Some(Elem::Dict(all)))
}

/// One plain member of a compound.
fn member(place: &Place, name: &str, dtype: &Dtype) -> Outcome<Option<ArrayData>> {
    Ok(Some(match dtype {
        Dtype::Bool => {
            let bytes: Vec<i8> = values::member_numbers(place, name, &[])?;
            ArrayData::Bool(bytes.into_iter().map(|b| b != 0).collect())
        }
        Dtype::Int {
            size: 8,
            signed: false,
            ..
        } => ArrayData::U64(values::member_numbers(place, name, &[])?),
        Dtype::Int { size: 8, .. } => ArrayData::I64(values::member_numbers(place, name, &[])?),
        Dtype::Int {
            size: 4,
            signed: false,
            ..
        } => ArrayData::U32(values::member_numbers(place, name, &[])?),
        Dtype::Int { size: 4, .. } => ArrayData::I32(values::member_numbers(place, name, &[])?),
        Dtype::Int {
            size: 2,
            signed: false,
            ..
        } => ArrayData::U16(values::member_numbers(place, name, &[])?),
        Dtype::Int { size: 2, .. } => ArrayData::I16(values::member_numbers(place, name, &[])?),
        Dtype::Int { signed: false, .. } => {
            ArrayData::U8(values::member_numbers(place, name, &[])?)
        }
        Dtype::Int { .. } => ArrayData::I8(values::member_numbers(place, name, &[])?),
        Dtype::Float { size: 8, .. } => ArrayData::F64(values::member_numbers(place, name, &[])?),
        Dtype::Float { .. } => ArrayData::F32(values::member_numbers(place, name, &[])?),
        Dtype::Text(text) => ArrayData::Str(values::member_texts(place, name, text)?),
        _ => return Ok(None),
    }))
}
