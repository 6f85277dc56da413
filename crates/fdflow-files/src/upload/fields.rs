//! The header fields of the draft, as structured fields (RFC 9651): a value that is not of its
//! type is as if it were not there.

use http::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
pub(super) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(super) const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const PARTIAL_UPLOAD: &str = "application/partial-upload";

/// The largest integer of a structured field.
pub(super) const LARGEST: u64 = 999_999_999_999_999;

/// A Boolean item.
pub(super) fn boolean(fields: &HeaderMap, name: &HeaderName) -> Option<bool> {
    match item(fields, name)? {
        "?1" => Some(true),
        "?0" => Some(false),
        _ => None,
    }
}

/// An Integer item that is not negative.
pub(super) fn integer(fields: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let digits = item(fields, name)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits.parse().ok()
}

/// The value of `Upload-Complete`.
pub(super) fn complete(complete: bool) -> HeaderValue {
    HeaderValue::from_static(if complete { "?1" } else { "?0" })
}

/// An item without its parameters. A field that is there twice is a list, which no item is.
fn item<'f>(fields: &'f HeaderMap, name: &HeaderName) -> Option<&'f str> {
    let mut values = fields.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let value = value.to_str().ok()?.trim_matches(' ');
    Some(value.split(';').next().unwrap_or(value).trim_end_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(values: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(UPLOAD_OFFSET, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn an_integer_that_is_none_is_as_if_it_were_not_there() {
        let read = |values: &[&'static str]| integer(&fields(values), &UPLOAD_OFFSET);
        assert_eq!(read(&["0"]), Some(0));
        assert_eq!(read(&[" 12500000;a=1 "]), Some(12_500_000));
        assert_eq!(read(&["999999999999999"]), Some(LARGEST));
        for wrong in ["", "-1", "+1", "1.0", "1000000000000000", "0x1", "1, 2", "\"1\"", "?1"] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
        assert_eq!(read(&["1", "1"]), None, "a list");
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn a_boolean_that_is_none_is_as_if_it_were_not_there() {
        let read = |values: &[&'static str]| boolean(&fields(values), &UPLOAD_OFFSET);
        assert_eq!(read(&["?1"]), Some(true));
        assert_eq!(read(&["?0;x"]), Some(false));
        for wrong in ["", "1", "true", "?2", "?1, ?0"] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
    }
}
