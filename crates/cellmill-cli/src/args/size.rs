//! Bytes as a person writes them: `4G`, `512M`, `1.5GB`, `2GiB`.

use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    /// `K`, `M`, `G`, `T` are powers of 1,000; `Ki`, `Mi`, `Gi`, `Ti` of 1,024; a `B` may follow.
    fn from_str(s: &str) -> Result<Self, String> {
        let trimmed = s.trim();
        let split = trimmed
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let factor: f64 = match unit
            .trim_end_matches(['b', 'B'])
            .to_ascii_lowercase()
            .as_str()
        {
            "" => 1.0,
            "k" => 1e3,
            "m" => 1e6,
            "g" => 1e9,
            "t" => 1e12,
            "ki" => 1024.0,
            "mi" => 1024f64.powi(2),
            "gi" => 1024f64.powi(3),
            "ti" => 1024f64.powi(4),
            _ => {
                return Err(format!(
                    "`{s}` has no unit that is known; write 4G, 512M or 2GiB"
                ));
            }
        };
        let value: f64 = number
            .trim()
            .parse()
            .map_err(|_| format!("`{s}` is not a size; write 4G, 512M or 2GiB"))?;
        let bytes = value * factor;
        if !(bytes.is_finite() && (1.0..=1e18).contains(&bytes)) {
            return Err(format!("`{s}` is not a size between 1 byte and 1e18 bytes"));
        }
        Ok(Self(bytes as u64))
    }
}

impl<'de> serde::Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            Bytes(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Bytes(n) => Ok(Self(n)),
            Either::Text(s) => s.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!("4G".parse(), Ok(Size(4_000_000_000)));
        assert_eq!("1.5 GB".parse(), Ok(Size(1_500_000_000)));
        assert_eq!("2GiB".parse(), Ok(Size(2 << 30)));
        assert_eq!("512".parse(), Ok(Size(512)));
        assert!("4X".parse::<Size>().is_err());
        assert!("-1G".parse::<Size>().is_err());
        assert!("".parse::<Size>().is_err());
    }
}
