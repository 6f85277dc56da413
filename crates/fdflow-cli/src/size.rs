//! Sizes as people write them.

/// Reads `4096`, `64K`, `1M`, `2GiB`, `1.5G`. K, M, G, T and KiB, MiB … are powers of 1024; kB,
/// MB, GB and TB powers of 1000.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!("`{text}` is no size: write a number of bytes, or one with K, M, G or T after it")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = factor(unit.trim_start()).ok_or_else(wrong)?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"));
    }
    let (whole, rest) = number.split_once('.').ok_or_else(wrong)?;
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| wrong())? };
    fraction(rest, factor)
        .and_then(|part| whole.checked_mul(factor)?.checked_add(part))
        .ok_or_else(wrong)
}

/// `0.digits` of `factor`, rounded down.
fn fraction(digits: &str, factor: u64) -> Option<u64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let number = u128::from(digits.parse::<u64>().ok()?);
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    u64::try_from(number * u128::from(factor) / scale).ok()
}

fn factor(unit: &str) -> Option<u64> {
    let lower = unit.to_ascii_lowercase();
    let power = match lower.as_bytes().first() {
        None | Some(b'b') => 0,
        Some(b'k') => 1,
        Some(b'm') => 2,
        Some(b'g') => 3,
        Some(b't') => 4,
        Some(_) => return None,
    };
    match (power, lower.get(1..).unwrap_or("")) {
        (0, "") | (1.., "" | "ib") => Some(1024_u64.pow(power)),
        (1.., "b") => Some(1000_u64.pow(power)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("12B", 12),
            ("64K", 65_536),
            ("64k", 65_536),
            ("64KiB", 65_536),
            ("64kB", 64_000),
            ("1M", 1 << 20),
            ("2GiB", 2 << 30),
            ("1.5K", 1536),
            (".5M", 524_288),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "K", "1X", "-1", "1.K", "1..2K", "ten", "1Kibi", "1 0", "0x10"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("99999999999T").unwrap_err().contains("too large"));
    }
}
