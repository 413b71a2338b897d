//! Pseudobulk from a file to a file: groups by columns of obs, one read, scanpy's slots.

use super::{Aggregated, Aggregation};
use crate::convert::Form;
use crate::input::{Input, groups};
use crate::run::hold_input;
use crate::{Error, Result};
use cellmill_engine::{Context, Event, Source as _};
use cellmill_io::{Array, ArrayData, Column, Elem, H5ad, H5adWriter};
use std::path::Path;
use std::str::FromStr;

/// What is computed of every gene over every group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Func {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The number of cells whose value is not 0.
    CountNonzero,
    /// The variance.
    Var,
}

impl Func {
    /// scanpy's name: that of the layer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::CountNonzero => "count_nonzero",
            Self::Var => "var",
        }
    }
}

impl FromStr for Func {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == "median" {
            return Err(Error::Parameter(
                "the median of a group needs all of its values at once, which a fold does not have; \
                 use scanpy.get.aggregate on a matrix in memory"
                    .to_owned(),
            ));
        }
        let all = [Self::Sum, Self::Mean, Self::CountNonzero, Self::Var];
        all.into_iter()
            .find(|func| func.name() == name)
            .ok_or_else(|| {
                let known = all.map(Self::name).join(", ");
                Error::Parameter(format!("func {name:?} is not one of {known}"))
            })
    }
}

/// What is aggregated, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics.
    pub file: &'a Path,
    /// The h5ad file or zarr folder to write.
    pub target: &'a Path,
    /// Whether `target` may be replaced.
    pub force: bool,
    /// The columns of obs whose combinations are the groups.
    pub by: &'a [String],
    /// What is computed.
    pub funcs: &'a [Func],
    /// The matrix, of any kind; `None`: the one that holds raw counts.
    pub matrix: Option<&'a str>,
    /// Whether counts with fractions are counts, where no matrix is named.
    pub fractional: bool,
    /// Degrees of freedom of the variance.
    pub dof: u32,
}

/// Writes groups x genes: a layer for each function, obs with the columns of the groups and
/// `n_obs_aggregated`, var as in the file (`sc.get.aggregate`). Returns the number of groups and genes.
///
/// # Errors
/// As [`groups::of_columns`]; when the matrix cannot be read or the target not be written.
pub fn to_file(ctx: &Context, request: &Request<'_>) -> Result<[u64; 2]> {
    let create = match Form::of(request.target) {
        Ok(Form::H5ad) => H5adWriter::create,
        Ok(Form::Zarr) => H5adWriter::create_zarr,
        _ => {
            return Err(Error::Parameter(format!(
                "the name {} does not say what to write; end it in .h5ad or .zarr",
                request.target.display()
            )));
        }
    };
    let file = H5ad::open_in(request.file, &ctx.into())?;
    for text in file.warnings() {
        ctx.emit(Event::Warning { text: text.clone() });
    }
    crate::result::refuse_input_as_target(&file, request.target)?;
    let input = match request.matrix {
        Some(named) => Input::open_any(file, named)?,
        None => Input::open(file, None, request.fractional, None)?,
    };
    for text in &input.notes {
        ctx.emit(Event::Note { text: text.clone() });
    }
    let mut writer = create(request.target, request.force)?;
    let _held = hold_input(ctx, &input)?;
    // Codes of the cells, as they stand in the file and among the used categories, and their group.
    let labels = (8 * request.by.len() as u64 + 4) * input.source.n_rows();
    let labels = ctx.budget().reserve(labels, "labels of cells")?;
    let groups = groups::of_columns(&input.file, request.by)?;
    let dof = request.funcs.contains(&Func::Var).then_some(request.dof);
    let aggregation = Aggregation::new(groups.cells.len(), groups.ids, dof);
    drop(labels);
    let found = aggregation.of_matrix(ctx, &input.source, &[])?;
    let mut obs = groups.labels;
    let few = few(&obs.index, &groups.cells, dof);
    if !few.is_empty() {
        let text = format!(
            "groups that have no more cells than dof={}, their variances are NaN: {}",
            request.dof,
            few.join(", ")
        );
        ctx.emit(Event::Warning { text });
    }
    let shape = [obs.index.len() as u64, u64::from(input.source.n_cols())];
    // The four numbers that were found, and a layer of them.
    let _layers = ctx
        .budget()
        .reserve(40 * shape[0] * shape[1], "layers of groups x genes")?;
    let n_obs = groups.cells.into_iter().map(|n| n as i64).collect();
    obs.columns.push((
        "n_obs_aggregated".to_owned(),
        Column::Plain(ArrayData::I64(n_obs)),
    ));
    writer.write("obs", &Elem::DataFrame(obs))?;
    let kind = Kind::of(&input)?;
    for &func in request.funcs {
        let layer = Array {
            shape: shape.to_vec(),
            data: kind.layer(func, &found),
        };
        writer.write(&format!("layers/{}", func.name()), &Elem::Array(layer))?;
    }
    if input.is_raw() {
        writer.write("var", &Elem::DataFrame(input.var))?;
    } else {
        writer.copy_from(&input.file, "var", "var")?;
    }
    writer.commit()?;
    Ok(shape)
}

/// The groups without a variance.
fn few<'a>(names: &'a [String], cells: &[u64], dof: Option<u32>) -> Vec<&'a str> {
    let dof = u64::from(dof.unwrap_or(0));
    let few = names.iter().zip(cells).filter(|g| *g.1 <= dof);
    few.map(|g| g.0.as_str()).collect()
}

/// The matrix, as far as scanpy's dtypes depend on it.
struct Kind {
    sparse: bool,
    integers: bool,
}

impl Kind {
    fn of(input: &Input) -> Result<Self> {
        let infos = input.file.matrices()?;
        let info = infos.iter().find(|info| info.address == input.matrix);
        Ok(Self {
            sparse: info.is_none_or(|info| info.encoding != "dense"),
            integers: info.is_some_and(|info| info.data_dtype.contains("int")),
        })
    }

    /// In scanpy's dtype: a sparse matrix is summed in the kind that it has, a dense one in f64.
    fn layer(&self, func: Func, found: &Aggregated) -> ArrayData {
        match func {
            Func::Mean => ArrayData::F64(found.mean.clone()),
            Func::Var => ArrayData::F64(found.variance.clone().unwrap_or_default()),
            Func::CountNonzero if self.sparse => ArrayData::I64(found.n_nonzero.clone()),
            Func::CountNonzero => {
                ArrayData::F64(found.n_nonzero.iter().map(|&n| n as f64).collect())
            }
            Func::Sum if self.sparse && self.integers => {
                ArrayData::I64(found.sum.iter().map(|&x| x as i64).collect())
            }
            Func::Sum => ArrayData::F64(found.sum.clone()),
        }
    }
}
