//! Uploads: whole files, forms, and uploads that are resumed, all of them to disk and then there,
//! or not there at all.

mod clean;
mod fields;
mod form;
mod intake;
mod refusal;
mod resumable;
mod service;
mod store;
mod terms;
mod watched;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;

use crate::name::Name;
use crate::{Body, Root};

pub(crate) use clean::clean_in_background;
use intake::BoxError;
use refusal::Refusal;
use resumable::Claims;
pub use service::Uploads;
pub(crate) use store::is_reserved;
use watched::Watched;

/// What uploads may do. Cheap to clone; clones know of each other's uploads.
///
/// ```
/// use std::time::Duration;
/// use fdflow_files::UploadOptions;
///
/// let options = UploadOptions::new()
///     .overwrite(true)
///     .largest(Some(4 << 30))
///     .keep_unfinished(Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone)]
pub struct UploadOptions {
    overwrite: bool,
    largest: Option<u64>,
    durable: bool,
    resumable: bool,
    unnamed: bool,
    expiry: Duration,
    unfinished: usize,
    claims: Arc<Claims>,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            overwrite: false,
            largest: None,
            durable: true,
            resumable: true,
            unnamed: true,
            expiry: Duration::from_secs(24 * 60 * 60),
            unfinished: 100,
            claims: Arc::default(),
        }
    }
}

impl UploadOptions {
    /// Files of any size, durable before they are answered for, resumable for a day, and none that
    /// takes the place of another.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an upload takes the place of a file of its name; 409 where it may not. Folders,
    /// links and special files are never replaced.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// How many bytes a request may bring at most, and a resumed upload in all; 413 where there
    /// are more. `None`: whatever the disk holds.
    #[must_use]
    pub fn largest(mut self, bytes: Option<u64>) -> Self {
        self.largest = bytes;
        self
    }

    /// Whether a file and its name are on the disk (`fsync`) before the answer says so.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Whether uploads can be made in parts (draft-ietf-httpbis-resumable-upload).
    #[must_use]
    pub fn resumable(mut self, resumable: bool) -> Self {
        self.resumable = resumable;
        self
    }

    /// Whether files are without a name while they are written, where the filesystem can do that.
    /// Else they have a hidden one, and a program that is killed leaves it until the next start.
    #[must_use]
    pub fn unnamed(mut self, unnamed: bool) -> Self {
        self.unnamed = unnamed;
        self
    }

    /// How long an upload that is to be resumed is kept after its last byte, and a finished one
    /// can be asked about. In whole seconds.
    #[must_use]
    pub fn keep_unfinished(mut self, time: Duration) -> Self {
        self.expiry = time;
        self
    }

    /// How many uploads can wait to be resumed in one folder; 503 for more.
    #[must_use]
    pub fn most_unfinished(mut self, number: usize) -> Self {
        self.unfinished = number;
        self
    }

    /// The `Upload-Limit` of the draft.
    fn limit(&self) -> HeaderValue {
        let age = self.expiry.as_secs();
        let text = match self.largest {
            Some(largest) => format!("max-size={}, max-age={age}", largest.min(fields::LARGEST)),
            None => format!("max-age={age}"),
        };
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("min-size=0"))
    }

    fn too_large(&self) -> Refusal {
        let largest = self.largest.unwrap_or(u64::MAX);
        let reason = format!("files of more than {largest} bytes are not taken");
        // The client may be in no hurry with what is not wanted: nobody waits for it.
        let refusal = Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason).last();
        if self.resumable {
            refusal.with_field(fields::UPLOAD_LIMIT, self.limit())
        } else {
            refusal
        }
    }

    fn allows(&self, bytes: u64) -> Result<(), Refusal> {
        if self.largest.is_some_and(|largest| bytes > largest) {
            Err(self.too_large())
        } else {
            Ok(())
        }
    }
}

/// Whether this names an upload that is under way: its requests go to [`accept`], whatever their
/// method. Nothing else may be made of such a name.
pub(crate) fn is_upload_resource(name: &Name) -> bool {
    resumable::id_of(name).is_some()
}

/// Answers a request that uploads: PUT and POST, and every request to an upload resource.
///
/// The body is read as fast as the disk takes it and no faster. Dropping the future leaves nothing
/// on disk but what is to be resumed.
pub(crate) async fn accept<B>(
    root: &Root,
    options: &UploadOptions,
    name: &Name,
    request: Request<B>,
) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let mut body = Watched::new(body);
    let upload = Upload { root, options, name, head: &head };
    match upload.answer(&mut body).await {
        Ok(response) => response,
        Err(refusal) => {
            let read = !refusal.is_last() && body.settle(&head.headers).await;
            refusal.answer(head.version, !read)
        }
    }
}

/// One request.
#[derive(Clone, Copy)]
struct Upload<'r> {
    root: &'r Root,
    options: &'r UploadOptions,
    name: &'r Name,
    head: &'r Parts,
}

impl Upload<'_> {
    async fn answer<B>(&self, body: &mut Watched<B>) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(id) = resumable::id_of(self.name) {
            return self.resumed(id, body).await;
        }
        if self.name.components().any(is_reserved) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "nothing may be stored there"));
        }
        match self.head.method {
            Method::OPTIONS => Ok(self.offers(METHODS)),
            Method::PUT => self.file(body).await,
            Method::POST if form::is_form(self.headers()) => self.form(body).await,
            Method::POST if self.names_a_folder() => {
                let reason = "a folder takes forms (multipart/form-data); send a file by PUT";
                Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason))
            }
            Method::POST => self.file(body).await,
            _ => Err(not_allowed(METHODS)),
        }
    }

    /// A file that is the body, whole or its beginning.
    async fn file<B>(&self, body: &mut Watched<B>) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if self.names_a_folder() {
            return Err(Refusal::conflict("this is a folder's name; name a file"));
        }
        // RFC 9110 §14.5 and §8.4: what is not understood must not be stored as the whole.
        if self.headers().contains_key(http::header::CONTENT_RANGE) {
            return Err(Refusal::bad_request("a part is not stored as the whole"));
        }
        let coded = self.headers().get(http::header::CONTENT_ENCODING);
        if coded.is_some_and(|coding| coding != "identity") {
            let reason = "send the file without a content coding";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        match fields::boolean(self.headers(), &fields::UPLOAD_COMPLETE) {
            Some(complete) if self.options.resumable => self.begun(complete, body).await,
            Some(false) => {
                let reason = "uploads in parts are not taken here";
                Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason))
            }
            _ => self.whole(None, body).await,
        }
    }

    fn names_a_folder(&self) -> bool {
        self.name.is_root() || self.name.has_slash()
    }

    fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// What can be done here, for OPTIONS.
    fn offers(&self, methods: &'static str) -> Response<Body> {
        let mut response = empty(StatusCode::NO_CONTENT);
        let fields = response.headers_mut();
        fields.insert(ALLOW, HeaderValue::from_static(methods));
        if self.options.resumable {
            fields.insert(ACCEPT_PATCH, HeaderValue::from_static(fields::PARTIAL_UPLOAD));
            fields.insert(fields::UPLOAD_LIMIT, self.options.limit());
        }
        response
    }
}

const METHODS: &str = "OPTIONS, POST, PUT";
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

fn not_allowed(methods: &'static str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this cannot be done to an upload")
        .with_field(ALLOW, HeaderValue::from_static(methods))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
