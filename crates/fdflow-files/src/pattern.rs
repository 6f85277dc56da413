//! Patterns of paths, for rules about headers.

/// A pattern: `*` stands for any bytes, slashes too; everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: Vec<u8>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.as_bytes().to_vec() }
    }

    /// Whether the whole path is of this pattern. Takes at most as many steps as the product of
    /// both lengths.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let pattern = &self.text;
        let (mut p, mut at) = (0, 0);
        // The last star, and how much of the path it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while at < path.len() {
            match (pattern.get(p), star) {
                (Some(b'*'), _) => {
                    star = Some((p, at));
                    p += 1;
                }
                (Some(byte), _) if *byte == path[at] => {
                    p += 1;
                    at += 1;
                }
                (_, Some((place, end))) => {
                    star = Some((place, end + 1));
                    p = place + 1;
                    at = end + 1;
                }
                (_, None) => return false,
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([], path) => path.is_empty(),
            ([b'*', rest @ ..], path) => (0..=path.len()).any(|i| naive(rest, &path[i..])),
            ([byte, rest @ ..], [first, path @ ..]) => byte == first && naive(rest, path),
            _ => false,
        }
    }

    #[test]
    fn stars_stand_for_anything() {
        let of = |text, path: &str| Pattern::new(text).matches(path.as_bytes());
        assert!(of("*.js", "/a/b.js") && of("/assets/*", "/assets/a/b") && of("*", ""));
        assert!(!of("*.js", "/a/b.json") && !of("/a", "/a/") && !of("", "/"));
    }

    proptest! {
        #[test]
        fn patterns_match_as_a_naive_search_does(pattern in "[ab*]{0,7}", path in "[ab]{0,9}") {
            let expected = naive(pattern.as_bytes(), path.as_bytes());
            prop_assert_eq!(Pattern::new(&pattern).matches(path.as_bytes()), expected);
        }
    }
}
