//! Colours for categories: scanpy's lists, and what comes after them.

mod table;

use super::Rgb;
pub use table::{DEFAULT_20, DEFAULT_28, DEFAULT_102};

/// The colour of cells without a category, or with a value that is NaN: scanpy's `lightgray`.
pub const MISSING: Rgb = Rgb::hex(0xd3d3d3);

/// The colours of `n` categories.
///
/// As scanpy chooses (`_set_default_colors_for_categorical_obs`): `default_20` up to 20,
/// `default_28` up to 28, `default_102` up to 102. Above that scanpy draws everything grey; here
/// `default_102` goes on with colours as far as can be from all before them.
///
/// ```
/// use cellmill::draw::{palette, DEFAULT_28};
/// assert_eq!(palette(21), DEFAULT_28[..21]);
/// assert_eq!(palette(150).len(), 150);
/// ```
pub fn palette(n: usize) -> Vec<Rgb> {
    match n {
        0..=20 => DEFAULT_20[..n].to_vec(),
        21..=28 => DEFAULT_28[..n].to_vec(),
        29..=102 => DEFAULT_102[..n].to_vec(),
        _ => extended(n),
    }
}

/// `default_102`, then greedily the candidate farthest in Oklab from all colours so far, white
/// and the grey of missing values; when candidates run out the list repeats.
fn extended(n: usize) -> Vec<Rgb> {
    let mut colours = DEFAULT_102.to_vec();
    // A 16-step cube without what would vanish on white or on black.
    let mut candidates: Vec<(Rgb, [f32; 3])> = Vec::new();
    for i in 0..4096_u32 {
        let rgb = Rgb([
            (i >> 8) as u8 * 17,
            (i >> 4 & 15) as u8 * 17,
            (i & 15) as u8 * 17,
        ]);
        let lab = rgb.oklab();
        if (0.25..0.92).contains(&lab[0]) {
            candidates.push((rgb, lab));
        }
    }
    let distance = |a: &[f32; 3], b: &[f32; 3]| -> f32 {
        a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
    };
    let mut taken: Vec<[f32; 3]> = colours.iter().map(|c| c.oklab()).collect();
    taken.extend([Rgb::WHITE.oklab(), MISSING.oklab()]);
    let mut nearest: Vec<f32> = candidates
        .iter()
        .map(|(_, lab)| {
            taken
                .iter()
                .map(|t| distance(t, lab))
                .fold(f32::INFINITY, f32::min)
        })
        .collect();
    while colours.len() < n.min(1024) {
        let mut best = 0;
        for (i, &d) in nearest.iter().enumerate() {
            if d > nearest[best] {
                best = i;
            }
        }
        let (rgb, lab) = candidates[best];
        colours.push(rgb);
        for (d, (_, other)) in nearest.iter_mut().zip(&candidates) {
            *d = d.min(distance(&lab, other));
        }
    }
    let period = colours.len();
    (0..n).map(|i| colours[i % period]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn lists_are_scanpys() {
        let ends = |c: &[Rgb]| (c.len(), c[0].to_hex(), c[c.len() - 1].to_hex());
        assert_eq!(ends(&DEFAULT_20), (20, "#1f77b4".into(), "#8c6d31".into()));
        assert_eq!(ends(&DEFAULT_28), (28, "#023fa5".into(), "#336600".into()));
        assert_eq!(
            ends(&DEFAULT_102),
            (102, "#ffff00".into(), "#324e72".into())
        );
        // The three that scanpy adjusted for colour-blind readers.
        assert_eq!(DEFAULT_20[2].to_hex(), "#279e68");
        assert_eq!(DEFAULT_20[4].to_hex(), "#aa40fc");
        assert_eq!(DEFAULT_20[7].to_hex(), "#b5bd61");
    }

    #[test]
    fn the_list_changes_where_scanpys_does() {
        assert_eq!(palette(20), DEFAULT_20);
        assert_eq!(palette(21)[0], DEFAULT_28[0]);
        assert_eq!(palette(28), DEFAULT_28);
        assert_eq!(palette(29)[0], DEFAULT_102[0]);
        assert_eq!(palette(102), DEFAULT_102);
        assert!(palette(0).is_empty());
    }

    #[test]
    fn long_lists_begin_as_scanpys_and_do_not_repeat() {
        let colours = palette(500);
        assert_eq!(colours[..102], DEFAULT_102);
        assert_eq!(colours.iter().collect::<HashSet<_>>().len(), 500);
        assert_eq!(palette(3000).len(), 3000);
    }
}
