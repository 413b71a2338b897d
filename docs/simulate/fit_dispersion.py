"""Fits the laws of crates/cellmill/src/simulate/law.rs to real counts, and draws them.

    python docs/simulate/fit_dispersion.py DATA [SIMULATED.h5ad ...]

DATA is the folder with human_pbmc/pbmc3k_raw_csr.h5ad and
other_raw/sc_mixology_5batch_raw_csr.h5ad. Needs numpy, scipy, anndata, matplotlib.
Prints the constants; with simulated files (plain layout or raw/X) it also draws
docs/simulate/dispersion.png: what is estimated from real and from simulated cells, in the same
way.

Dispersion. Inside a group of cells of one type (and one batch) with totals t_c, size factors
s_c = t_c / mean(t), gene means mu_g: m_cg = s_c mu_g, and a negative binomial has
E[(x - m)^2 - m] = phi m^2. So phi_g = sum[(x-m)^2 - x] n/(n-1) / sum[m^2], sums over cells and
groups. Genes are put into bins of their abundance (counts per million inside the groups); a bin's
phi is the median over genes where a gene has enough counts for one (>= 30 counts expected in the
pairs that carry the information), a ratio of trimmed sums below. The law is
    phi(cpm) = floor + (knee / cpm)^slope,
fitted to both data sets with one slope and floor, and a knee each; the simulator takes the
geometric mean of the knees: cell lines have too little variation of their own, the blood labels
hide some of theirs. The scatter of ln phi about the law comes from the well measured genes.

Abundance. A gene's total count is Poisson with a log-normal mixture for the rate (three
components, EM over a grid), fitted to pbmc3k's 32,738 genes, those never seen included.
"""

import sys
import numpy as np
import anndata as ad
import scipy.sparse as sp
from scipy.optimize import least_squares
from scipy.special import gammaln


def read(path, labels):
    a = ad.read_h5ad(path)
    x = a.X if a.X is not None else a.raw.X
    keep = np.ones(a.n_obs, bool)
    if "demuxlet_cls" in a.obs:
        keep = (a.obs["demuxlet_cls"] == "SNG").to_numpy()
    names = np.array(["|".join(str(a.obs[k].iloc[i]) for k in labels) for i in range(a.n_obs)])
    keep = keep & (names != "nan")
    return sp.csr_matrix(x, dtype=np.float64)[keep], names[keep]


def estimate(x, groups):
    """cpm, phi, expected pairs (the weight of phi's estimate) of each gene."""
    n_genes = x.shape[1]
    num, den, total, depth = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes), 0.0
    for g in np.unique(groups):
        y = x[groups == g]
        k = y.shape[0]
        if k < 30:
            continue
        t = np.asarray(y.sum(1)).ravel()
        s = t / t.mean()
        gene_total = np.asarray(y.sum(0)).ravel()
        mu = gene_total / s.sum()
        x2 = np.asarray(y.multiply(y).sum(0)).ravel()
        square = (x2 - 2 * mu * (y.T @ s) + mu**2 * (s**2).sum()) * k / (k - 1)
        num += square - gene_total
        den += mu**2 * (s**2).sum()
        total += gene_total
        depth += t.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return total / depth * 1e6, num, den, total


def curve(x, groups):
    """Bins of abundance: cpm, phi, number of genes."""
    cpm, num, den, total = estimate(x, groups)
    out = []
    edges = 2.0 ** np.arange(-2, 14, 1.0)
    for lo, hi in zip(edges[:-1], edges[1:]):
        i = np.flatnonzero((cpm >= lo) & (cpm < hi) & (total >= 5))
        if len(i) < 20:
            continue
        phi = num[i] / den[i]
        if np.median(den[i]) >= 5.0:
            value = np.median(phi)
        else:
            cut = np.quantile(num[i], 0.99)  # a few genes are markers that the labels do not know
            j = i[num[i] <= cut]
            value = num[j].sum() / den[j].sum()
        if value > 0 and den[i].sum() >= 50:
            out.append((np.exp(np.log(cpm[i]).mean()), value, len(i)))
    well = (den >= 20) & (num > 0) & (cpm > 4)
    return np.array(out), (cpm[well], num[well] / den[well])


def fit_law(curves):
    def law(p, cpm, k):
        return np.exp(p[0]) + (np.exp(p[2 + k]) / cpm) ** p[1]

    def residual(p):
        return np.concatenate([
            (np.log(law(p, c[:, 0], k)) - np.log(c[:, 1])) for k, c in enumerate(curves)
        ])

    fit = least_squares(residual, [np.log(0.03), 0.7] + [np.log(20.0)] * len(curves),
                        bounds=([np.log(0.003), 0.2] + [-5] * len(curves), [0, 2] + [12] * len(curves)),
                        loss="soft_l1")
    return np.exp(fit.x[0]), fit.x[1], np.exp(fit.x[2:])


def fit_abundance(totals, components=3, steps=400):
    depth = totals.sum()
    k, weight = np.unique(totals, return_counts=True)
    grid = np.linspace(-9, 11, 401)
    rate = np.exp(grid) * depth / 1e6
    with np.errstate(divide="ignore"):
        like = np.exp(k[:, None] * np.log(rate)[None] - rate[None] - gammaln(k + 1)[:, None])
    w, m, s = np.array([0.5, 0.45, 0.05]), np.array([-3.0, 3.0, 6.0]), np.array([2.0, 1.5, 1.5])
    for _ in range(steps):
        prior = np.exp(-0.5 * ((grid[None] - m[:, None]) / s[:, None]) ** 2) / s[:, None]
        prior *= (w / prior.sum(1))[:, None]
        joint = like @ prior.T  # unique x component
        whole = joint.sum(1)
        post = np.einsum("u,ug,cg->cg", weight / whole, like, prior)
        w = post.sum(1) / post.sum()
        m = (post @ grid) / post.sum(1)
        s = np.sqrt((post * (grid[None] - m[:, None]) ** 2).sum(1) / post.sum(1))
    never = ((np.exp(-rate)[None] * prior).sum())
    return w, m, s, never


def main():
    data, simulated = sys.argv[1], sys.argv[2:]
    real = {
        "pbmc3k": read(f"{data}/human_pbmc/pbmc3k_raw_csr.h5ad", ["cell_type"]),
        "sc_mixology": read(f"{data}/other_raw/sc_mixology_5batch_raw_csr.h5ad", ["cell_line", "batch"]),
    }
    curves, wells = {}, {}
    for name, (x, groups) in real.items():
        curves[name], wells[name] = curve(x, groups)
    floor, slope, knees = fit_law(list(curves.values()))
    knee = float(np.exp(np.log(knees).mean()))
    scatter = []
    for (name, (cpm, phi)), k in zip(wells.items(), knees):
        r = np.log(phi) - np.log(floor + (k / cpm) ** slope)
        iqr = np.quantile(r, 0.75) - np.quantile(r, 0.25)
        scatter.append(iqr / 1.349)
    print(f"dispersion: floor {floor:.4f} slope {slope:.4f} knees {dict(zip(curves, knees.round(2)))} "
          f"-> knee {knee:.2f}, scatter of ln phi {np.mean(scatter):.3f} {np.round(scatter, 3)}")

    totals = np.asarray(real["pbmc3k"][0].sum(0)).ravel()
    w, m, s, never = fit_abundance(totals)
    print("abundance (ln cpm): weight, mean, sd")
    for row in zip(w, m, s):
        print("  %.4f %.4f %.4f" % row)
    print(f"  never seen: law {never:.3f}, data {(totals == 0).mean():.3f}")
    for name, (x, groups) in real.items():
        t = np.asarray(x.sum(1)).ravel()
        inside = [np.log(t[groups == g]).std() for g in np.unique(groups) if (groups == g).sum() >= 30]
        print(f"{name}: sd of ln total {np.log(t).std():.3f}, inside groups {np.round(inside, 2)}, "
              f"median total {np.median(t):.0f}, median genes {np.median(np.diff(x.indptr)):.0f}")
    if simulated:
        draw(curves, simulated, (floor, slope, knee), totals)


def draw(curves, simulated, law, totals):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    floor, slope, knee = law
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), dpi=110)
    cpm = np.logspace(-0.6, 4, 200)
    for name, c in curves.items():
        left.plot(c[:, 0], c[:, 1], "o-", label=f"{name}, real")
    left.plot(cpm, floor + (knee / cpm) ** slope, "k--", lw=1, label="law of the simulator")
    ours = []
    for path in simulated:
        x, groups = read(path, ["cell_type", "batch"])
        c, _ = curve(x, groups)
        left.plot(c[:, 0], c[:, 1], "s-", label=f"simulated, {x.shape[0]:,} cells, {x.nnz / x.shape[0]:,.0f} entries")
        ours.append((path, np.asarray(x.sum(0)).ravel()))
    left.set(xscale="log", yscale="log", xlabel="abundance inside types (counts per million)",
             ylabel="dispersion φ of the negative binomial", title="Mean and dispersion inside types")
    left.legend(fontsize=8)
    bins = np.linspace(-2, 11, 53)
    seen = totals[totals > 0]
    right.hist(np.log(seen / totals.sum() * 1e6), bins, density=True, histtype="step",
               label=f"pbmc3k, real, {(totals == 0).mean():.0%} never seen")
    for _, t in ours:
        right.hist(np.log(t[t > 0] / t.sum() * 1e6), bins, density=True, histtype="step",
                   label=f"simulated, {(t == 0).mean():.0%} never seen")
    right.set(xlabel="ln(counts per million), genes that were seen", title="Abundance")
    right.legend(fontsize=8)
    fig.tight_layout()
    fig.savefig("docs/simulate/dispersion.png")


if __name__ == "__main__":
    main()
