//! Sizes as they are written on command lines and in tables.

use std::str::FromStr;

/// `64k`, `1m`, `2g` or a plain number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix("ib").unwrap_or(&lower);
        let (digits, shift) = match lower.as_bytes().last() {
            Some(b'k') => (&lower[..lower.len() - 1], 10),
            Some(b'm') => (&lower[..lower.len() - 1], 20),
            Some(b'g') => (&lower[..lower.len() - 1], 30),
            _ => (lower, 0),
        };
        let number: u64 = digits.parse().map_err(|_| format!("`{text}` is no size"))?;
        let bytes = number.checked_shl(shift).filter(|bytes| bytes >> shift == number);
        bytes.filter(|bytes| *bytes > 0).map(Self).ok_or_else(|| format!("`{text}` is no size"))
    }
}

/// `1 KiB`, `2 MiB`; plain bytes where the unit does not divide them.
pub(crate) fn human(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        let sizes = ["1000", "64k", "64K", "64KiB", "3m", "2G"];
        let bytes = sizes.map(|size| size.parse::<Size>().unwrap().0);
        assert_eq!(bytes, [1000, 65536, 65536, 65536, 3 << 20, 2 << 30]);
        for wrong in ["", "k", "0", "-1", "1x", "99999999999999999999g", "18446744073709551615k"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit_that_divides_them() {
        assert_eq!(
            [1024, 1 << 20, 1 << 30, 1500].map(human),
            ["1 KiB", "1 MiB", "1 GiB", "1500 B"]
        );
    }
}
