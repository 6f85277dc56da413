//! The `Accept` header: whether a listing is wanted as JSON or as a page.

use http::header::{ACCEPT, HeaderMap};

use crate::weights::{self, Weight};

/// Whether JSON is liked better than HTML.
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    weight(headers, b"application", b"json") > weight(headers, b"text", b"html")
}

/// Whether HTML is named, by itself and not by `*/*`: so browsers ask for pages, and so they do
/// not ask for scripts and images.
pub(crate) fn names_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| weights::list(value.as_bytes()))
        .any(|(name, weight)| weight > 0 && name.eq_ignore_ascii_case(b"text/html"))
}

/// The weight of a type: that of the most specific element which covers it. Without the header
/// every type is as good as another.
fn weight(headers: &HeaderMap, kind: &[u8], subtype: &[u8]) -> Weight {
    let mut best = (0_u8, 0);
    for value in headers.get_all(ACCEPT) {
        for (name, weight) in weights::list(value.as_bytes()) {
            let Some(slash) = name.iter().position(|byte| *byte == b'/') else { continue };
            let (left, right) = (&name[..slash], &name[slash + 1..]);
            let specific = if left.eq_ignore_ascii_case(kind) && right.eq_ignore_ascii_case(subtype)
            {
                3
            } else if left.eq_ignore_ascii_case(kind) && right == b"*" {
                2
            } else if name == b"*/*" {
                1
            } else {
                continue;
            };
            if specific > best.0 {
                best = (specific, weight);
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())])
    }

    #[test]
    fn json_is_for_those_who_like_it_better() {
        assert!(!prefers_json(&HeaderMap::new()));
        for (accept, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json, text/html", false),
            ("application/json, text/html;q=0.9", true),
            ("application/*", true),
            ("text/html, application/xhtml+xml, */*;q=0.8", false),
            ("*/*", false),
            ("text/html;q=0.1, */*", true),
            ("application/json;q=0", false),
            ("nonsense", false),
        ] {
            assert_eq!(prefers_json(&headers(accept)), json, "{accept}");
        }
    }

    #[test]
    fn a_browser_names_html_for_pages_only() {
        assert!(names_html(&headers("text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(!names_html(&headers("*/*")));
        assert!(!names_html(&headers("text/html;q=0")));
        assert!(!names_html(&HeaderMap::new()));
    }
}
