//! What each type expresses, as tables that counts are drawn from.

mod points;

use super::arith::{exp, ln_1p_over};
use super::cohort::Cell;
use super::genes::{Class, Genes};
use super::inversion::negative_binomial;
use super::law;
use super::random::{Purpose, Stream};
use super::types::CellTypes;
use points::Points;

/// Programs that every cell runs more or less: cycling, interferon, stress, metabolism ...
pub(crate) const SHARED_PROGRAMS: usize = 4;
/// ... and those of the cell's lineage.
const LINEAGE_PROGRAMS: usize = 3;
/// All programs of a cell.
pub(crate) const PROGRAMS: usize = SHARED_PROGRAMS + LINEAGE_PROGRAMS;
/// The activity of a program lies within this.
pub(crate) const ACTIVITY: f64 = 2.0;
/// How far a cell has gone from its branch (0) to its leaf (1).
pub(crate) const MATURITY: (f64, f64) = (0.3, 1.15);
/// A gene's part in a program, or in maturing, is one of this many levels, so that a cell works
/// out each factor once and not for every gene.
const LEVELS: usize = 16;
/// Slot 0 is that of genes in no program; then the levels of each program, then of maturing.
const SLOTS: usize = 1 + (PROGRAMS + 1) * LEVELS;

/// How strongly a gene at this level follows its program: -0.65 to 0.85.
fn weight(level: usize) -> f64 {
    -0.65 + 0.1 * level as f64
}

/// How much a gene at this level changes between branch and leaf, in logarithms: -3.5 to 7.
fn change(level: usize) -> f64 {
    -3.5 + 0.7 * level as f64
}

/// The level whose change is nearest.
fn change_level(log_change: f64) -> usize {
    ((log_change + 3.5) / 0.7)
        .round()
        .clamp(0.0, (LEVELS - 1) as f64) as usize
}

/// The factors of a cell for each slot.
pub(crate) struct Factors {
    factor: [f64; SLOTS],
    /// The factor as a share of the slot's largest.
    share: [f64; SLOTS],
    /// Counts of the cell's frequent and silent genes, while the others are drawn.
    aside: Vec<(u32, u32)>,
}

impl Factors {
    pub(crate) fn new() -> Self {
        Self {
            factor: [1.0; SLOTS],
            share: [1.0; SLOTS],
            aside: Vec::new(),
        }
    }

    /// Sets the factors of this cell.
    pub(crate) fn set(&mut self, cell: &Cell, largest: &[f64; SLOTS]) {
        for p in 0..PROGRAMS {
            for level in 0..LEVELS {
                self.factor[1 + p * LEVELS + level] = exp(weight(level) * cell.programs[p]);
            }
        }
        for level in 0..LEVELS {
            self.factor[1 + PROGRAMS * LEVELS + level] = exp(change(level) * (cell.maturity - 1.0));
        }
        for (share, (factor, most)) in self.share.iter_mut().zip(self.factor.iter().zip(largest)) {
            *share = factor / most;
        }
    }
}

/// A gene from this many expected molecules (in a cell of base depth) is drawn by itself.
const FREQUENT: f64 = 0.7;
/// A gene below this many is in a table of its kind, so that the others' table stays small.
const SELDOM: f64 = 0.003;

/// The table of one type.
struct Table {
    /// Each gene's share of the molecules.
    share: Vec<f64>,
    /// Each gene's share times dispersion.
    spread: Vec<f32>,
    /// The slot of the factor that a cell has for the gene.
    slot: Vec<u8>,
    /// Genes that are drawn by themselves, rising.
    frequent: Vec<u32>,
    /// Most genes that are seen.
    ordinary: Points,
    /// The silent ones.
    seldom: Points,
}

/// What each type expresses, and what batches do to genes.
pub(crate) struct Profiles {
    tables: Vec<Table>,
    /// The largest factor of each slot over all cells.
    largest: [f64; SLOTS],
    /// Batch x gene factors.
    batch: Vec<Vec<f32>>,
    /// The largest of them.
    largest_batch: f64,
    /// Symbols that markers are called by: gene and symbol.
    pub(crate) markers: Vec<(usize, &'static str)>,
}

/// A change of the logarithm of some genes' abundance, at one node of the tree.
struct Node {
    changes: Vec<(u32, f64)>,
    markers: Vec<u32>,
}

impl Node {
    /// `share` of the genes change by a normal of width `sd`; `markers` genes rise to be well
    /// expressed, to about `level` (ln counts per million).
    fn new(
        genes: &Genes,
        random: &mut Stream,
        share: f64,
        sd: f64,
        markers: f64,
        level: f64,
    ) -> Self {
        let n = genes.len();
        let mut changes = Vec::new();
        for (g, class) in genes.class.iter().enumerate() {
            if random.unit() < share {
                // Housekeeping genes differ less between types.
                let width = if *class == Class::Ordinary {
                    sd
                } else {
                    0.3 * sd
                };
                changes.push((g as u32, width * random.normal_within(2.5)));
            }
        }
        let wanted = (markers * n as f64 / 27_714.0).round().max(2.0) as usize;
        let mut chosen = Vec::new();
        // Bounded, so that a handful of genes without a silent one among them ends too.
        for _ in 0..wanted * 20 {
            let g = random.below(n);
            let base = genes.log_abundance[g];
            if genes.class[g] == Class::Ordinary && base < 2.5 && !chosen.contains(&(g as u32)) {
                changes.push((g as u32, level + 0.9 * random.normal_within(2.0) - base));
                chosen.push(g as u32);
                if chosen.len() == wanted {
                    break;
                }
            }
        }
        Self {
            changes,
            markers: chosen,
        }
    }
}

impl Profiles {
    pub(crate) fn new(
        genes: &Genes,
        types: &CellTypes,
        seed: u64,
        n_batches: usize,
        batch_effect: f64,
        ambient: f64,
    ) -> Self {
        let n = genes.len();
        let node = |level: u64, i: usize, share, sd, markers, height| {
            let mut random = Stream::new(seed, Purpose::Types, (level << 32) + i as u64);
            Node::new(genes, &mut random, share, sd, markers, height)
        };
        let majors: Vec<Node> = (0..types.majors.len())
            .map(|m| node(1, m, 0.15, 1.2, 60.0, 5.2))
            .collect();
        let branches: Vec<Node> = (0..types.branches.len())
            .map(|b| node(2, b, 0.07, 0.9, 30.0, 4.8))
            .collect();
        let leaves: Vec<Node> = (0..types.len())
            .map(|t| node(3, t, 0.04, 0.8, 25.0, 4.8))
            .collect();

        let mut markers = Vec::new();
        for (m, found) in majors.iter().enumerate() {
            markers.extend(
                found
                    .markers
                    .iter()
                    .map(|&g| g as usize)
                    .zip(types.major_symbols(m).iter().copied()),
            );
        }
        for (t, found) in leaves.iter().enumerate() {
            markers.extend(
                found
                    .markers
                    .iter()
                    .map(|&g| g as usize)
                    .zip(types.symbols(t).iter().copied()),
            );
        }

        // Each lineage: which program a gene is in, and how strongly. The shared programs come
        // first and are the same for all lineages.
        let programs: Vec<Vec<u8>> = (0..types.majors.len())
            .map(|m| {
                let mut slot = vec![0u8; n];
                for p in 0..PROGRAMS {
                    let index = if p < SHARED_PROGRAMS {
                        p as u64
                    } else {
                        ((m as u64 + 1) << 8) + p as u64
                    };
                    let mut random = Stream::new(seed, Purpose::Programs, index);
                    for (g, at) in slot.iter_mut().enumerate() {
                        // The draws are made for every gene: a stream must not depend on which
                        // genes an earlier program took.
                        let (u, w) = (random.unit(), random.normal());
                        if u < 0.03 && *at == 0 && genes.class[g] != Class::Mitochondrial {
                            let level = ((0.3 + 0.35 * w + 0.65) / 0.1)
                                .round()
                                .clamp(0.0, (LEVELS - 1) as f64);
                            *at = (1 + p * LEVELS + level as usize) as u8;
                        }
                    }
                }
                slot
            })
            .collect();

        let mut shares: Vec<Vec<f64>> = Vec::with_capacity(types.len());
        let mut slots: Vec<Vec<u8>> = Vec::with_capacity(types.len());
        for t in 0..types.len() {
            let mut log = genes.log_abundance.clone();
            let mut slot = programs[types.major[t]].clone();
            for node in [&majors[types.major[t]], &branches[types.branch[t]]] {
                node.changes.iter().for_each(|&(g, c)| log[g as usize] += c);
            }
            for &(g, c) in &leaves[t].changes {
                let level = change_level(c);
                log[g as usize] += change(level);
                slot[g as usize] = (1 + PROGRAMS * LEVELS + level) as u8;
            }
            if types.names[t].starts_with("erythrocyte") {
                for (g, class) in genes.class.iter().enumerate() {
                    if *class == Class::Haemoglobin {
                        log[g] += 11.0;
                    }
                }
            }
            let mut share: Vec<f64> = log.iter().map(|&l| exp(l)).collect();
            let sum: f64 = share.iter().sum();
            share.iter_mut().for_each(|s| *s /= sum);
            shares.push(share);
            slots.push(slot);
        }
        if ambient > 0.0 {
            let mut soup = vec![0.0; n];
            for (share, frequency) in shares.iter().zip(&types.frequency) {
                soup.iter_mut()
                    .zip(share)
                    .for_each(|(s, q)| *s += frequency * q);
            }
            for share in &mut shares {
                share
                    .iter_mut()
                    .zip(&soup)
                    .for_each(|(q, s)| *q = (1.0 - ambient) * *q + ambient * s);
            }
        }

        let mut largest = [1.0; SLOTS];
        for p in 0..PROGRAMS {
            for level in 0..LEVELS {
                largest[1 + p * LEVELS + level] = exp(weight(level).abs() * ACTIVITY);
            }
        }
        for level in 0..LEVELS {
            let c = change(level);
            largest[1 + PROGRAMS * LEVELS + level] = exp(if c > 0.0 {
                c * (MATURITY.1 - 1.0)
            } else {
                c * (MATURITY.0 - 1.0)
            });
        }
        let mut largest_batch = 1.0;
        let batch: Vec<Vec<f32>> = (0..n_batches)
            .map(|b| {
                let mut random = Stream::new(seed, Purpose::Batch, b as u64);
                (0..n)
                    .map(|_| exp(batch_effect * random.normal_within(2.5)) as f32)
                    .collect()
            })
            .collect();
        for f in batch.iter().flatten() {
            largest_batch = f64::max(largest_batch, f64::from(*f));
        }
        let tables = shares
            .into_iter()
            .zip(slots)
            .map(|(share, slot)| Table::new(share, slot, &genes.scatter))
            .collect();
        Self {
            tables,
            largest,
            batch,
            largest_batch,
            markers,
        }
    }

    /// Makes the tables ready for cells of about this depth. It sets how genes are drawn, not what
    /// they follow.
    pub(crate) fn prepare(&mut self, depth: f64) {
        for table in &mut self.tables {
            table.prepare(depth, &self.largest, self.largest_batch);
        }
    }

    /// Heap bytes of the tables.
    pub(crate) fn bytes(&self) -> u64 {
        let genes = self.tables.first().map_or(0, |t| t.share.len()) as u64;
        self.tables.len() as u64 * genes * (Points::entry_bytes() + 8 + 4 + 1)
            + self.batch.len() as u64 * genes * 4
    }

    /// Draws the counts of a cell, genes in rising order, into `put(gene, count)`.
    ///
    /// A negative binomial of mean m and dispersion φ is a Poisson number of bursts, of rate
    /// ln(1 + m φ)/φ, whose sizes follow the logarithmic law with p = m φ/(1 + m φ) (Quenouille
    /// 1949; Fisher, Corbet and Williams 1943). That rate is below m, and m below the table's
    /// `upper` times the depth. So: a Poisson process of points along the table, thinned to the
    /// bursts, costs what the molecules cost, not what the genes cost; it meets the genes in
    /// order; and the counts are exactly negative binomial. The few hundred genes that most cells
    /// have molecules of would see many points for few bursts; they are drawn one by one.
    pub(crate) fn draw(
        &self,
        cell: &Cell,
        batch: usize,
        factors: &mut Factors,
        random: &mut Stream,
        mut put: impl FnMut(u32, u32),
    ) {
        factors.set(cell, &self.largest);
        let table = &self.tables[cell.kind];
        let batch = self.batch[batch].as_slice();
        let mut aside = std::mem::take(&mut factors.aside);
        aside.clear();
        for &gene in &table.frequent {
            let g = gene as usize;
            let scale =
                cell.depth * factors.factor[usize::from(table.slot[g])] * f64::from(batch[g]);
            let count = negative_binomial(
                scale * table.share[g],
                scale * f64::from(table.spread[g]),
                random,
            );
            if count > 0 {
                aside.push((gene, count));
            }
        }
        let per_batch = 1.0 / self.largest_batch;
        table
            .seldom
            .draw(cell.depth, batch, per_batch, factors, random, |g, c| {
                aside.push((g, c))
            });
        aside.sort_unstable();
        let mut others = aside.iter().copied().peekable();
        table.ordinary.draw(
            cell.depth,
            batch,
            per_batch,
            factors,
            random,
            |gene, count| {
                while let Some((g, c)) = others.next_if(|other| other.0 < gene) {
                    put(g, c);
                }
                put(gene, count);
            },
        );
        others.for_each(|(g, c)| put(g, c));
        factors.aside = aside;
    }

    /// Calls `put(mean, dispersion)` for every gene of a cell, in order: the law that
    /// [`Profiles::draw`] draws from.
    pub(crate) fn law(
        &self,
        cell: &Cell,
        batch: usize,
        factors: &mut Factors,
        mut put: impl FnMut(f64, f64),
    ) {
        factors.set(cell, &self.largest);
        let table = &self.tables[cell.kind];
        for (g, (share, b)) in table.share.iter().zip(&self.batch[batch]).enumerate() {
            let mean =
                cell.depth * share * factors.factor[usize::from(table.slot[g])] * f64::from(*b);
            put(mean, f64::from(table.spread[g]) / share);
        }
    }

    /// The number of genes that a cell is expected to have a count of.
    pub(crate) fn expected_entries(&self, cell: &Cell, batch: usize, factors: &mut Factors) -> f64 {
        let mut sum = 0.0;
        self.law(cell, batch, factors, |mean, dispersion| {
            let bursts = mean * ln_1p_over(mean * dispersion);
            sum += if bursts < 1e-4 {
                bursts
            } else {
                1.0 - exp(-bursts)
            };
        });
        sum
    }
}

impl Table {
    fn new(share: Vec<f64>, slot: Vec<u8>, scatter: &[f64]) -> Self {
        let spread = share
            .iter()
            .zip(scatter)
            .map(|(&q, &s)| (q * law::dispersion(q, s)) as f32)
            .collect();
        let (ordinary, seldom) = (Points::default(), Points::default());
        Self {
            share,
            spread,
            slot,
            frequent: Vec::new(),
            ordinary,
            seldom,
        }
    }

    fn prepare(&mut self, depth: f64, largest: &[f64; SLOTS], largest_batch: f64) {
        self.frequent.clear();
        (self.ordinary, self.seldom) = (Points::default(), Points::default());
        for (g, &share) in self.share.iter().enumerate() {
            let expected = share * depth;
            if expected >= FREQUENT {
                self.frequent.push(g as u32);
                continue;
            }
            let slot = self.slot[g];
            let rate = share * largest[usize::from(slot)] * largest_batch;
            let points = if expected < SELDOM {
                &mut self.seldom
            } else {
                &mut self.ordinary
            };
            points.push(g as u32, slot, rate, self.spread[g]);
        }
        self.ordinary.index();
        self.seldom.index();
    }
}
