//! What a request may not be, beyond what HTTP's parser refuses, and better names for refusals.

use http::{HeaderMap, Request, StatusCode, Version, header};

use super::meter::Meter;

/// The parser's answer, when it is to be another, and which.
type Refusal = (&'static [u8], fn(&[u8]) -> bool, &'static [u8]);

/// What the parser answers, and what is answered in its place where its reason is known.
const REFUSALS: [Refusal; 2] = [
    (
        b"HTTP/1.1 400 Bad Request\r\n",
        other_version,
        b"HTTP/1.1 505 HTTP Version Not Supported\r\n",
    ),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        long_target,
        b"HTTP/1.1 414 URI Too Long\r\n",
    ),
];
/// A request line that is longer is what makes a head too long.
const LINE_MOST: usize = 32 << 10;

/// No answer of the parser's own is longer.
pub(super) const REFUSAL_MOST: usize = 1 << 10;

/// To a client whose head did not come in time.
pub(super) const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// To a client that speaks HTTP/2 where it is not offered.
pub(super) const NOT_HTTP_2: &[u8] =
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Why a request is not served, if it is not: what a proxy in front might read in another way.
pub(super) fn refuse<B>(request: &Request<B>, meter: &Meter) -> Option<StatusCode> {
    let headers = request.headers();
    if request.version() == Version::HTTP_2 {
        return None;
    }
    let framing = Framing::of(headers);
    let chunked = framing.codings > 0;
    // How long a chunked body is only the parser knows; nothing is served after it.
    let body = if chunked { u64::MAX } else { framing.length.unwrap_or(0) };
    // The parser takes the length away where both are given.
    let both = meter.with_head(body, |head| {
        chunked && head.is_none_or(|head| has_field(head, b"content-length"))
    });
    let hostless = framing.hosts == 0 && request.version() == Version::HTTP_11;
    if both || hostless || framing.hosts > 1 {
        return Some(StatusCode::BAD_REQUEST);
    }
    if framing.unknown {
        return Some(StatusCode::NOT_IMPLEMENTED);
    }
    if framing.codings > 1 {
        return Some(StatusCode::BAD_REQUEST);
    }
    None
}

/// What a head says of where its request ends and whom it is for.
#[derive(Debug, Default)]
struct Framing {
    hosts: usize,
    codings: usize,
    /// A coding that is not `chunked`.
    unknown: bool,
    /// The first length; `None` where it is none.
    length: Option<u64>,
}

impl Framing {
    /// One pass: every request pays for it.
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut lengths = 0;
        for (name, value) in headers {
            if *name == header::HOST {
                found.hosts += 1;
            } else if *name == header::TRANSFER_ENCODING {
                found.codings += 1;
                found.unknown |= !value.as_bytes().eq_ignore_ascii_case(b"chunked");
            } else if *name == header::CONTENT_LENGTH {
                lengths += 1;
                if lengths == 1 {
                    found.length = value.to_str().ok().and_then(|length| length.parse().ok());
                }
            }
        }
        found
    }
}

/// Whether the request's body comes in chunks: the connection is closed after the answer, since it
/// could not be told whether the next request has a length too.
pub(super) fn is_chunked<B>(request: &Request<B>) -> bool {
    request.version() != Version::HTTP_2
        && request.headers().contains_key(header::TRANSFER_ENCODING)
}

/// Whether a message says that the connection ends behind it, as the parser understands it.
pub(super) fn ends(version: Version, headers: &HeaderMap) -> bool {
    let has = |wanted: &str| {
        let fields = headers.get_all(header::CONNECTION).iter();
        let mut options = fields.filter_map(|field| field.to_str().ok()).flat_map(|f| f.split(','));
        options.any(|option| option.trim().eq_ignore_ascii_case(wanted))
    };
    has("close") || (version == Version::HTTP_10 && !has("keep-alive"))
}

/// Whether a head has this field, whose name is given in lower case.
fn has_field(head: &[u8], name: &[u8]) -> bool {
    head.split(|&byte| byte == b'\n').skip(1).any(|line| {
        line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && line.get(name.len()) == Some(&b':')
    })
}

/// In place of the parser's general refusal one that says more.
pub(super) fn better_refusal(answer: &[u8], meter: &Meter) -> Option<Vec<u8>> {
    REFUSALS.into_iter().find_map(|(general, applies, better)| {
        let rest = answer.strip_prefix(general)?;
        meter.unread_head(applies).then(|| [better, rest].concat())
    })
}

/// Whether most of a head is its first line.
fn long_target(head: &[u8]) -> bool {
    head.iter().take(LINE_MOST).all(|&byte| byte != b'\n') && head.len() >= LINE_MOST
}

/// Whether a head's first line ends in a version of HTTP that is neither 1.0 nor 1.1.
fn other_version(head: &[u8]) -> bool {
    let Some(line) = head.split(|&byte| byte == b'\n').find(|line| line.trim_ascii() != b"") else {
        return false;
    };
    let Some(version) = line.trim_ascii_end().rsplit(|&byte| byte == b' ').next() else {
        return false;
    };
    let number = version.strip_prefix(b"HTTP/").unwrap_or_default();
    number.first().is_some_and(u8::is_ascii_digit)
        && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && number != b"1.1"
        && number != b"1.0"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_only_where_the_head_was_seen_to_have_no_length() {
        let request = || {
            let request = Request::put("/").header(header::HOST, "x");
            request.header(header::TRANSFER_ENCODING, "chunked").body(()).unwrap()
        };
        let after = |head: &[u8]| {
            let meter = Meter::default();
            meter.took(head);
            refuse(&request(), &meter)
        };
        assert_eq!(after(b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n"), None);
        let both = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(after(both), Some(StatusCode::BAD_REQUEST));
        assert_eq!(after(b""), Some(StatusCode::BAD_REQUEST), "nobody knows");
    }

    #[test]
    fn a_connection_ends_where_that_is_said_and_by_default_in_the_old_version() {
        for (version, value, expected) in [
            (Version::HTTP_11, None, false),
            (Version::HTTP_11, Some("TE, keep-alive"), false),
            (Version::HTTP_11, Some("te,Close"), true),
            (Version::HTTP_10, None, true),
            (Version::HTTP_10, Some("Keep-Alive"), false),
            (Version::HTTP_10, Some("keep-alive, close"), true),
        ] {
            let field = value.map(|value| (header::CONNECTION, value.parse().unwrap()));
            assert_eq!(
                ends(version, &HeaderMap::from_iter(field)),
                expected,
                "{version:?} {value:?}"
            );
        }
    }

    #[test]
    fn a_field_is_found_by_its_whole_name_and_not_in_the_request_line() {
        let head =
            b"GET /content-length: HTTP/1.1\r\nX-Content-Length: 1\r\nA: content-length:\r\n\r\n";
        assert!(!has_field(head, b"content-length"));
        assert!(has_field(b"GET / HTTP/1.1\r\nCoNtEnT-LeNgTh: 4\r\n\r\n", b"content-length"));
        assert!(!has_field(b"", b"content-length"));
    }

    #[test]
    fn only_another_version_of_http_is_another_version() {
        for head in [&b"GET / HTTP/2.0\r\n\r\n"[..], b"\r\nGET / HTTP/0.9\r\n", b"G / HTTP/3\r\n"] {
            assert!(other_version(head));
        }
        for head in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"GET / HTTP/x\r\n",
            b"",
            b"\r\n",
            b"HTTP/",
            b"GET / FTP/2.0",
        ] {
            assert!(!other_version(head));
        }
    }
}
