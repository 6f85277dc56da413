//! What HTTP calls the stream, and who may read it.

use std::path::Path;

use http::{HeaderMap, HeaderValue, header};

use super::files::Files;
use crate::relay::flags::Flags;

/// The stream, as HTTP has it.
#[derive(Debug)]
pub(in crate::relay) struct Site {
    /// Of the recording.
    name: Option<Vec<u8>>,
    pub(super) media_type: HeaderValue,
    origins: Vec<HeaderValue>,
    pub(super) files: Files,
}

impl Site {
    pub(in crate::relay) fn new(flags: &Flags) -> Result<Self, String> {
        let name = flags.record.as_deref().and_then(Path::file_name);
        let media_type = match &flags.content_type {
            Some(given) => HeaderValue::from_str(given)
                .map_err(|_| format!("--content-type: `{}` is no type", given.escape_debug()))?,
            None => HeaderValue::from_static(
                flags.record.as_deref().and_then(by_name).unwrap_or("application/octet-stream"),
            ),
        };
        let origins = flags.cors.iter().map(|origin| origin.0.clone()).collect();
        let name = name.map(|name| name.as_encoded_bytes().to_vec());
        Ok(Self { name, media_type, origins, files: Files::default() })
    }

    /// Whether the stream is there.
    pub(super) fn is_at(&self, path: &str) -> bool {
        let Some(name) = path.strip_prefix('/') else { return false };
        name.is_empty() || self.name.as_deref().is_some_and(|own| own == decoded(name))
    }

    /// Has pages of these origins read the answer.
    pub(super) fn share(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let Some(first) = self.origins.first() else { return };
        let is_for_all = self.origins.iter().any(|origin| origin == "*");
        let asking = request.get(header::ORIGIN);
        let allowed = if is_for_all {
            HeaderValue::from_static("*")
        } else {
            answer.insert(header::VARY, HeaderValue::from_static("Origin"));
            let is_asking = |origin: &&HeaderValue| Some(*origin) == asking;
            self.origins.iter().find(is_asking).unwrap_or(first).clone()
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Range"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Accept-Ranges, Content-Length, Content-Range"),
        ] {
            answer.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// What players know MPEG's transport streams as; lists of types have other things under `ts`.
const TRANSPORT_STREAM: &str = "video/mp2t";

fn by_name(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "ts" | "m2ts" | "mts" => Some(TRANSPORT_STREAM),
        extension => mime_guess::from_ext(extension).first_raw(),
    }
}

/// A name of a path; `%` that no two digits follow is itself.
fn decoded(name: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte =
            digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_names() {
        let of = |name: &str| by_name(Path::new(name));
        assert_eq!(of("cam.ts"), Some("video/mp2t"));
        assert_eq!(of("radio.MP3"), Some("audio/mpeg"));
        assert_eq!(of("page.html"), Some("text/html"));
        assert_eq!((of("bits"), of("bits.unknown")), (None, None));
    }

    #[test]
    fn names_are_decoded() {
        assert_eq!(decoded("a%20b%C3%A4"), "a b\u{e4}".as_bytes());
        assert_eq!(decoded("100%"), b"100%");
        assert_eq!(decoded("%zz%2"), b"%zz%2");
    }
}
