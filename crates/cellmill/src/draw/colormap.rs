//! Colours for numbers.

mod table;

use super::Rgb;

/// A map from 0..1 to colours: matplotlib's of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colormap {
    /// Purple, green, yellow: scanpy's default.
    #[default]
    Viridis,
    /// Black, purple, cream.
    Magma,
    /// Black, red, yellow.
    Inferno,
    /// Blue, red, yellow.
    Plasma,
    /// Blue to yellow, for colour-blind readers.
    Cividis,
}

impl Colormap {
    /// Every map with its name.
    pub const ALL: [(&'static str, Colormap); 5] = [
        ("viridis", Colormap::Viridis),
        ("magma", Colormap::Magma),
        ("inferno", Colormap::Inferno),
        ("plasma", Colormap::Plasma),
        ("cividis", Colormap::Cividis),
    ];

    /// The map of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(n, _)| *n == name)
            .map(|&(_, map)| map)
    }

    /// The 256 colours from low to high.
    pub fn colours(self) -> [Rgb; 256] {
        let digits = match self {
            Self::Viridis => table::VIRIDIS,
            Self::Magma => table::MAGMA,
            Self::Inferno => table::INFERNO,
            Self::Plasma => table::PLASMA,
            Self::Cividis => table::CIVIDIS,
        }
        .as_bytes();
        let nibble = |i: usize| match digits.get(i) {
            Some(c @ b'0'..=b'9') => c - b'0',
            Some(c @ b'a'..=b'f') => c - b'a' + 10,
            _ => 0,
        };
        std::array::from_fn(|i| {
            Rgb(std::array::from_fn(|c| {
                nibble(6 * i + 2 * c) * 16 + nibble(6 * i + 2 * c + 1)
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_begin_and_end_as_matplotlibs() {
        for (name, first, last) in [
            ("viridis", "#440154", "#fde725"),
            ("magma", "#000004", "#fcfdbf"),
            ("inferno", "#000004", "#fcffa4"),
            ("plasma", "#0d0887", "#f0f921"),
            ("cividis", "#00224e", "#fee838"),
        ] {
            let colours = Colormap::by_name(name).unwrap().colours();
            assert_eq!(colours[0].to_hex(), first, "{name}");
            assert_eq!(colours[255].to_hex(), last, "{name}");
        }
        assert_eq!(Colormap::by_name("jet"), None);
    }

    #[test]
    fn tables_are_complete() {
        for table in [
            table::VIRIDIS,
            table::MAGMA,
            table::INFERNO,
            table::PLASMA,
            table::CIVIDIS,
        ] {
            assert_eq!(table.len(), 256 * 6);
        }
    }
}
