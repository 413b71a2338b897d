//! A colour, and how users write it.

mod names;

/// An sRGB colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rgb(pub [u8; 3]);

impl Rgb {
    /// White.
    pub const WHITE: Rgb = Rgb([255; 3]);
    /// Black.
    pub const BLACK: Rgb = Rgb([0; 3]);

    /// The colour `0xrrggbb`.
    pub const fn hex(rrggbb: u32) -> Self {
        Self([(rrggbb >> 16) as u8, (rrggbb >> 8) as u8, rrggbb as u8])
    }

    /// A colour as matplotlib and `uns/<key>_colors` write it: `#rgb`, `#rrggbb`, `#rrggbbaa`
    /// (the alpha is dropped), a CSS name, `tab:blue`, a single letter such as `k`, or a grey
    /// level from `0` to `1`. `None` if it is none of these.
    ///
    /// ```
    /// use cellmill::draw::Rgb;
    /// assert_eq!(Rgb::parse("#1f77b4"), Some(Rgb([0x1f, 0x77, 0xb4])));
    /// assert_eq!(Rgb::parse("lightgray"), Some(Rgb([211, 211, 211])));
    /// assert_eq!(Rgb::parse("no colour"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(digits) = text.strip_prefix('#') {
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            return match digits.len() {
                3 | 4 => {
                    let value = u32::from_str_radix(&digits[..3], 16).ok()?;
                    let (r, g, b) = (value >> 8 & 15, value >> 4 & 15, value & 15);
                    Some(Self([r as u8 * 17, g as u8 * 17, b as u8 * 17]))
                }
                6 | 8 => u32::from_str_radix(&digits[..6], 16).ok().map(Self::hex),
                _ => None,
            };
        }
        let lower = text.to_ascii_lowercase();
        if let Ok(at) = names::NAMES.binary_search_by(|(name, _)| (*name).cmp(lower.as_str())) {
            return Some(Self::hex(names::NAMES[at].1));
        }
        let grey: f32 = lower.parse().ok()?;
        (0.0..=1.0)
            .contains(&grey)
            .then(|| Self([(grey * 255.0).round() as u8; 3]))
    }

    /// The colour as `#rrggbb`.
    pub fn to_hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// The channels from 0 to 1.
    pub(super) fn unit(self) -> [f32; 3] {
        self.0.map(|c| f32::from(c) / 255.0)
    }

    /// `self` moved towards `other` by `share` (0 to 1).
    pub(super) fn mix(self, other: Rgb, share: f32) -> Rgb {
        let (a, b) = (self.unit(), other.unit());
        Rgb(std::array::from_fn(|i| {
            ((a[i] + (b[i] - a[i]) * share) * 255.0).round() as u8
        }))
    }

    /// Oklab coordinates, in which distance is close to what the eye sees (Ottosson 2020).
    pub(super) fn oklab(self) -> [f32; 3] {
        let [r, g, b] = self.unit().map(|c| {
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        });
        let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
        let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
        [
            0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
            1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_colours_are_read() {
        for (text, colour) in [
            ("#fff", Some(Rgb::WHITE)),
            ("#1F77B4FF", Some(Rgb::hex(0x1f77b4))),
            (" Red ", Some(Rgb::hex(0xff0000))),
            ("tab:blue", Some(Rgb::hex(0x1f77b4))),
            ("k", Some(Rgb::BLACK)),
            ("0.5", Some(Rgb([128; 3]))),
            ("#12", None),
            ("#ééé", None),
            ("2", None),
            ("", None),
        ] {
            assert_eq!(Rgb::parse(text), colour, "{text}");
        }
    }

    #[test]
    fn names_are_sorted_for_the_search() {
        assert!(names::NAMES.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn oklab_of_white_is_one() {
        let [l, a, b] = Rgb::WHITE.oklab();
        assert!((l - 1.0).abs() < 1e-3 && a.abs() < 1e-3 && b.abs() < 1e-3);
    }
}
