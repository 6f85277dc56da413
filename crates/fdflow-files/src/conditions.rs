//! Preconditions, in the order of RFC 9110, section 13.2.2.

use std::time::UNIX_EPOCH;

use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

use crate::etag::{self, Tag};

/// What a request may compare its conditions with.
#[derive(Debug, Clone)]
pub(crate) struct Validators {
    pub(crate) tag: Tag,
    /// In whole seconds since 1970; `None` where no date is told.
    pub(crate) modified: Option<i64>,
    /// Whether the date tells every version from every other that may have been seen.
    pub(crate) strong_date: bool,
}

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// Do what is asked for.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Rules on the conditions of a request. `current` is `None` where there is nothing yet, and
/// `reading` is true for GET and HEAD.
pub(crate) fn rule(headers: &HeaderMap, current: Option<&Validators>, reading: bool) -> Ruling {
    if headers.contains_key(IF_MATCH) {
        if !any_tag(headers, IF_MATCH, current, Tag::equals_strongly) {
            return Ruling::Failed;
        }
    } else if let Some((limit, modified)) = dates(headers, IF_UNMODIFIED_SINCE, current)
        && modified > limit
    {
        return Ruling::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if any_tag(headers, IF_NONE_MATCH, current, Tag::equals_weakly) {
            return if reading { Ruling::NotModified } else { Ruling::Failed };
        }
    } else if reading
        && let Some((limit, modified)) = dates(headers, IF_MODIFIED_SINCE, current)
        && modified <= limit
    {
        return Ruling::NotModified;
    }
    Ruling::Proceed
}

/// Whether a `Range` may be answered: there is no `If-Range`, or its validator is the current
/// one, beyond doubt.
pub(crate) fn range_may_be_answered(headers: &HeaderMap, current: &Validators) -> bool {
    let mut values = headers.get_all(IF_RANGE).iter();
    let Some(value) = values.next() else { return true };
    if values.next().is_some() {
        return false;
    }
    if let Some(tag) = etag::one(value.as_bytes()) {
        return current.tag.equals_strongly(tag);
    }
    current.strong_date && current.modified.is_some() && date(value.as_bytes()) == current.modified
}

/// Whether a header names the current tag, or is `*` and there is something.
fn any_tag(
    headers: &HeaderMap,
    name: HeaderName,
    current: Option<&Validators>,
    equal: impl Fn(&Tag, etag::Given<'_>) -> bool,
) -> bool {
    let Some(current) = current else { return false };
    headers.get_all(name).iter().any(|value| {
        let value = value.as_bytes();
        value.trim_ascii() == b"*" || etag::list(value).any(|tag| equal(&current.tag, tag))
    })
}

/// The header's date and the current one. A date that cannot be read, or of which there are
/// several, is as good as none.
fn dates(
    headers: &HeaderMap,
    name: HeaderName,
    current: Option<&Validators>,
) -> Option<(i64, i64)> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    Some((date(value.as_bytes())?, current?.modified?))
}

fn date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
#[path = "conditions/tests.rs"]
mod tests;
