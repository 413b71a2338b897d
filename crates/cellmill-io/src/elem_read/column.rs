//! Columns: plain, categorical, nullable.

use super::{join, plain};
use crate::elem::{ArrayData, Categorical, Column};
use crate::error::Result;
use crate::open::Opened;
use crate::store::hdf5::values::{self, Extent};
use crate::store::hdf5::{Dtype, Kind, Object};

/// Reads a column. `legacy_categories` is the address of the categories of a dataframe of version
/// 0.1.0, where the column has some.
pub(super) fn read(
    file: &Opened,
    address: &str,
    object: Object,
    legacy_categories: Option<&str>,
) -> Result<Column> {
    let fault = |fault| file.fault(address, fault);
    let encoding = object.text("encoding-type").map_err(fault)?;
    match (object.kind(), encoding.as_deref()) {
        (Kind::Group, Some("categorical")) => {
            let ordered = flag(file, address, &object, "ordered")?;
            let codes = data(file, &join(address, "codes"))?;
            let categories = data(file, &join(address, "categories"))?;
            categorical(file, address, codes, categories, ordered).map(Column::Categorical)
        }
        (Kind::Group, Some("nullable-integer" | "nullable-boolean" | "nullable-string-array")) => {
            let values = data(file, &join(address, "values"))?;
            let mask = match data(file, &join(address, "mask"))? {
                ArrayData::Bool(mask) => mask,
                other => plain::unsigned(other)
                    .ok_or_else(|| file.malformed(address, "its mask holds no booleans"))?
                    .into_iter()
                    .map(|v| v != 0)
                    .collect(),
            };
            if mask.len() != values.len() {
                return Err(file.malformed(
                    address,
                    format!(
                        "it has {} values and a mask of {}",
                        values.len(),
                        mask.len()
                    ),
                ));
            }
            Ok(Column::Nullable { values, mask })
        }
        (Kind::Dataset, _) => {
            let place = object.dataset().map_err(fault)?;
            match place.extent().map_err(fault)? {
                Extent::Simple(dims) if dims.len() == 1 => {}
                other => {
                    return Err(file.malformed(
                        address,
                        format!("a column has one dimension, and this has {other:?}"),
                    ));
                }
            }
            let values = plain::read(&place).map_err(fault)?.ok_or_else(|| {
                let dtype = place.dtype().map_or_else(|f| f.0, |d| d.to_string());
                file.malformed(address, format!("a column cannot hold {dtype}"))
            })?;
            let Some(at) = legacy_categories else {
                return Ok(Column::Plain(values));
            };
            let labels = file.object(at)?;
            let ordered = flag(file, at, &labels, "ordered")?;
            let categories = data(file, at)?;
            categorical(file, address, values, categories, ordered).map(Column::Categorical)
        }
        (_, encoding) => Err(file.malformed(
            address,
            format!(
                "a column cannot be {}",
                encoding.unwrap_or("a group without an encoding")
            ),
        )),
    }
}

/// The plain values of a 1-dimensional element.
pub(crate) fn data(file: &Opened, address: &str) -> Result<ArrayData> {
    let object = file.object(address)?;
    if object.kind() == Kind::Group {
        // Categories may be nullable strings when pandas 3 wrote them.
        return match read(file, address, object, None)? {
            Column::Nullable { values, .. } | Column::Plain(values) => Ok(values),
            Column::Categorical(_) => {
                Err(file.malformed(address, "plain values were expected, not a categorical"))
            }
        };
    }
    object
        .dataset()
        .and_then(|place| plain::read(&place))
        .map_err(|fault| file.fault(address, fault))?
        .ok_or_else(|| file.malformed(address, "numbers, booleans or strings were expected"))
}

fn flag(file: &Opened, address: &str, object: &Object, label: &str) -> Result<bool> {
    let fault = |fault| file.fault(address, fault);
    let Some(place) = object.attribute(label).map_err(fault)? else {
        return Ok(false);
    };
    Ok(match place.dtype().map_err(fault)? {
        Dtype::Bool => values::bools(&place).map_err(fault)?.first() == Some(&true),
        Dtype::Int { .. } => values::numbers::<i64>(&place)
            .map_err(fault)?
            .first()
            .is_some_and(|&v| v != 0),
        _ => false,
    })
}

/// Codes and categories that fit each other.
pub(super) fn categorical(
    file: &Opened,
    address: &str,
    codes: ArrayData,
    categories: ArrayData,
    ordered: bool,
) -> Result<Categorical> {
    fitting(codes, categories, ordered).map_err(|(row, what)| crate::Error::Malformed {
        path: file.path.clone(),
        element: address.into(),
        rows: row.map(|r| r..r + 1),
        what,
    })
}

/// Codes and categories that fit each other; else the row that is wrong, and what is.
pub(crate) fn fitting(
    codes: ArrayData,
    categories: ArrayData,
    ordered: bool,
) -> std::result::Result<Categorical, (Option<u64>, String)> {
    let codes = plain::codes(codes)
        .ok_or_else(|| (None, "its codes are not integers of 32 bits".to_owned()))?;
    let n = categories.len();
    if let Some(row) = codes
        .iter()
        .position(|&c| c < -1 || (c >= 0 && c as usize >= n))
    {
        let what = format!("the code {} is not one of {n} categories", codes[row]);
        return Err((Some(row as u64), what));
    }
    Ok(Categorical {
        codes,
        categories,
        ordered,
    })
}
