//! Lists with q-values: what a client says that it likes better.

/// A weight in thousandths: 0 is "not at all".
pub(crate) type Weight = u16;

/// Full weight, and what is meant where none is given.
pub(crate) const FULL: Weight = 1000;

/// The elements of a list such as `Accept` or `Accept-Encoding`, each with its weight. Parameters
/// other than `q` are passed over; an element whose weight cannot be read is left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = (&[u8], Weight)> {
    value.split(|byte| *byte == b',').filter_map(|element| {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let q = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', digits @ ..] => Some(digits),
            _ => None,
        });
        Some((name, q.map_or(Some(FULL), weight)?))
    })
}

/// `0`, `0.5`, `1.000`: at most three decimals, at most one.
fn weight(text: &[u8]) -> Option<Weight> {
    let (whole, decimals) = match text {
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        [whole] => (whole, &[][..]),
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| decimals.get(place).map_or(0, |byte| Weight::from(byte - b'0'));
    let value = Weight::from(whole - b'0') * FULL + digit(0) * 100 + digit(1) * 10 + digit(2);
    (value <= FULL).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, Weight)> {
        let owned =
            |(name, weight): (&[u8], Weight)| (String::from_utf8_lossy(name).into_owned(), weight);
        list(text.as_bytes()).map(owned).collect()
    }

    #[test]
    fn elements_have_their_weights() {
        let expected = [("br", 1000), ("gzip", 800), ("a/b", 1), ("*", 0)];
        let expected = expected.map(|(name, weight)| (name.to_owned(), weight));
        assert_eq!(read("br, gzip ; q=0.8,, a/b;level=1;Q=0.001 ,*;q=0"), expected);
    }

    #[test]
    fn elements_without_a_readable_weight_are_left_out() {
        for text in ["a;q=2", "a;q=1.001", "a;q=", "a;q=0.0001", "a;q=.5", "a;q=-1", ";q=1"] {
            assert!(read(text).iter().all(|(name, _)| name != "a"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn weights_are_read_as_they_are_written(thousandths in 0_u16..=1000, digits in 0_usize..=3) {
            let text = format!("{:.digits$}", f64::from(thousandths) / 1000.0);
            let rounded: f64 = text.parse().unwrap();
            prop_assert_eq!(f64::from(weight(text.as_bytes()).unwrap()), (rounded * 1000.0).round());
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(list(&bytes).all(|(_, weight)| weight <= FULL));
        }
    }
}
