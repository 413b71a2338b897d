//! The dtypes of matrices, in numpy's words.

use cellmill_engine::Op;

const KNOWN: [&str; 11] = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
    "float64",
];

/// The dtype as a matrix of it is handed out: floats of other widths are f32.
pub(super) fn known(stored: &str) -> &'static str {
    KNOWN
        .into_iter()
        .find(|&k| k == stored)
        .unwrap_or("float32")
}

/// The dtype of a matrix that is stored as `stored` (numpy's words) after `ops`, as scanpy has it:
/// normalize_total makes f32 of integers, log1p and scale make f64 of them, sqrt f32 of those of one or two
/// bytes and f64 of others; floats stay as they are.
///
/// ```
/// use cellmill::matrix::result_dtype;
/// use cellmill_engine::Op;
/// assert_eq!(result_dtype("int64", &[Op::NormalizeTotal { target_sum: 1e4 }]), "float32");
/// assert_eq!(result_dtype("uint16", &[Op::Log1p { base: None }]), "float64");
/// assert_eq!(result_dtype("uint16", &[Op::Sqrt]), "float32");
/// assert_eq!(result_dtype("int32", &[Op::Sqrt]), "float64");
/// assert_eq!(result_dtype("float16", &[]), "float32");
/// ```
pub fn result_dtype(stored: &str, ops: &[Op]) -> &'static str {
    let mut dtype = known(stored);
    for op in ops {
        let float = dtype.starts_with("float");
        match op {
            Op::NormalizeTotal { .. } | Op::NormalizeTotalWithout { .. } | Op::ScaleRows { .. }
                if !float =>
            {
                dtype = "float32";
            }
            Op::Sqrt if !float => {
                let short = ["bool", "int8", "uint8", "int16", "uint16"].contains(&dtype);
                dtype = if short { "float32" } else { "float64" };
            }
            Op::Log1p { .. } | Op::Expm1 { .. } | Op::ScaleGenes(_) if !float => dtype = "float64",
            Op::RoundF32 => dtype = "float32",
            _ => {}
        }
    }
    dtype
}

/// The dtype that holds the values of both, by numpy's rules.
///
/// ```
/// use cellmill::matrix::promoted;
/// assert_eq!(promoted("int16", "float32"), "float32");
/// assert_eq!(promoted("int32", "float32"), "float64");
/// assert_eq!(promoted("uint8", "int8"), "int16");
/// assert_eq!(promoted("uint64", "int8"), "float64");
/// ```
pub fn promoted(a: &str, b: &str) -> &'static str {
    let (a, b) = (known(a), known(b));
    if a == b || b == "bool" {
        return a;
    }
    if a == "bool" {
        return b;
    }
    // The kind and the bits of a dtype.
    let split = |dtype: &str| {
        let at = dtype.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        (
            dtype.chars().next().unwrap_or('f'),
            dtype[at..].parse::<u32>().unwrap_or(64),
        )
    };
    let ((kind_a, bits_a), (kind_b, bits_b)) = (split(a), split(b));
    match (kind_a, kind_b) {
        ('f', 'f') | ('i', 'i') | ('u', 'u') => {
            if bits_a > bits_b {
                a
            } else {
                b
            }
        }
        ('f', _) if bits_b <= 16 => a,
        (_, 'f') if bits_a <= 16 => b,
        ('f', _) | (_, 'f') => "float64",
        ('i', _) if bits_a > bits_b => a,
        (_, 'i') if bits_b > bits_a => b,
        _ => match bits_a.max(bits_b) {
            8 => "int16",
            16 => "int32",
            32 => "int64",
            _ => "float64",
        },
    }
}
