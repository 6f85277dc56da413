//! Small pages that say what a status means.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::Body;
use crate::root::OpenError;

/// A page with a status and one sentence. `about` is text of the program's own.
pub(crate) fn status(status: StatusCode, about: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("");
    let code = status.as_u16();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{code} {title}</title>\n\
         <h1>{code} {title}</h1>\n<p>{about}</p>\n"
    );
    let mut response =
        with_bytes(page.into(), HeaderValue::from_static("text/html; charset=utf-8"));
    *response.status_mut() = status;
    response
}

/// An answer out of bytes of this type.
pub(crate) fn with_bytes(bytes: Bytes, media_type: HeaderValue) -> Response<Body> {
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// What is not there, or is said not to be.
pub(crate) fn not_found() -> Response<Body> {
    status(StatusCode::NOT_FOUND, "There is nothing of this name here.")
}

/// Why something could not be opened.
pub(crate) fn refusal(error: &OpenError) -> Response<Body> {
    match error {
        OpenError::NotFound
        | OpenError::Refused
        | OpenError::NotAFolder
        | OpenError::NameTooLong => not_found(),
        OpenError::Denied => {
            status(StatusCode::FORBIDDEN, "The server may not read what has this name.")
        }
        OpenError::NoDescriptors => {
            let mut page = status(
                StatusCode::SERVICE_UNAVAILABLE,
                "The server has too many files open. Try again in a moment.",
            );
            page.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            page
        }
        OpenError::Failed(error) => status(
            StatusCode::INTERNAL_SERVER_ERROR,
            // The kind alone: no path and nothing to escape.
            &format!("What has this name could not be read: {}.", error.kind()),
        ),
    }
}
