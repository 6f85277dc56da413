//! The answer to a request.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fdflow_tokio::{Counters, Joiner, Recording, Start};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use tokio::net::unix::pipe;

use super::body::Body;
use super::desk::Desk;
use super::fanned::Fanned;
use super::range;
use super::recorded::Recorded;
use crate::relay::reader::View;
use crate::relay::stream::Stream;
use crate::relay::values::{Begin, LagPolicy};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Why it is not the stream.
struct Refusal {
    status: StatusCode,
    text: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), header: None }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("it cannot be had: {error}"))
    }
}

/// Answers.
pub(super) fn answer<B>(request: &Request<B>, desk: &Arc<Desk>) -> Response<Body> {
    let site = &desk.shared.http;
    let mut response = stream(request, desk).unwrap_or_else(refused);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    site.share(request.headers(), headers);
    response
}

fn refused(refusal: Refusal) -> Response<Body> {
    let text = Bytes::from(refusal.text + "\n");
    let mut response = Response::new(Body::Text(Some(text)));
    *response.status_mut() = refusal.status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().extend(refusal.header);
    response
}

fn stream<B>(request: &Request<B>, desk: &Arc<Desk>) -> Result<Response<Body>, Refusal> {
    let (site, headers) = (&desk.shared.http, request.headers());
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "a request has one Host"));
    }
    if request.method() == Method::OPTIONS {
        return Ok(options());
    }
    if !site.is_at(request.uri().path()) {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "the stream is at /"));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let text = format!("{} does nothing here", request.method());
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text);
        return Err(Refusal { header: Some((header::ALLOW, METHODS)), ..refusal });
    }
    let begin = start(request.uri().query().unwrap_or_default())?;
    let mut response = match desk.shared.stream.get() {
        Some(Stream::Recorded(recording)) => recorded(recording, begin, request, desk)?,
        Some(Stream::Fanned(_)) if begin.is_some_and(|begin| begin != Begin::Live) => {
            let text = "nothing is recorded: start=live is all that there is";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
        }
        Some(Stream::Fanned(joiner)) => fanned(joiner, request, desk)?,
        None => {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "there is no stream yet"));
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, site.media_type.clone());
    Ok(response)
}

fn options() -> Response<Body> {
    let mut response = Response::new(Body::Text(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, METHODS);
    response
}

/// Where the reader would begin; other parameters are for others.
fn start(query: &str) -> Result<Option<Begin>, Refusal> {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("start="));
    let wrong = |error| Refusal::new(StatusCode::BAD_REQUEST, format!("start: {error}"));
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

fn recorded<B>(
    recording: &Recording,
    begin: Option<Begin>,
    request: &Request<B>,
    desk: &Arc<Desk>,
) -> Result<Response<Body>, Refusal> {
    let terms = &desk.shared.terms;
    let mut response = Response::new(Body::Head);
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if request.method() == Method::HEAD {
        return Ok(response);
    }
    let (start, until) = match wanted(recording, request.headers())? {
        Some(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let told = content_range(recording, &range);
            response.headers_mut().insert(header::CONTENT_RANGE, told);
            (Start::At(range.start), Some(range.end))
        }
        None => (begin.unwrap_or(terms.start).now(), None),
    };
    let following = recording.follow(start)?;
    let view = View::Following(following.clone(), recording.clone());
    let serving = desk.begin(view, following.counters().clone(), is_until_close(request, until));
    // A range is of bytes that were all there.
    let skips = terms.lag == LagPolicy::Gap && until.is_none();
    let source = (recording.clone(), following);
    let body = Recorded::new(source, until, skips, (Arc::clone(desk), serving));
    *response.body_mut() = Body::Recorded(Box::new(body));
    Ok(response)
}

/// The range that is asked for: of several the first that there is. With `If-Range` none, since
/// nothing that could be named there was ever told.
fn wanted(recording: &Recording, headers: &HeaderMap) -> Result<Option<Range<u64>>, Refusal> {
    let value = headers.get(header::RANGE).filter(|_| !headers.contains_key(header::IF_RANGE));
    let Some(specs) = value.and_then(|value| range::specs(value.as_bytes())) else {
        return Ok(None);
    };
    if let Some(range) = specs.iter().find_map(|spec| spec.within(recording)) {
        return Ok(Some(range));
    }
    let (first, end) = (recording.start(), recording.end());
    let text = if first == end {
        format!("nothing is kept of the {end} bytes that came")
    } else {
        format!("bytes {first} to {} are kept", end - 1)
    };
    let told = HeaderValue::try_from(format!("bytes */{end}")).ok();
    let header = told.map(|told| (header::CONTENT_RANGE, told));
    Err(Refusal { header, ..Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, text) })
}

/// How long the whole is nobody knows before its end.
fn content_range(recording: &Recording, range: &Range<u64>) -> HeaderValue {
    let (first, last) = (range.start, range.end - 1);
    let text = if recording.is_over() {
        format!("bytes {first}-{last}/{}", recording.end())
    } else {
        format!("bytes {first}-{last}/*")
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

fn fanned<B>(
    joiner: &Joiner<'static>,
    request: &Request<B>,
    desk: &Arc<Desk>,
) -> Result<Response<Body>, Refusal> {
    if request.method() == Method::HEAD {
        return Ok(Response::new(Body::Head));
    }
    let terms = &desk.shared.terms;
    let (sender, receiver) = pipe::pipe()?;
    let joined = Arc::new(joiner.join(sender, terms.lag.lag(terms.max_lag))?);
    let counters = Counters::new();
    let view = View::Piped(Arc::clone(&joined), counters.clone());
    let serving = desk.begin(view, counters, is_until_close(request, None));
    Ok(Response::new(Body::Fanned(Box::new(Fanned::new(joined, receiver, serving)))))
}

/// Whether nothing but the connection's end says that the body is whole.
fn is_until_close<B>(request: &Request<B>, until: Option<u64>) -> bool {
    until.is_none() && request.version() != Version::HTTP_11
}
