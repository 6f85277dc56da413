//! What a file is: by its name, then by what it begins with.

use http::HeaderValue;

/// How much of a file's beginning is looked at.
pub(crate) const SAMPLE: usize = 8 << 10;

/// The type of a file of this name that begins with these bytes; `whole` says whether they are
/// all of it.
///
/// Text is told to be UTF-8 where its beginning is; where it is not, no charset is told, and the
/// client may find out what it is.
pub(crate) fn of(name: &[u8], sample: &[u8], whole: bool) -> HeaderValue {
    let text = looks_like_text(sample, whole);
    let essence = match by_name(name) {
        Some(essence) => essence,
        None => match infer::get(sample) {
            Some(kind) => kind.mime_type(),
            None if text && !sample.is_empty() => "text/plain",
            None => "application/octet-stream",
        },
    };
    if text && wants_charset(essence) {
        let value = format!("{essence}; charset=utf-8");
        return HeaderValue::try_from(value).unwrap_or(OCTETS);
    }
    HeaderValue::from_static(essence)
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

fn by_name(name: &[u8]) -> Option<&'static str> {
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
    let extension = std::str::from_utf8(&name[dot + 1..]).ok()?;
    mime_guess::from_ext(extension).first_raw()
}

fn wants_charset(essence: &str) -> bool {
    essence.starts_with("text/") || essence == "application/javascript"
}

/// UTF-8 without the control characters that no text has. A character that the sample's end cuts
/// in two is none the worse for it.
fn looks_like_text(sample: &[u8], whole: bool) -> bool {
    let valid = match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !whole,
    };
    valid && !sample.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127))
}

/// Whether a file of this type gets smaller by a coding that was made for text.
pub(crate) fn is_compressible(media_type: &HeaderValue) -> bool {
    let essence = essence(media_type);
    essence.starts_with(b"text/")
        || essence.ends_with(b"+xml")
        || essence.ends_with(b"+json")
        || COMPRESSIBLE.iter().any(|known| *known == essence)
}

const COMPRESSIBLE: [&[u8]; 16] = [
    b"application/javascript",
    b"application/json",
    b"application/manifest+json",
    b"application/rtf",
    b"application/sql",
    b"application/toml",
    b"application/vnd.ms-fontobject",
    b"application/wasm",
    b"application/x-javascript",
    b"application/x-sh",
    b"application/xml",
    b"application/yaml",
    b"font/otf",
    b"font/ttf",
    b"image/bmp",
    b"image/x-icon",
];

/// Whether a file of this type may have precompressed siblings that are worth looking for: all
/// but what is compressed already.
pub(crate) fn may_have_siblings(media_type: &HeaderValue) -> bool {
    let essence = essence(media_type);
    let dense = essence.starts_with(b"image/")
        || essence.starts_with(b"video/")
        || essence.starts_with(b"audio/")
        || DENSE.iter().any(|known| *known == essence);
    !dense || is_compressible(media_type)
}

const DENSE: [&[u8]; 9] = [
    b"application/gzip",
    b"application/x-7z-compressed",
    b"application/x-brotli",
    b"application/x-bzip2",
    b"application/x-xz",
    b"application/zip",
    b"application/zstd",
    b"font/woff",
    b"font/woff2",
];

fn essence(media_type: &HeaderValue) -> &[u8] {
    let value = media_type.as_bytes();
    let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    value[..end].trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_goes_before_the_content() {
        for (name, sample, expected) in [
            (&b"a.html"[..], &b"<p>"[..], "text/html; charset=utf-8"),
            (b"a.js", b"1", "text/javascript; charset=utf-8"),
            (b"a.css", b"", "text/css; charset=utf-8"),
            (b"a.json", b"{}", "application/json"),
            (b"a.svg", b"<svg/>", "image/svg+xml"),
            (b"a.png", b"text", "image/png"),
            (b"A.PNG", b"text", "image/png"),
            (b"a.wasm", b"", "application/wasm"),
            (b"a.mp4", b"", "video/mp4"),
        ] {
            assert_eq!(of(name, sample, true), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn without_a_known_name_the_content_tells() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for (name, sample, expected) in [
            (&b"picture"[..], &png[..], "image/png"),
            (b"README", b"read me", "text/plain; charset=utf-8"),
            (b".profile", b"export A=1", "text/plain; charset=utf-8"),
            (b"a.unknown-to-all", "gr\u{fc}n".as_bytes(), "text/plain; charset=utf-8"),
            (b"bits", b"a\0b", "application/octet-stream"),
            (b"latin", b"gr\xfcn", "application/octet-stream"),
            (b"empty", b"", "application/octet-stream"),
            (b"a.\xff", b"text", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(of(name, sample, true), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_told_without_a_charset() {
        assert_eq!(of(b"a.html", b"gr\xfcn", true), "text/html");
        assert_eq!(of(b"a.txt", b"gr\xc3", true), "text/plain");
        assert_eq!(of(b"a.txt", b"gr\xc3", false), "text/plain; charset=utf-8");
    }

    #[test]
    fn what_is_compressed_already_is_not_compressed_again() {
        let is = |text| is_compressible(&HeaderValue::from_static(text));
        assert!(is("text/html; charset=utf-8") && is("image/svg+xml") && is("application/wasm"));
        assert!(!is("image/png") && !is("application/octet-stream") && !is("video/mp4"));
        let may = |text| may_have_siblings(&HeaderValue::from_static(text));
        assert!(may("text/plain") && may("application/octet-stream") && may("image/svg+xml"));
        assert!(!may("image/png") && !may("application/zip") && !may("font/woff2"));
    }
}
