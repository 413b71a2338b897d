//! Pictures of a result file: an embedding coloured by obs columns and genes, and the diagnostics
//! of PCA and gene selection.

mod gene;

use crate::draw::{self, Colormap, Colour, HvgPlot, Legend, PcaVariance, Picture, Rgb, Scatter};
use crate::identity::{Identity, column};
use crate::params::{RunParams, WriteX};
use crate::{Error, Result, keys};
use cellmill_engine::{Context, Event};
use cellmill_io::{ArrayData, Column, Elem, H5ad};
use std::path::{Path, PathBuf};

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats {
    /// Pixels.
    pub png: bool,
    /// Vector text over pixels of points.
    pub svg: bool,
}

/// What to draw of an embedding.
#[derive(Debug, Clone)]
pub struct EmbeddingPlot<'a> {
    /// The result file.
    pub file: &'a Path,
    /// Coordinates: `umap` stands for obsm `X_umap`.
    pub basis: &'a str,
    /// Colours: obs columns, or genes. Empty: one picture without colours.
    pub colors: &'a [String],
    /// The matrix of a gene's values.
    pub matrix: &'a str,
    /// The file of a gene's values, where it is not the result.
    pub source: Option<&'a Path>,
    /// The column of var that holds the genes' symbols; `None`: the first known one.
    pub gene_symbols: Option<&'a str>,
    /// Names on the clusters in place of a legend.
    pub on_data: bool,
    /// Size of a point as scanpy's `size`; `None`: by the number of cells.
    pub point_size: Option<f32>,
}

/// Draws an embedding once for each colour and writes the pictures to `folder`. Returns their paths.
///
/// Categorical columns take the colours of `uns/<key>_colors` where they fit, else scanpy's
/// palettes.
///
/// # Errors
/// When the file has no such embedding, column or gene, or a picture cannot be written.
pub fn embedding(
    ctx: &Context,
    plot: &EmbeddingPlot<'_>,
    folder: &Path,
    formats: Formats,
) -> Result<Vec<PathBuf>> {
    let file = H5ad::open(plot.file)?;
    let xy = coordinates(&file, plot.basis)?;
    let label = plot.basis.trim_start_matches("X_").to_uppercase();
    let (x_label, y_label) = (format!("{label}1"), format!("{label}2"));
    let style = |scatter: &mut Scatter<'_>| {
        scatter.point_size = plot.point_size;
        scatter.legend = if plot.on_data {
            Legend::OnData
        } else {
            Legend::Right
        };
        scatter.labels_on_data = plot.on_data;
    };
    let stem = plot.basis.trim_start_matches("X_");
    if plot.colors.is_empty() {
        let mut scatter = Scatter {
            x_label: &x_label,
            y_label: &y_label,
            ..Scatter::new(&xy)
        };
        style(&mut scatter);
        let picture = draw::scatter(ctx, &scatter)?;
        return write(ctx, &picture, folder, stem, formats);
    }
    let mut written = Vec::new();
    for key in plot.colors {
        let column = Paint::of(ctx, &file, plot, key, xy.len() / 2)?;
        let mut scatter = Scatter {
            x_label: &x_label,
            y_label: &y_label,
            title: &column.title,
            colour: column.colour(),
            ..Scatter::new(&xy)
        };
        style(&mut scatter);
        let picture = draw::scatter(ctx, &scatter)?;
        let name = format!("{stem}_{}", draw::file_stem(key));
        written.extend(write(ctx, &picture, folder, &name, formats)?);
    }
    Ok(written)
}

/// Refuses colours that a run's result will not have, before the run: columns of obs, columns that
/// the run adds, and genes are known.
///
/// # Errors
/// [`Error::Data`] naming the first colour that is none of these.
pub fn check_colors(file: &H5ad, params: &RunParams, colors: &[String]) -> Result<()> {
    if colors.is_empty() {
        return Ok(());
    }
    let mut known = file.dataframe_columns("obs")?;
    let base = [
        keys::LEIDEN.to_owned(),
        format!("{}{}", keys::LEIDEN, crate::result::SUFFIX),
    ];
    known.extend(
        base.iter()
            .flat_map(|key| crate::tl::leiden::keys(key, &params.resolutions)),
    );
    let raw = params.matrix.as_deref() == Some("raw/X") || !file.exists("X");
    let frame = if raw && file.exists("raw/var") {
        "raw/var"
    } else {
        "var"
    };
    for key in colors {
        if known.contains(key) {
            continue;
        }
        let there = |frame: &str| -> Result<bool> {
            if !file.exists(frame) {
                return Ok(false);
            }
            let var = file.read_dataframe(frame, None)?;
            let symbols = params.gene_symbols.as_deref();
            let symbols = symbols.filter(|name| column(&var, name).is_some());
            Ok(Identity::of(&var, symbols)?.find(key)?.is_some())
        };
        if there(frame)? || there("raw/var")? {
            if params.write_x == WriteX::None {
                return Err(Error::Parameter(format!(
                    "--color {key} is a gene, and with --write-x none the result holds no values of genes"
                )));
            }
            continue;
        }
        return Err(Error::Data(format!(
            "{}: --color {key:?} is neither a column of obs ({}) nor a gene of {frame}",
            file.path().display(),
            known.join(", ")
        )));
    }
    Ok(())
}

/// Draws the share of each principal component in the variance.
///
/// # Errors
/// When the file has no `uns/pca/variance_ratio`, or the picture cannot be written.
pub fn pca_variance(
    ctx: &Context,
    file: &Path,
    folder: &Path,
    formats: Formats,
) -> Result<Vec<PathBuf>> {
    let file = H5ad::open(file)?;
    let address = format!("uns/{}/variance_ratio", keys::PCA);
    let ratio = match read_if_there(&file, &address)? {
        Some(Elem::Array(array)) => floats(&array.data),
        _ => None,
    };
    let Some(ratio) = ratio else {
        return Err(Error::Data(format!(
            "{} has no {address}; run `cellmill pca` first",
            file.path().display()
        )));
    };
    let ratio: Vec<f64> = ratio.into_iter().map(f64::from).collect();
    let picture = draw::pca_variance(&PcaVariance::new(&ratio))?;
    write(ctx, &picture, folder, "pca_variance_ratio", formats)
}

/// Draws dispersion against mean, with the highly variable genes marked.
///
/// # Errors
/// When var lacks the columns of highly_variable_genes, or the picture cannot be written.
pub fn highly_variable_genes(
    ctx: &Context,
    file: &Path,
    folder: &Path,
    formats: Formats,
) -> Result<Vec<PathBuf>> {
    let file = H5ad::open(file)?;
    let var = file.read_dataframe("var", None)?;
    let numbers = |name: &str| -> Result<Vec<f64>> {
        match column(&var, name) {
            Some(Column::Plain(ArrayData::F64(v))) => Ok(v.clone()),
            Some(Column::Plain(ArrayData::F32(v))) => Ok(v.iter().map(|&x| f64::from(x)).collect()),
            _ => Err(Error::Data(format!(
                "{} has no numbers in var/{name}; run `cellmill hvg` first",
                file.path().display()
            ))),
        }
    };
    let Some(Column::Plain(ArrayData::Bool(selected))) = column(&var, keys::HIGHLY_VARIABLE) else {
        return Err(Error::Data(format!(
            "{} has no boolean column var/{}; run `cellmill hvg` first",
            file.path().display(),
            keys::HIGHLY_VARIABLE
        )));
    };
    let means = numbers(keys::MEANS)?;
    let dispersions = numbers(keys::DISPERSIONS)?;
    let norm = numbers(keys::DISPERSIONS_NORM)?;
    let picture = draw::hvg_dispersion(ctx, &HvgPlot::new(&means, &dispersions, &norm, selected))?;
    write(ctx, &picture, folder, "highly_variable_genes", formats)
}

/// What colours the cells, owned.
enum Values {
    Categorical {
        codes: Vec<i32>,
        categories: Vec<String>,
        colours: Option<Vec<Rgb>>,
    },
    Continuous(Vec<f32>),
}

struct Paint {
    title: String,
    values: Values,
}

impl Paint {
    /// An obs column, else a gene.
    fn of(
        ctx: &Context,
        file: &H5ad,
        plot: &EmbeddingPlot<'_>,
        key: &str,
        n: usize,
    ) -> Result<Self> {
        let columns = file.dataframe_columns("obs")?;
        if !columns.iter().any(|c| c == key) {
            let (title, values) = gene::values(ctx, file, plot, key, n)?;
            return Ok(Self {
                title,
                values: Values::Continuous(values),
            });
        }
        let obs = file.read_dataframe("obs", Some(&[key.to_owned()]))?;
        let values = match column(&obs, key) {
            Some(found) => values(found, || colours(file, key)),
            None => None,
        };
        match values {
            Some(values) => Ok(Self {
                title: key.to_owned(),
                values,
            }),
            None => Err(Error::Data(format!(
                "{}: obs/{key} holds values that cannot be drawn as colours",
                file.path().display()
            ))),
        }
    }

    fn colour(&self) -> Colour<'_> {
        match &self.values {
            Values::Categorical {
                codes,
                categories,
                colours,
            } => Colour::Categorical {
                codes,
                categories,
                colours: colours.as_deref(),
            },
            Values::Continuous(values) => Colour::Continuous {
                values,
                vmin: None,
                vmax: None,
                map: Colormap::Viridis,
            },
        }
    }
}

/// A column as categories (strings, booleans, categoricals) or numbers.
fn values(column: &Column, colours: impl FnOnce() -> Option<Vec<Rgb>>) -> Option<Values> {
    match column {
        Column::Categorical(c) => Some(Values::Categorical {
            codes: c.codes.clone(),
            categories: names(&c.categories),
            colours: colours(),
        }),
        Column::Plain(data @ (ArrayData::Str(_) | ArrayData::Bool(_))) => {
            Some(factor(&names(data), None, colours()))
        }
        Column::Nullable {
            values: data @ (ArrayData::Str(_) | ArrayData::Bool(_)),
            mask,
        } => Some(factor(&names(data), Some(mask), colours())),
        Column::Plain(data) => floats(data).map(Values::Continuous),
        Column::Nullable { values, mask } => floats(values).map(|v| {
            Values::Continuous(
                v.into_iter()
                    .zip(mask)
                    .map(|(x, &missing)| if missing { f32::NAN } else { x })
                    .collect(),
            )
        }),
    }
}

/// Strings as codes of their sorted values.
fn factor(strings: &[String], missing: Option<&Vec<bool>>, colours: Option<Vec<Rgb>>) -> Values {
    let is_missing = |i: usize| missing.is_some_and(|m| m[i]);
    let mut categories: Vec<String> = strings
        .iter()
        .enumerate()
        .filter(|&(i, _)| !is_missing(i))
        .map(|(_, s)| s.clone())
        .collect();
    categories.sort_unstable();
    categories.dedup();
    let codes = strings
        .iter()
        .enumerate()
        .map(|(i, s)| {
            if is_missing(i) {
                -1
            } else {
                categories.partition_point(|c| c < s) as i32
            }
        })
        .collect();
    Values::Categorical {
        codes,
        categories,
        colours,
    }
}

fn names(data: &ArrayData) -> Vec<String> {
    fn all<T: ToString>(values: &[T]) -> Vec<String> {
        values.iter().map(T::to_string).collect()
    }
    match data {
        ArrayData::Bool(v) => v
            .iter()
            .map(|&b| if b { "True" } else { "False" }.to_owned())
            .collect(),
        ArrayData::I8(v) => all(v),
        ArrayData::I16(v) => all(v),
        ArrayData::I32(v) => all(v),
        ArrayData::I64(v) => all(v),
        ArrayData::U8(v) => all(v),
        ArrayData::U16(v) => all(v),
        ArrayData::U32(v) => all(v),
        ArrayData::U64(v) => all(v),
        ArrayData::F32(v) => all(v),
        ArrayData::F64(v) => all(v),
        ArrayData::Str(v) => v.clone(),
    }
}

fn floats(data: &ArrayData) -> Option<Vec<f32>> {
    Some(match data {
        ArrayData::I8(v) => v.iter().map(|&x| f32::from(x)).collect(),
        ArrayData::I16(v) => v.iter().map(|&x| f32::from(x)).collect(),
        ArrayData::I32(v) => v.iter().map(|&x| x as f32).collect(),
        ArrayData::I64(v) => v.iter().map(|&x| x as f32).collect(),
        ArrayData::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
        ArrayData::U16(v) => v.iter().map(|&x| f32::from(x)).collect(),
        ArrayData::U32(v) => v.iter().map(|&x| x as f32).collect(),
        ArrayData::U64(v) => v.iter().map(|&x| x as f32).collect(),
        ArrayData::F32(v) => v.clone(),
        ArrayData::F64(v) => v.iter().map(|&x| x as f32).collect(),
        ArrayData::Bool(_) | ArrayData::Str(_) => return None,
    })
}

fn read_if_there(file: &H5ad, address: &str) -> Result<Option<Elem>> {
    if file.exists(address) {
        Ok(Some(file.read(address)?))
    } else {
        Ok(None)
    }
}

/// `uns/<key>_colors`, where every colour can be read.
fn colours(file: &H5ad, key: &str) -> Option<Vec<Rgb>> {
    match read_if_there(file, &format!("uns/{}", keys::colors(key))).ok()?? {
        Elem::Array(array) => match array.data {
            ArrayData::Str(names) => names.iter().map(|name| Rgb::parse(name)).collect(),
            _ => None,
        },
        _ => None,
    }
}

/// The first two columns of an embedding.
fn coordinates(file: &H5ad, basis: &str) -> Result<Vec<f32>> {
    let named = [format!("obsm/X_{basis}"), format!("obsm/{basis}")];
    let Some(address) = named.iter().find(|a| file.exists(a)) else {
        let known = if file.exists("obsm") {
            file.keys("obsm")?
        } else {
            Vec::new()
        };
        return Err(Error::Data(format!(
            "{} has no {}; obsm holds {}",
            file.path().display(),
            named[0],
            if known.is_empty() {
                "nothing".to_owned()
            } else {
                known.join(", ")
            }
        )));
    };
    let Elem::Array(array) = file.read(address)? else {
        return Err(Error::Data(format!(
            "{}: {address} is no dense array",
            file.path().display()
        )));
    };
    match (array.shape.as_slice(), floats(&array.data)) {
        (&[_, width], Some(values)) if width >= 2 => {
            Ok(crate::run::leading(&values, width as usize, 2).into_owned())
        }
        _ => Err(Error::Data(format!(
            "{}: {address} is no matrix of numbers with at least two columns",
            file.path().display()
        ))),
    }
}

/// Writes the picture's files, each whole or not at all.
fn write(
    ctx: &Context,
    picture: &Picture,
    folder: &Path,
    stem: &str,
    formats: Formats,
) -> Result<Vec<PathBuf>> {
    for note in picture.notes() {
        ctx.emit(Event::Note { text: note.clone() });
    }
    let io = |what: String| move |source| cellmill_engine::Error::Io { what, source };
    std::fs::create_dir_all(folder).map_err(io(format!(
        "the folder {} could not be made",
        folder.display()
    )))?;
    let mut written = Vec::new();
    let mut put = |extension: &str, bytes: &[u8]| -> Result<()> {
        let path = folder.join(format!("{stem}.{extension}"));
        let beside = folder.join(format!(
            ".{stem}.{extension}.cellmill-{}.tmp",
            std::process::id()
        ));
        let result = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, &path));
        if let Err(source) = result {
            // The error that matters is the first one.
            let _ = std::fs::remove_file(&beside);
            return Err(io(format!(
                "the picture {} could not be written",
                path.display()
            ))(source)
            .into());
        }
        written.push(path);
        Ok(())
    };
    if formats.png {
        put("png", &picture.to_png()?)?;
    }
    if formats.svg {
        put("svg", picture.to_svg()?.as_bytes())?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_codes_of_sorted_names() {
        let column = Column::Plain(ArrayData::Str(vec!["b".into(), "a".into(), "b".into()]));
        let Some(Values::Categorical {
            codes, categories, ..
        }) = values(&column, || None)
        else {
            panic!("categories");
        };
        assert_eq!(codes, [1, 0, 1]);
        assert_eq!(categories, ["a", "b"]);
    }

    #[test]
    fn missing_values_have_no_colour() {
        let column = Column::Nullable {
            values: ArrayData::I64(vec![3, 4]),
            mask: vec![false, true],
        };
        let Some(Values::Continuous(found)) = values(&column, || None) else {
            panic!("numbers")
        };
        assert!(found[0] == 3.0 && found[1].is_nan());
        let column = Column::Nullable {
            values: ArrayData::Bool(vec![true, false]),
            mask: vec![false, true],
        };
        let Some(Values::Categorical { codes, .. }) = values(&column, || None) else {
            panic!("categories")
        };
        assert_eq!(codes, [0, -1]);
    }
}
