//! Quality control in a run: which features enter, which cells and genes stay, and the columns of
//! obs and var.

use crate::identity::{Identity, gene_expression};
use crate::input::{Input, take_rows};
use crate::params::RunParams;
use crate::pp::calculate_qc_metrics::{self, MT, PERCENT_TOP, QcParams, SumDtype};
use crate::pp::filter::cells_of_file;
use crate::result::suffix;
use crate::slot::Patch;
use crate::{Error, Result, keys};
use cellmill_engine::reduce::{CountCheck, Metrics, Quality};
use cellmill_engine::{Context, Event, Reservation, Source, run_stage};
use cellmill_io::{ArrayData, Column};

/// Quality control of the input.
pub(crate) struct QualityControl {
    /// What is computed.
    pub params: QcParams,
}

impl QualityControl {
    /// Looks at the names of the genes. What is known before any read is selected at once: of 10x
    /// files the features that are genes, and the cells that a file names.
    ///
    /// # Errors
    /// When the column of symbols is not there, a name of a cell is unknown, `max_mt` was given and
    /// no gene is mitochondrial, or a word of `hvg_exclude` stands for no gene.
    pub fn prepare(input: &mut Input, params: &RunParams) -> Result<Self> {
        let cells = match &params.filters.cells {
            None => None,
            Some(path) => {
                let obs = input.file.read_dataframe("obs", Some(&[]))?;
                let cells = cells_of_file(path, &obs.index)?;
                input.notes.push(format!(
                    "cells: {} of {} are named in {}",
                    cells.iter().filter(|&&c| c).count(),
                    obs.index.len(),
                    path.display()
                ));
                Some(cells)
            }
        };
        let features = gene_expression(&input.var);
        if let Some(features) = &features {
            input.notes.push(features.note.clone());
        }
        if cells.is_some() || features.is_some() {
            let genes = features.as_ref().map(|f| f.genes.as_slice());
            input.select(cells.as_deref(), genes)?;
        }
        let genes = Identity::of(&input.var, params.gene_symbols.as_deref())?;
        input.notes.extend(genes.notes());
        input.exclude(&params.hvg_exclude, &genes)?;
        let dtype = SumDtype::of(&input.file.matrix_info(&input.matrix)?.data_dtype);
        let qc = QcParams {
            qc_vars: calculate_qc_metrics::families(&genes)?,
            ..QcParams::new(dtype)
        };
        // An error here and not after a read, where no gene is mitochondrial.
        params.filters.bounds(&qc)?;
        Ok(Self { params: qc })
    }

    /// What the user should know of the sets of genes.
    pub fn note(&self) -> Option<String> {
        let sets = &self.params.qc_vars;
        sets.iter().all(|(name, _)| name != MT).then(|| {
            "no gene is mitochondrial by its name (MT-, mt-): no column pct_counts_mt is written"
                .to_owned()
        })
    }

    /// The reduction, without bounds.
    ///
    /// # Errors
    /// When the sets of genes do not fit the matrix.
    pub fn reduction(&self, input: &Input) -> Result<Quality> {
        self.params.reduction(input.source.n_cols())
    }

    /// Reads the matrix once for its quality, and selects the cells and genes within the
    /// thresholds. Returns the columns of what is left.
    ///
    /// # Errors
    /// When values are no counts, or nothing is left.
    pub fn filter(
        &self,
        ctx: &Context,
        input: &mut Input,
        params: &RunParams,
        stage: &str,
    ) -> Result<Columns> {
        let bounds = params.filters.bounds(&self.params)?;
        let reduce = (self.reduction(input)?.with_bounds(bounds)?, CountCheck);
        let (found, report) = run_stage(ctx, stage, &input.source, &[], &reduce, &())?;
        super::counts_read::refuse_what_is_not_counts(input, &report, params.fractional)?;
        let n = found.within.len();
        let rows: Vec<u32> = (0u32..)
            .zip(&found.within)
            .filter(|&(_, &w)| w)
            .map(|(i, _)| i)
            .collect();
        let genes = params.filters.genes(&found);
        let n_genes = found.genes.len();
        let kept_genes = genes.as_ref().map_or(n_genes, Vec::len);
        let text = format!(
            "filters ({}): {} of {n} cells and {kept_genes} of {n_genes} genes are left",
            params.filters,
            rows.len()
        );
        if rows.is_empty() || kept_genes == 0 {
            return Err(Error::Data(format!(
                "{}: {text}; nothing can be analysed, loosen the thresholds",
                input.file.path().display()
            )));
        }
        ctx.emit(Event::Note { text });
        let mut columns = self.columns(ctx, input, &found)?;
        columns.take(&rows, genes.as_deref())?;
        input.select(Some(&found.within), genes.as_deref())?;
        Ok(columns)
    }

    /// Reads the matrix once for its quality alone.
    ///
    /// # Errors
    /// Whatever is wrong with the matrix.
    pub fn read(&self, ctx: &Context, input: &Input) -> Result<Metrics> {
        let reduce = self.reduction(input)?;
        Ok(run_stage(
            ctx,
            "quality control",
            &input.source,
            &[],
            &reduce,
            &(),
        )?)
    }

    /// Reads the matrix once for the quality of all its cells and genes, and the shares of the
    /// highest genes.
    ///
    /// # Errors
    /// When values are no counts, or the columns do not fit the budget.
    pub fn of_all(mut self, ctx: &Context, input: &Input, params: &RunParams) -> Result<Columns> {
        let n_genes = input.source.n_cols();
        self.params.percent_top = PERCENT_TOP
            .into_iter()
            .filter(|&top| top <= n_genes)
            .collect();
        let reduce = (self.reduction(input)?, CountCheck);
        let (found, report) = run_stage(ctx, "quality control", &input.source, &[], &reduce, &())?;
        super::counts_read::refuse_what_is_not_counts(input, &report, params.fractional)?;
        self.columns(ctx, input, &found)
    }

    /// The columns of all cells and genes of the input as it stands.
    ///
    /// # Errors
    /// When they do not fit the budget.
    pub fn columns(&self, ctx: &Context, input: &Input, found: &Metrics) -> Result<Columns> {
        let held = ctx.budget().reserve(
            bytes(
                input.source.n_rows(),
                u64::from(input.source.n_cols()),
                &self.params,
            ),
            "columns of quality control",
        )?;
        let mut var: Vec<(String, Column)> = self
            .params
            .qc_vars
            .iter()
            .map(|(name, genes)| {
                let mut member = vec![false; found.genes.len()];
                for &gene in genes {
                    member[gene as usize] = true;
                }
                (name.clone(), Column::Plain(ArrayData::Bool(member)))
            })
            .collect();
        var.extend(self.params.var(found));
        Ok(Columns {
            obs: self.params.obs(found),
            var,
            _held: held,
        })
    }
}

/// Upper bound of the bytes of the columns.
pub(crate) fn bytes(n_cells: u64, n_genes: u64, params: &QcParams) -> u64 {
    let number = if params.dtype.is_wide() { 8 } else { 4 };
    let sets = params.qc_vars.len() as u64;
    n_cells * (12 + 2 * number + 8 * params.percent_top.len() as u64 + 3 * number * sets)
        + n_genes * (16 + 4 * number + sets)
}

/// The columns of obs and var.
pub(crate) struct Columns {
    obs: Vec<(String, Column)>,
    var: Vec<(String, Column)>,
    _held: Reservation,
}

impl Columns {
    fn take(&mut self, rows: &[u32], genes: Option<&[u32]>) -> Result<()> {
        for (_, column) in &mut self.obs {
            *column = take_rows(column, rows)?;
        }
        if let Some(genes) = genes {
            for (_, column) in &mut self.var {
                *column = take_rows(column, genes)?;
            }
        }
        Ok(())
    }

    /// The slots. A name that the input has already gets a suffix, unless it may be replaced.
    pub fn into_patch(self, input: &Input, overwrite: bool) -> Patch {
        let named = |frame: &str, name: &str| {
            let stale = frame == "var" && keys::STALE_VAR.contains(&name);
            let suffix = suffix(&input.file, &format!("{frame}/{name}"), overwrite || stale);
            format!("{name}{suffix}")
        };
        let mut patch = Patch::new();
        for (name, column) in self.obs {
            patch = patch.obs(&named("obs", &name), column);
        }
        for (name, column) in self.var {
            patch = patch.var(&named("var", &name), column);
        }
        patch
    }
}
