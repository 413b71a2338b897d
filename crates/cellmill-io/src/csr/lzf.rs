//! The LZF decoder (HDF5 filter 32000, h5py's own).

/// Inflates `input` into `output`; the number of bytes written, `None` where the input is not
/// LZF or does not fit.
pub(crate) fn inflate(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let (mut at, mut end) = (0usize, 0usize);
    while at < input.len() {
        let control = usize::from(input[at]);
        at += 1;
        if control < 32 {
            let n = control + 1;
            let from = input.get(at..at + n)?;
            output.get_mut(end..end + n)?.copy_from_slice(from);
            at += n;
            end += n;
        } else {
            let mut n = control >> 5;
            if n == 7 {
                n += usize::from(*input.get(at)?);
                at += 1;
            }
            n += 2;
            let distance = ((control & 31) << 8) + usize::from(*input.get(at)?) + 1;
            at += 1;
            let from = end.checked_sub(distance)?;
            if end + n > output.len() {
                return None;
            }
            if distance >= n {
                output.copy_within(from..from + n, end);
            } else {
                // The run overlaps what it writes: it repeats itself.
                for i in 0..n {
                    output[end + i] = output[from + i];
                }
            }
            end += n;
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_runs() {
        // Three literals, then a run of 3 + 2 bytes from distance 3.
        let mut out = [0u8; 8];
        assert_eq!(
            inflate(&[2, b'a', b'b', b'c', (3 << 5), 2], &mut out),
            Some(8)
        );
        assert_eq!(&out, b"abcabcab");
        // A long run: 7 + 4 + 2 bytes from distance 1.
        let mut out = [0u8; 14];
        assert_eq!(inflate(&[0, 9, 7 << 5, 4, 0], &mut out), Some(14));
        assert_eq!(out, [9; 14]);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut out = [0u8; 4];
        assert_eq!(inflate(&[31, 1], &mut out), None);
        assert_eq!(inflate(&[1 << 5, 0], &mut out), None);
        assert_eq!(inflate(&[0, 1, 1 << 5], &mut out), None);
        assert_eq!(inflate(&[0, 1, 7 << 5, 255, 0], &mut out), None);
    }
}
