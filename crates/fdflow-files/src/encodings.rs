//! Content codings: which ones a client takes, and in which order they are tried.

use arrayvec::ArrayVec;
use http::header::{ACCEPT_ENCODING, HeaderMap};

use crate::weights::{self, FULL, Weight};

/// A content coding that this service knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// In the service's own order of preference: the smallest first.
    pub(crate) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in headers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What a precompressed sibling's name ends in.
    pub(crate) const fn suffix(self) -> &'static [u8] {
        match self {
            Self::Brotli => b".br",
            Self::Zstd => b".zst",
            Self::Gzip => b".gz",
        }
    }

    fn is(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip")
    }
}

/// The codings that a request takes, those it likes best first; with equal weights in the
/// service's order. Codings that it likes less than the plain file are left out.
///
/// Without the header there are none: nothing forbids a coding then, but clients that do not ask
/// often cannot decode.
pub(crate) fn accepted(headers: &HeaderMap) -> ArrayVec<Coding, 3> {
    let mut given: [Option<Weight>; 3] = [None; 3];
    let (mut identity, mut others) = (None, None);
    for value in headers.get_all(ACCEPT_ENCODING) {
        for (name, weight) in weights::list(value.as_bytes()) {
            if name == b"*" {
                others = Some(weight);
            } else if name.eq_ignore_ascii_case(b"identity") {
                identity = Some(weight);
            } else if let Some(i) = Coding::ALL.iter().position(|coding| coding.is(name)) {
                given[i] = Some(weight);
            }
        }
    }
    let weight_of = |i: usize| given[i].or(others).unwrap_or(0);
    let mut order: ArrayVec<usize, 3> =
        (0..3).filter(|i| weight_of(*i) > 0 && weight_of(*i) >= identity.unwrap_or(0)).collect();
    order.sort_by_key(|i| FULL - weight_of(*i));
    order.into_iter().map(|i| Coding::ALL[i]).collect()
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[&str]) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        accepted(&headers).into_iter().map(Coding::name).collect()
    }

    #[test]
    fn without_the_header_nothing_is_coded() {
        assert!(of(&[]).is_empty());
        assert!(of(&[""]).is_empty());
        assert!(of(&["identity"]).is_empty());
    }

    #[test]
    fn weights_go_before_the_order_of_the_service() {
        assert_eq!(of(&["gzip, deflate, br, zstd"]), ["br", "zstd", "gzip"]);
        assert_eq!(of(&["br;q=0.5, gzip;q=0.9"]), ["gzip", "br"]);
        assert_eq!(of(&["gzip", "BR"]), ["br", "gzip"]);
        assert_eq!(of(&["x-gzip"]), ["gzip"]);
    }

    #[test]
    fn what_is_forbidden_or_liked_less_than_the_plain_file_is_left_out() {
        assert_eq!(of(&["br;q=0, gzip"]), ["gzip"]);
        assert_eq!(of(&["*;q=0, gzip"]), ["gzip"]);
        assert_eq!(of(&["*"]), ["br", "zstd", "gzip"]);
        assert_eq!(of(&["*, br;q=0"]), ["zstd", "gzip"]);
        assert_eq!(of(&["gzip;q=0.5, identity"]), Vec::<&str>::new());
        assert_eq!(of(&["gzip;q=0.5, br, identity;q=0.7"]), ["br"]);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_naive_search(
            weights in prop::collection::vec(prop::option::of(0_u16..=4), 5),
        ) {
            let names = ["br", "zstd", "gzip", "identity", "*"];
            let text: Vec<String> = names.iter().zip(&weights)
                .filter_map(|(name, q)| q.map(|q| format!("{name};q={}", f64::from(q) / 4.0)))
                .collect();
            let q = |i: usize| weights[i].or(weights[4]).unwrap_or(0);
            let mut expected = Vec::new();
            for level in (1..=4).rev() {
                for (i, name) in names[..3].iter().enumerate() {
                    if q(i) == level && level >= weights[3].unwrap_or(0) {
                        expected.push(*name);
                    }
                }
            }
            prop_assert_eq!(of(&[&text.join(", ")]), expected);
        }
    }
}
