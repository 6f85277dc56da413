//! The answer out of a file: the whole, ranges of it, or that it is unchanged.

use bytes::Bytes;
use fdflow_hyper::FileBody;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::Body;
use crate::coded::Coded;
use crate::conditions::{self, Ruling, Validators};
use crate::encodings::Coding;
use crate::entry::{Entry, put_validators};
use crate::multipart::{self, Source};
use crate::pages;
use crate::ranges::{self, Wanted};

/// The file as it is, or the sibling in its place, which says what it is and how it is coded.
pub(crate) fn answer(
    entry: &Entry,
    sibling: Option<(&Entry, Coding)>,
    headers: &HeaderMap,
    get: bool,
) -> Response<Body> {
    let (source, validators) = match sibling {
        Some((sibling, _)) => (&sibling.source, &sibling.validators),
        None => (&entry.source, &entry.validators),
    };
    let head = || {
        let mut head = entry.head.clone();
        if let Some((sibling, coding)) = sibling {
            head.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            head.insert(CONTENT_LENGTH, HeaderValue::from(source.length()));
            put_validators(&sibling.validators, &mut head);
        }
        head
    };
    // Most requests have none of these, and then nothing is looked up.
    if !headers.keys().any(is_special) {
        return whole(head(), source);
    }
    if let Some(response) = unless_conditions_hold(validators, headers, head) {
        return response;
    }
    match wanted(headers, source.length(), validators, get) {
        Wanted::Whole => whole(head(), source),
        Wanted::One(range) => {
            let mut head = head();
            let (first, last, length) = (range.start, range.end - 1, source.length());
            put(&mut head, CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
            head.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
            let body = match source {
                Source::Memory(bytes) => Body::from(multipart::slice(bytes, range)),
                Source::File(file) => Body::file(FileBody::of_range(file.clone(), range)),
            };
            with_head(StatusCode::PARTIAL_CONTENT, head, body)
        }
        Wanted::Many(parts) => {
            let mut head = head();
            let (body, boundary) = multipart::body(source, &parts, entry.media_type.as_bytes());
            put(&mut head, CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
            head.insert(CONTENT_LENGTH, HeaderValue::from(body.length()));
            with_head(StatusCode::PARTIAL_CONTENT, head, Body::file(body))
        }
        Wanted::Nothing => {
            let mut page = pages::status(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "The file has none of the bytes that were asked for.",
            );
            let range = format!("bytes */{}", source.length());
            put(page.headers_mut(), CONTENT_RANGE, &range);
            page.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            page
        }
    }
}

/// The file compressed while it is sent. Its tag is another's, and weak; there are no ranges of
/// it, as nobody knows where they would begin.
pub(crate) fn compressed(entry: &Entry, coding: Coding, headers: &HeaderMap) -> Response<Body> {
    let validators = Validators {
        tag: entry.validators.tag.coded(coding.name()),
        modified: entry.validators.modified,
        strong_date: false,
    };
    let head = || {
        let mut head = entry.head.clone();
        head.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        head.remove(CONTENT_LENGTH);
        head.remove(ACCEPT_RANGES);
        put_validators(&validators, &mut head);
        head
    };
    if let Some(response) = unless_conditions_hold(&validators, headers, head) {
        return response;
    }
    let body = FileBody::of_pieces([entry.source.piece(0..entry.source.length())]).copied();
    with_head(StatusCode::OK, head(), Body::coded(Coded::new(body, coding)))
}

/// The whole file in place of what is not there.
pub(crate) fn in_place_of_missing(entry: &Entry) -> Response<Body> {
    let mut head = entry.head.clone();
    for name in [
        http::header::ETAG,
        http::header::LAST_MODIFIED,
        http::header::CACHE_CONTROL,
        http::header::VARY,
        ACCEPT_RANGES,
    ] {
        head.remove(name);
    }
    let mut response = whole(head, &entry.source);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn is_special(name: &HeaderName) -> bool {
    [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE].contains(name)
}

fn unless_conditions_hold(
    validators: &Validators,
    headers: &HeaderMap,
    head: impl Fn() -> HeaderMap,
) -> Option<Response<Body>> {
    match conditions::rule(headers, Some(validators), true) {
        Ruling::Proceed => None,
        Ruling::NotModified => {
            let mut head = head();
            for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, ACCEPT_RANGES] {
                head.remove(name);
            }
            Some(with_head(StatusCode::NOT_MODIFIED, head, Body::empty()))
        }
        Ruling::Failed => Some(pages::status(
            StatusCode::PRECONDITION_FAILED,
            "The file is not the one that the request is about.",
        )),
    }
}

/// Ranges are for GET, for whom the file is still the one that they have the rest of.
fn wanted(headers: &HeaderMap, length: u64, validators: &Validators, get: bool) -> Wanted {
    let mut values = headers.get_all(RANGE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if get && conditions::range_may_be_answered(headers, validators) => {
            ranges::wanted(value.as_bytes(), length)
        }
        _ => Wanted::Whole,
    }
}

fn whole(head: HeaderMap, source: &Source) -> Response<Body> {
    let body = match source {
        Source::Memory(bytes) => Body::from(Bytes::clone(bytes)),
        Source::File(file) => Body::file(FileBody::new(file.clone())),
    };
    with_head(StatusCode::OK, head, body)
}

fn with_head(status: StatusCode, head: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = head;
    response
}

fn put(head: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        head.insert(name, value);
    }
}
