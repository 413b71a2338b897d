//! Draws every kind of picture from synthetic data, to be looked at:
//! `cargo run --release -p cellmill --example draw_gallery -- FOLDER [NAME]`.

use cellmill::draw::{self, Colormap, Colour, HvgPlot, Legend, PcaVariance, Picture, Rgb, Scatter};
use cellmill_engine::Context;
use std::time::Instant;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A counter-based generator: SplitMix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    }

    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }
}

/// Coordinates, types and a number for each cell.
struct Cells {
    xy: Vec<f32>,
    codes: Vec<i32>,
    values: Vec<f32>,
}

/// `n` cells of `k` types: each a bent cloud, some touching; shares fall to 0.1 %.
fn mixture(n: usize, k: usize, seed: u64) -> Cells {
    let mut random = Random(seed);
    let mut shares: Vec<f32> = (0..k).map(|t| (-3.0 * t as f32 / k as f32).exp()).collect();
    let total: f32 = shares.iter().sum();
    shares.iter_mut().for_each(|s| *s /= total);
    if k >= 8 {
        shares[k - 1] = 0.001;
        shares[k - 2] = 0.002;
    }
    let types: Vec<[f32; 6]> = (0..k)
        .map(|t| {
            let angle = 2.4 * t as f32;
            let radius = 9.0 * ((t as f32 + 0.7) / k as f32).sqrt();
            let size = (shares[t] * 90.0).sqrt().clamp(0.15, 3.2) * if k == 1 { 0.3 } else { 0.75 };
            [
                radius * angle.cos() + 0.5 * random.normal(),
                radius * angle.sin() + 0.5 * random.normal(),
                size,
                0.4 + 0.5 * random.unit(),
                std::f32::consts::TAU * random.unit(),
                random.normal(),
            ]
        })
        .collect();
    let (mut xy, mut codes, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let mut pick = random.unit() * shares.iter().sum::<f32>();
        let mut t = 0;
        while t + 1 < k && pick > shares[t] {
            pick -= shares[t];
            t += 1;
        }
        let [x, y, size, flat, turn, bend] = types[t];
        let along = ((2.0 * random.unit() - 1.0) * 1.1 + 0.2 * random.normal()) * size;
        let across = random.normal() * size * 0.35 * flat + 0.25 * bend * along * along / size;
        xy.push(x + along * turn.cos() - across * turn.sin());
        xy.push(y + along * turn.sin() + across * turn.cos());
        codes.push(t as i32);
        let mean = ((t * 7 + 3) % 11) as f32 / 4.0 - 1.0;
        values.push((mean + 0.6 * random.normal()).max(0.0));
    }
    Cells { xy, codes, values }
}

fn names(k: usize, long: bool) -> Vec<String> {
    const LONG: [&str; 8] = [
        "CD8-positive, alpha-beta memory T cell",
        "naïve B cell",
        "CD16⁺ monocyte",
        "natural killer cell",
        "β cell <INS> & \"µ\"",
        "plasmacytoid dendritic cell",
        "erythroid lineage [G/L]",
        "platelet",
    ];
    (0..k)
        .map(|i| {
            if long {
                format!(
                    "{}{}",
                    LONG[i % 8],
                    if i < 8 {
                        String::new()
                    } else {
                        format!(" {}", i / 8)
                    }
                )
            } else {
                i.to_string()
            }
        })
        .collect()
}

fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: draw_gallery FOLDER [NAME]")?;
    let only = args.next();
    std::fs::create_dir_all(&folder)?;
    let ctx = Context::quiet(0)?;
    let wanted = |name: &str| only.as_ref().is_none_or(|o| name.contains(o.as_str()));
    let save = |name: &str, start: Instant, picture: Picture| -> Outcome {
        let drawn = start.elapsed();
        let png = picture.to_png()?;
        let coded = start.elapsed();
        let svg = picture.to_svg()?;
        println!(
            "{name}: {} x {}, drawn {:.2} s, png {:.2} s ({} kB), svg {} kB {:?}",
            picture.width(),
            picture.height(),
            drawn.as_secs_f64(),
            (coded - drawn).as_secs_f64(),
            png.len() / 1000,
            svg.len() / 1000,
            picture.notes()
        );
        std::fs::write(format!("{folder}/{name}.png"), png)?;
        std::fs::write(format!("{folder}/{name}.svg"), svg)?;
        Ok(())
    };
    let sizes = [
        ("pbmc", 2_700, 8),
        ("100k", 100_000, 30),
        ("400k", 400_000, 30),
        ("1500k", 1_500_000, 30),
    ];
    for (name, n, k) in sizes {
        if !wanted(name) {
            continue;
        }
        let mut cells = mixture(n, k, 7);
        let start = Instant::now();
        let categories = names(k, true);
        let colour = Colour::Categorical {
            codes: &cells.codes,
            categories: &categories,
            colours: None,
        };
        let plot = Scatter {
            colour,
            title: "cell_type",
            ..Scatter::new(&cells.xy)
        };
        save(&format!("{name}-types"), start, draw::scatter(&ctx, &plot)?)?;
        let start = Instant::now();
        let categories = names(k, false);
        let colour = Colour::Categorical {
            codes: &cells.codes,
            categories: &categories,
            colours: None,
        };
        let plot = Scatter {
            colour,
            title: "leiden",
            labels_on_data: true,
            ..Scatter::new(&cells.xy)
        };
        save(
            &format!("{name}-leiden"),
            start,
            draw::scatter(&ctx, &plot)?,
        )?;
        for value in cells.values.iter_mut().step_by(97) {
            *value = f32::NAN;
        }
        let start = Instant::now();
        let colour = Colour::Continuous {
            values: &cells.values,
            vmin: None,
            vmax: None,
            map: Colormap::Viridis,
        };
        let plot = Scatter {
            colour,
            title: "CST3",
            ..Scatter::new(&cells.xy)
        };
        save(&format!("{name}-gene"), start, draw::scatter(&ctx, &plot)?)?;
        let start = Instant::now();
        save(
            &format!("{name}-none"),
            start,
            draw::scatter(
                &ctx,
                &Scatter {
                    title: "all cells",
                    ..Scatter::new(&cells.xy)
                },
            )?,
        )?;
    }
    for k in [1, 60, 150, 700] {
        let name = format!("k{k}");
        if !wanted(&name) {
            continue;
        }
        let mut cells = mixture(60_000, k, 3);
        cells.codes.iter_mut().step_by(13).for_each(|c| *c = -1);
        let start = Instant::now();
        let categories = names(k, k != 150);
        let colour = Colour::Categorical {
            codes: &cells.codes,
            categories: &categories,
            colours: None,
        };
        let plot = Scatter {
            colour,
            title: &name,
            labels_on_data: k == 60,
            ..Scatter::new(&cells.xy)
        };
        save(&name, start, draw::scatter(&ctx, &plot)?)?;
        let legend = Legend::OnData;
        save(
            &format!("{name}-ondata"),
            start,
            draw::scatter(&ctx, &Scatter { legend, ..plot })?,
        )?;
    }
    if wanted("odd") {
        let start = Instant::now();
        let categories = names(8, true);
        let cells = mixture(2_700, 8, 7);
        let absent = vec![-1; 2_700];
        let colour = Colour::Categorical {
            codes: &absent,
            categories: &categories,
            colours: None,
        };
        save(
            "odd-missing",
            start,
            draw::scatter(
                &ctx,
                &Scatter {
                    colour,
                    title: "all missing",
                    ..Scatter::new(&cells.xy)
                },
            )?,
        )?;
        save(
            "odd-zero",
            start,
            draw::scatter(
                &ctx,
                &Scatter {
                    title: "no points",
                    ..Scatter::new(&[])
                },
            )?,
        )?;
        let one = Colour::Categorical {
            codes: &[3],
            categories: &categories,
            colours: None,
        };
        save(
            "odd-one",
            start,
            draw::scatter(
                &ctx,
                &Scatter {
                    colour: one,
                    title: "one point",
                    ..Scatter::new(&[3.0, 4.0])
                },
            )?,
        )?;
        let mut xy = cells.xy.clone();
        (xy[0], xy[3]) = (1e30, f32::NAN);
        let colour = Colour::Categorical {
            codes: &cells.codes,
            categories: &categories,
            colours: None,
        };
        let title = "an outlier, and a title that is far too long to fit above the data and loses its middle, 细胞 <&>";
        save(
            "odd-outlier",
            start,
            draw::scatter(
                &ctx,
                &Scatter {
                    colour,
                    title,
                    ..Scatter::new(&xy)
                },
            )?,
        )?;
        let dark = Scatter {
            colour,
            title: "dark",
            background: Some(Rgb::hex(0x10_1418)),
            labels_on_data: true,
            ..Scatter::new(&cells.xy)
        };
        save("odd-dark", start, draw::scatter(&ctx, &dark)?)?;
        save(
            "odd-small",
            start,
            draw::scatter(&ctx, &Scatter { size: 300, ..dark })?,
        )?;
        let zeros = vec![0.0; 2_700];
        let colour = Colour::Continuous {
            values: &zeros,
            vmin: None,
            vmax: None,
            map: Colormap::Magma,
        };
        save(
            "odd-flat",
            start,
            draw::scatter(
                &ctx,
                &Scatter {
                    colour,
                    title: "all zero",
                    ..Scatter::new(&cells.xy)
                },
            )?,
        )?;
    }
    if wanted("pca") {
        let start = Instant::now();
        let ratio: Vec<f64> = (1..=50)
            .map(|i| 0.3 * f64::from(i).powf(-1.4) + 0.0005)
            .collect();
        save(
            "pca-linear",
            start,
            draw::pca_variance(&PcaVariance::new(&ratio))?,
        )?;
        save(
            "pca-log",
            start,
            draw::pca_variance(&PcaVariance {
                log: true,
                title: "PCA",
                ..PcaVariance::new(&ratio)
            })?,
        )?;
        save(
            "pca-three",
            start,
            draw::pca_variance(&PcaVariance::new(&ratio[..3]))?,
        )?;
    }
    if wanted("hvg") {
        let start = Instant::now();
        let mut random = Random(5);
        let (mut means, mut raw, mut norm, mut chosen) = (vec![], vec![], vec![], vec![]);
        for _ in 0..20_000 {
            let mean = f64::from((0.9 * random.normal() - 2.0).exp());
            let z = f64::from(random.normal() + 3.0 * random.unit().powi(12));
            means.push(mean);
            raw.push(0.5 * z + 0.8 * (1.0 + mean).ln() + 0.5);
            norm.push(z);
            chosen.push(z > 1.5);
        }
        save(
            "hvg",
            start,
            draw::hvg_dispersion(&ctx, &HvgPlot::new(&means, &raw, &norm, &chosen))?,
        )?;
        save(
            "hvg-log",
            start,
            draw::hvg_dispersion(
                &ctx,
                &HvgPlot {
                    log: true,
                    ..HvgPlot::new(&means, &raw, &norm, &chosen)
                },
            )?,
        )?;
    }
    Ok(())
}
