//! Names: of files, and shortened for the page.

/// A name for a picture's file, without extension: safe on every file system, recognisable, and
/// different for different keys.
///
/// ASCII letters, digits, `.`, `-` and `_` stay; every run of other characters becomes one `_`.
/// If anything was changed, eight hexadecimal digits of a hash of the key follow. Keys that
/// differ in case only give stems that differ in case only, so that a gene stays `CST3`.
///
/// ```
/// use cellmill::draw::file_stem;
/// assert_eq!(file_stem("leiden"), "leiden");
/// assert!(file_stem("Leukocytes [G over L]").starts_with("Leukocytes_G_over_L-"));
/// assert_ne!(file_stem("a/b"), file_stem("a:b"));
/// ```
pub fn file_stem(key: &str) -> String {
    const LONGEST: usize = 80;
    // Windows refuses these as file names, whatever the extension.
    const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];
    let mut stem = String::new();
    for c in key.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') {
            stem.push(c);
        } else if !stem.ends_with('_') {
            stem.push('_');
        }
    }
    let trimmed = stem.trim_matches(|c| c == '_' || c == '.');
    let short = &trimmed[..trimmed.len().min(LONGEST)];
    let base = short
        .split('.')
        .next()
        .unwrap_or("")
        .trim_end_matches(|c: char| c.is_ascii_digit());
    let reserved = RESERVED.contains(&base.to_ascii_lowercase().as_str());
    let changed = short != key;
    match (short.is_empty(), changed || reserved) {
        (true, _) => format!("plot-{:08x}", fnv1a(key)),
        (false, true) => format!("{}-{:08x}", short, fnv1a(key)),
        (false, false) => short.to_owned(),
    }
}

/// FNV-1a folded to 32 bits: short, and the same everywhere.
fn fnv1a(text: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (hash ^ (hash >> 32)) as u32
}

/// `text` on one line: control characters, which XML forbids and no font draws, become spaces.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// `text` with as much of its middle replaced by `…` as is needed for `width` to be at most
/// `most`; the beginning keeps a little more than the end.
pub(super) fn shorten(text: &str, most: f32, width: impl Fn(&str) -> f32) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    // Only the ends can stay; a name of a megabyte costs no more than one of a kilobyte.
    let chars: Vec<char> = text.chars().collect();
    let cut = |keep: usize| -> String {
        let tail = keep * 2 / 5;
        let head = keep - tail;
        let mut out: String = chars[..head].iter().collect();
        out.truncate(out.trim_end().len());
        out.push('…');
        out.extend(&chars[chars.len() - tail..]);
        out
    };
    let (mut fits, mut too_long) = (0, chars.len().min(400));
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        if width(&cut(middle)) <= most {
            fits = middle
        } else {
            too_long = middle
        }
    }
    cut(fits)
}

/// `12345` as `12,345`.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_safe_and_differ() {
        let keys = [
            "leiden",
            "Leiden",
            "LEIDEN",
            "a/b",
            "a:b",
            "a_b",
            "..",
            "../x",
            "",
            " ",
            "é",
            "µ",
            "β-cell",
            "CON",
            "con",
            "com1.x",
            "x.",
            "[G over L]",
            "<b>",
            "细胞",
            "细胞 类型",
        ];
        let stems: Vec<String> = keys.iter().map(|k| file_stem(k)).collect();
        for (key, stem) in keys.iter().zip(&stems) {
            assert!(
                stem.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
                "{key}: {stem}"
            );
            assert!(
                !stem.starts_with('.') && !stem.ends_with('.') && !stem.is_empty(),
                "{key}: {stem}"
            );
        }
        let mut different = stems.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), keys.len(), "{stems:?}");
        assert!(file_stem(&"long ".repeat(200)).len() < 100);
    }

    #[test]
    fn names_are_cut_in_the_middle() {
        let width = |s: &str| s.chars().count() as f32;
        assert_eq!(shorten("short", 5.0, width), "short");
        assert_eq!(
            shorten("CD8-positive, alpha-beta T cell", 12.0, width),
            "CD8-pos…cell"
        );
        assert_eq!(shorten("anything", 0.5, width), "…");
        assert_eq!(
            shorten(&"x".repeat(1_000_000), 9.0, width).chars().count(),
            9
        );
    }

    #[test]
    fn counts_have_separators() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_462_702, "1,462,702"),
        ] {
            assert_eq!(thousands(n), text);
        }
    }
}
