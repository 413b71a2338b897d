//! Where ticks go, and what they say.

/// Positions of ticks in data units with their text.
pub(super) type Ticks = Vec<(f64, String)>;

/// Ticks from `low` to `high` at multiples of 1, 2, 2.5 or 5 times a power of ten, about `most`
/// at most.
pub(super) fn linear(low: f64, high: f64, most: usize) -> Ticks {
    let width = high - low;
    if !(width.is_finite() && width > 0.0) {
        return vec![(low, number(low, 0))];
    }
    let rough = width / (most.max(1) as f64 + 0.5);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    // As many decimals as the step has.
    let decimals = (0..12).find(|&d| {
        let scaled = step * 10_f64.powi(d);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    if !(first.is_finite() && last - first < 1000.0) {
        return Vec::new();
    }
    (0..=(last - first).max(0.0) as i64)
        .map(|i| (first + i as f64) * step)
        .filter(|at| *at <= high + 1e-9 * width)
        .map(|at| {
            let at = if at.abs() < 1e-9 * step { 0.0 } else { at };
            (at, number(at, decimals.unwrap_or(12) as usize))
        })
        .collect()
}

/// Ticks at powers of ten from `low` to `high`, both above zero; thinned to about `most`. Where
/// there are fewer than three, at 1, 2 and 5 times a power.
pub(super) fn logarithmic(low: f64, high: f64, most: usize) -> Ticks {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |at: f64| at >= low * (1.0 - 1e-9) && at <= high * (1.0 + 1e-9);
    let every = ((last - first) as usize / most.max(1)).max(1);
    let decades: Ticks = (first..=last)
        .filter(|p| p.rem_euclid(every as i32) == 0)
        .map(|p| (10_f64.powi(p), power(p)))
        .filter(|(at, _)| inside(*at))
        .collect();
    if decades.len() >= 3 {
        return decades;
    }
    (first..=last)
        .flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(p)))
        .filter(|at| inside(*at))
        .map(|at| {
            (
                at,
                number(at, (-(at * (1.0 + 1e-9)).log10().floor()).max(0.0) as usize),
            )
        })
        .collect()
}

/// A power of ten as text: plain from 0.001 to 10,000, else with an exponent.
fn power(exponent: i32) -> String {
    if (-3..=4).contains(&exponent) {
        number(10_f64.powi(exponent), (-exponent).max(0) as usize)
    } else {
        format!("1e{exponent}").replace('-', "−")
    }
}

/// A number with `decimals`; with an exponent where it would be long. The minus is a minus.
fn number(value: f64, decimals: usize) -> String {
    let plain = value == 0.0 || (1e-4..1e5).contains(&value.abs());
    let text = if plain {
        format!("{value:.decimals$}")
    } else {
        let text = format!("{value:.2e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) => {
                format!(
                    "{}e{exponent}",
                    mantissa.trim_end_matches('0').trim_end_matches('.')
                )
            }
            None => text,
        }
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &Ticks) -> Vec<&str> {
        ticks.iter().map(|(_, t)| t.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(texts(&linear(0.0, 5.0, 5)), ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(
            texts(&linear(-1.2, 0.9, 4)),
            ["−1.0", "−0.5", "0.0", "0.5"][..]
        );
        assert_eq!(
            texts(&linear(0.0, 0.01, 4)),
            ["0.0000", "0.0025", "0.0050", "0.0075", "0.0100"]
        );
        assert_eq!(texts(&linear(0.0, 1e6, 2)), ["0", "5e5", "1e6"]);
        assert_eq!(linear(3.0, 3.0, 5).len(), 1);
        assert!(linear(f64::NEG_INFINITY, 1.0, 5).len() <= 1);
        assert!(linear(1e30, 1e30 + 1e14, 5).len() < 20);
    }

    #[test]
    fn log_ticks_are_powers() {
        assert_eq!(
            texts(&logarithmic(0.01, 100.0, 8)),
            ["0.01", "0.1", "1", "10", "100"]
        );
        assert_eq!(texts(&logarithmic(2.0, 30.0, 8)), ["2", "5", "10", "20"]);
        assert!(logarithmic(1e-30, 1e30, 6).len() <= 8);
        assert_eq!(power(-6), "1e−6");
    }
}
