//! `cellmill info`: what a file holds, and which matrices look like raw counts.

use crate::args::InfoArgs;
use crate::output::say;
use anyhow::Result;
use cellmill::counts::Kind;
use cellmill::input::{Candidate, candidates};
use cellmill_engine::error::human_bytes;
use cellmill_io::H5ad;
use serde_json::json;

const GROUPS: [&str; 8] = [
    "obs", "var", "obsm", "varm", "obsp", "varp", "uns", "layers",
];

pub fn info(args: &InfoArgs) -> Result<()> {
    let file = H5ad::open(&args.file)?;
    for text in file.warnings() {
        eprintln!("warning: {text}");
    }
    let candidates = candidates(&file)?;
    let length =
        |frame: &str| Ok::<u64, anyhow::Error>(file.shape_of(frame)?.first().copied().unwrap_or(0));
    let (n_obs, n_vars) = (length("obs")?, length("var")?);
    let mut groups = Vec::new();
    for group in GROUPS {
        if file.exists(group) {
            let keys = match group {
                "obs" | "var" => file.dataframe_columns(group)?,
                _ => file.keys(group)?,
            };
            groups.push((group, keys));
        }
    }
    if args.json {
        let elements: serde_json::Map<_, _> = groups
            .into_iter()
            .map(|(g, keys)| (g.to_owned(), json!(keys)))
            .collect();
        let value = json!({
            "file": file.path(),
            "bytes": file.identity().size,
            "n_obs": n_obs,
            "n_vars": n_vars,
            "matrices": candidates,
            "elements": elements,
        });
        say!("{}", serde_json::to_string_pretty(&value)?)?;
        return Ok(());
    }
    say!(
        "{}: {} cells x {} genes, {}",
        file.path().display(),
        n_obs,
        n_vars,
        human_bytes(file.identity().size)
    )?;
    for candidate in &candidates {
        describe(candidate)?;
    }
    for (group, keys) in groups {
        if !keys.is_empty() {
            say!("{group}: {}", keys.join(", "))?;
        }
    }
    Ok(())
}

fn describe(candidate: &Candidate) -> Result<()> {
    let info = &candidate.info;
    let [rows, columns] = info.shape;
    say!("\n{}: {rows} x {columns}, {}", info.address, info.encoding)?;
    if let Some(nnz) = info.nnz {
        let share = 100.0 * nnz as f64 / (rows as f64 * columns as f64).max(1.0);
        say!(
            "  {nnz} entries, {share:.2} % of the matrix, {:.0} a cell",
            nnz as f64 / (rows as f64).max(1.0)
        )?;
    }
    let filters = if info.filters.is_empty() {
        "none".to_owned()
    } else {
        info.filters.join(" + ")
    };
    let chunks = info
        .chunk_entries
        .map_or("contiguous".to_owned(), |n| format!("chunks of {n}"));
    let indices = if info.encoding == "dense" {
        String::new()
    } else {
        format!(
            ", indices {}, indptr {}",
            info.indices_dtype, info.indptr_dtype
        )
    };
    say!(
        "  data {}{indices}; compression {filters}, {chunks}, {} on disk",
        info.data_dtype,
        human_bytes(info.compressed_bytes)
    )?;
    let verdict = match candidate.kind {
        Some(Kind::RawCounts) => "looks like raw counts",
        Some(Kind::FractionalCounts) => "looks like counts with fractions (SoupX, RSEM)",
        Some(Kind::Normalised) => "looks normalised",
        Some(Kind::Scaled) => "looks scaled",
        Some(Kind::Empty) => "holds nothing that was seen",
        None => "cannot be read as a stream of cells",
    };
    say!("  {verdict}: {}", candidate.why)
}
