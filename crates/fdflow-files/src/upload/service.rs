//! A service that takes uploads and serves nothing.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower::Service;

use super::intake::BoxError;
use super::refusal::Refusal;
use super::{UploadOptions, accept, clean_in_background};
use crate::name::Name;
use crate::{Body, Root, Symlinks};

/// A tower service that stores what is sent to it in a folder, and gives nothing out: a drop box.
///
/// PUT stores a file under the path of its URI, POST of a form stores the form's files in the
/// folder that it goes to; folders must be there. With `Upload-Complete: ?0` either begins an
/// upload in parts. Writes run on tokio's blocking threads. What an earlier program left
/// unfinished is cleaned up in the background when the service is made.
///
/// A service that also serves the files is this crate's `Files` with uploads on.
///
/// ```
/// use fdflow_files::{Symlinks, UploadOptions, Uploads};
///
/// # let folder = tempfile::tempdir()?;
/// let options = UploadOptions::new().largest(Some(100 << 20));
/// let drop_box = Uploads::new(folder.path(), Symlinks::Inside, options)?;
/// let app: axum::Router = axum::Router::new().nest_service("/inbox", drop_box);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Uploads {
    root: Root,
    options: UploadOptions,
}

impl Uploads {
    /// Stores below this folder, which is opened now. Hidden names are refused.
    ///
    /// # Errors
    ///
    /// What opening the folder answers.
    pub fn new(folder: &Path, symlinks: Symlinks, options: UploadOptions) -> io::Result<Self> {
        let root = Root::new(folder, symlinks, false)?;
        clean_in_background(&root, &options);
        Ok(Self { root, options })
    }
}

impl<B> Service<Request<B>> for Uploads
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { root, options } = self.clone();
        Box::pin(async move {
            Ok(match Name::from_uri(request.uri().path()) {
                Ok(name) => accept(&root, &options, &name, request).await,
                Err(bad) => Refusal::bad_request(bad.to_string()).answer(request.version(), true),
            })
        })
    }
}
