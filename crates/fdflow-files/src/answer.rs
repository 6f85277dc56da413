//! From a request to its answer.

mod file;
mod folder;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::cache::Cache;
use crate::encodings::{self, Coding};
use crate::entry::{Entry, Unread, path_of};
use crate::name::Name;
use crate::root::{FileOrFolder, OpenError, Opened, Root};
use crate::service::BoxError;
use crate::{Body, Options, UploadOptions, accept, coded, media_type, pages, upload};

/// What answers: the folder, what is known of it, and how it is to be served.
#[derive(Debug)]
pub(crate) struct Answerer {
    pub(crate) root: Root,
    pub(crate) cache: Arc<Cache>,
    pub(crate) options: Options,
    pub(crate) not_found: Option<Name>,
}

/// What has a name.
enum Found {
    File(Arc<Entry>),
    Folder(Opened),
}

/// How often a file that changes while it is looked at is looked at again.
const LOOKS: usize = 4;

impl Answerer {
    /// The answer, if it can be given without waiting and without much thought: a file that is in
    /// the cache and, as one call tells, unchanged.
    pub(crate) fn at_once(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let get = *method == Method::GET;
        if !get && *method != Method::HEAD {
            return None;
        }
        let name = Name::from_uri(uri.path()).ok()?;
        let entry = self.cache.get(&name)?;
        let negotiate = entry.negotiable && headers.contains_key(ACCEPT_ENCODING);
        if negotiate || !self.is_true(&name, &entry) {
            return None;
        }
        let response = file::answer(&entry, None, headers, get);
        Some(if get { response } else { without_body(response) })
    }

    /// The answer, whatever it takes.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(uploads) = &self.options.uploads
            && let Ok(name) = Name::from_uri(request.uri().path())
            && is_for_upload(request.method(), &name)
        {
            return self.upload(uploads, &name, request).await;
        }
        let (parts, _) = request.into_parts();
        self.without_upload(&parts).await
    }

    async fn upload<B>(
        &self,
        uploads: &UploadOptions,
        name: &Name,
        request: Request<B>,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let uri = request.uri().clone();
        let offers = request.method() == Method::OPTIONS && !upload::is_upload_resource(name);
        let mut response = upload::accept(&self.root, uploads, name, request).await;
        if offers && response.status().is_success() {
            response.headers_mut().insert(ALLOW, self.allowed());
        }
        self.with_rules(response, &uri)
    }

    async fn without_upload(&self, parts: &Parts) -> Response<Body> {
        let head = parts.method == Method::HEAD;
        let response = match parts.method {
            Method::GET | Method::HEAD => self.read(parts).await,
            Method::OPTIONS => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().insert(ALLOW, self.allowed());
                self.with_rules(response, &parts.uri)
            }
            _ => self.with_rules(self.not_allowed(), &parts.uri),
        };
        if head { without_body(response) } else { response }
    }

    fn allowed(&self) -> HeaderValue {
        HeaderValue::from_static(match self.options.uploads {
            Some(_) => "GET, HEAD, OPTIONS, POST, PUT",
            None => "GET, HEAD, OPTIONS",
        })
    }

    fn not_allowed(&self) -> Response<Body> {
        let about = "This method is not for what has this name.";
        let mut page = pages::status(StatusCode::METHOD_NOT_ALLOWED, about);
        page.headers_mut().insert(ALLOW, self.allowed());
        page
    }

    async fn read(&self, parts: &Parts) -> Response<Body> {
        let name = match Name::from_uri(parts.uri.path()) {
            Ok(name) => name,
            Err(bad) => {
                let about = format!("Not a path: {bad}.");
                return self.with_rules(pages::status(StatusCode::BAD_REQUEST, &about), &parts.uri);
            }
        };
        // What is being uploaded is nobody's to read, whatever else is shown.
        if self.options.uploads.is_some() && name.components().any(upload::is_reserved) {
            return self.with_rules(pages::not_found(), &parts.uri);
        }
        let response = match self.find(&name).await {
            Ok(Found::File(entry)) => return self.file(&name, &entry, parts).await,
            Ok(Found::Folder(opened)) => match self.folder(&name, &opened, parts).await {
                Some(response) => response,
                None => match self.spa(&name, parts).await {
                    Some(response) => return response,
                    None => pages::status(StatusCode::FORBIDDEN, "This folder is not listed."),
                },
            },
            Err(
                OpenError::NotFound
                | OpenError::Refused
                | OpenError::NotAFolder
                | OpenError::NameTooLong,
            ) => match self.spa(&name, parts).await {
                Some(response) => return response,
                None => self.missing().await,
            },
            Err(error) => pages::refusal(&error),
        };
        self.with_rules(response, &parts.uri)
    }

    /// Whether an entry of the cache is of what has this name now, as far as that can be told
    /// without waiting.
    fn is_true(&self, name: &Name, entry: &Entry) -> bool {
        entry.settled && self.root.is_unchanged(name, &entry.facts)
    }

    /// What has this name, looked at now.
    async fn find(&self, name: &Name) -> Result<Found, OpenError> {
        if let Some(entry) = self.cache.get(name)
            && self.is_true(name, &entry)
        {
            return Ok(Found::File(entry));
        }
        for _ in 0..LOOKS {
            let opened = match self.root.open(name).await {
                Ok(opened) => opened,
                Err(OpenError::NoDescriptors) => {
                    // Those that the cache holds are the first to go.
                    self.cache.clear();
                    self.root.open(name).await?
                }
                Err(error) => {
                    self.cache.remove(name);
                    return Err(error);
                }
            };
            if opened.facts.kind == FileOrFolder::Folder {
                self.cache.remove(name);
                return Ok(Found::Folder(opened));
            }
            let kept = self.cache.get(name);
            if let Some(entry) = &kept
                && entry.settled
                && entry.facts == opened.facts
            {
                return Ok(Found::File(Arc::clone(entry)));
            }
            match Entry::read(name, opened, &self.options, kept.as_deref()).await {
                Ok(entry) => {
                    let entry = Arc::new(entry);
                    self.cache.insert(name, Arc::clone(&entry));
                    return Ok(Found::File(entry));
                }
                Err(Unread::Changed) => {}
                Err(Unread::Failed(error)) => return Err(OpenError::Failed(error)),
            }
        }
        let message = "the file does not stop changing";
        Err(OpenError::Failed(std::io::Error::other(message)))
    }

    /// The file in the form that the client likes best.
    async fn file(&self, name: &Name, entry: &Entry, parts: &Parts) -> Response<Body> {
        let get = parts.method == Method::GET;
        let headers = &parts.headers;
        if !entry.negotiable || !headers.contains_key(ACCEPT_ENCODING) {
            return file::answer(entry, None, headers, get);
        }
        let codings = encodings::accepted(headers);
        if let Some((sibling, coding)) = self.sibling(name, entry, &codings).await {
            return file::answer(entry, Some((&sibling, coding)), headers, get);
        }
        let compress = self.options.compress
            && entry.facts.length >= coded::LEAST
            && media_type::is_compressible(&entry.media_type);
        match coded::choose(&codings) {
            Some(coding) if compress => file::compressed(entry, coding, headers),
            _ => file::answer(entry, None, headers, get),
        }
    }

    /// The first of the precompressed siblings that is there and no older than the file.
    async fn sibling(
        &self,
        name: &Name,
        entry: &Entry,
        codings: &[Coding],
    ) -> Option<(Arc<Entry>, Coding)> {
        if !self.options.precompressed || !media_type::may_have_siblings(&entry.media_type) {
            return None;
        }
        for coding in codings {
            if let Ok(Found::File(sibling)) = self.find(&name.with_suffix(coding.suffix())).await
                && sibling.facts.modified >= entry.facts.modified
            {
                return Some((sibling, *coding));
            }
        }
        None
    }

    /// The root's index file in place of what is not there.
    async fn spa(&self, name: &Name, parts: &Parts) -> Option<Response<Body>> {
        let extension = name.file_name().is_some_and(|last| last.contains(&b'.'));
        if !self.options.spa || extension && !accept::names_html(&parts.headers) {
            return None;
        }
        for index in &self.options.index {
            let child = Name::root().child(index.as_bytes());
            if let Ok(Found::File(entry)) = self.find(&child).await {
                return Some(self.file(&child, &entry, parts).await);
            }
        }
        None
    }

    async fn missing(&self) -> Response<Body> {
        if let Some(name) = &self.not_found
            && let Ok(Found::File(entry)) = self.find(name).await
        {
            return file::in_place_of_missing(&entry);
        }
        pages::not_found()
    }

    /// Adds the headers of the rules to an answer that has no file in it.
    fn with_rules(&self, mut response: Response<Body>, uri: &Uri) -> Response<Body> {
        let path = Name::from_uri(uri.path()).map(|name| path_of(&name));
        let path = path.unwrap_or_else(|_| uri.path().as_bytes().to_vec());
        self.options.add_headers(&path, false, response.headers_mut());
        response
    }
}

/// Whether a request is for the uploads, where there are any.
fn is_for_upload(method: &Method, name: &Name) -> bool {
    matches!(*method, Method::PUT | Method::POST | Method::OPTIONS)
        || upload::is_upload_resource(name)
}

/// The head alone, as it would be with the body.
fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Body::empty())
}
