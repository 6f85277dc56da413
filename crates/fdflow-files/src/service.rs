//! The service: what a router is given.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower::Service;

use crate::answer::Answerer;
use crate::cache::Cache;
use crate::{Body, Options, upload};

/// Whatever a request's body can fail with.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A folder's files as a tower service, for hyper, axum or whatever else takes one. Cheap to
/// clone; the clones share what is open.
///
/// It answers GET, HEAD and OPTIONS, ranges, preconditions and folders, and never leaves the
/// folder. Its errors are answers. It must be called inside a tokio runtime, with timers.
///
/// ```no_run
/// use axum::Router;
/// use axum::routing::get;
/// use fdflow_files::Files;
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> std::io::Result<()> {
///     let app = Router::new()
///         .route("/api", get(|| async { "something else" }))
///         .fallback_service(Files::new(".")?);
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
///     axum::serve(listener, app).await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Files {
    answerer: Arc<Answerer>,
}

impl Files {
    /// Serves a folder as [`Options::default`] has it.
    ///
    /// # Errors
    ///
    /// What opening the folder answers.
    ///
    /// ```
    /// use fdflow_files::Files;
    /// use http::{Request, StatusCode, header};
    /// use http_body_util::BodyExt as _;
    /// use tower::ServiceExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let folder = tempfile::tempdir()?;
    /// std::fs::write(folder.path().join("greeting.txt"), "Hello, world")?;
    ///
    /// let files = Files::new(folder.path())?;
    /// let request = Request::get("/greeting.txt").header(header::RANGE, "bytes=-5");
    /// let request = request.body(String::new())?;
    /// let response = files.oneshot(request).await?;
    /// assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    /// assert_eq!(response.into_body().collect().await?.to_bytes(), "world");
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(dir: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_options(dir, Options::default())
    }

    /// Serves a folder.
    ///
    /// # Errors
    ///
    /// What opening the folder answers, and `InvalidInput` for a name in the options that cannot
    /// be one.
    pub fn with_options(dir: impl AsRef<Path>, options: Options) -> io::Result<Self> {
        let root = options.open(dir.as_ref())?;
        let cache = Arc::new(Cache::new(options.cache_entries, options.cache_bytes));
        let not_found = options.not_found_name()?;
        if let Some(uploads) = &options.uploads {
            upload::clean_in_background(&root, uploads);
        }
        Ok(Self { answerer: Arc::new(Answerer { root, cache, options, not_found }) })
    }
}

impl<B> Service<Request<B>> for Files
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let at_once = self.answerer.at_once(request.method(), request.uri(), request.headers());
        if let Some(response) = at_once {
            return Answering(State::Ready(Some(response)));
        }
        let answerer = Arc::clone(&self.answerer);
        Answering(State::Waiting(Box::pin(async move { answerer.answer(request).await })))
    }
}

/// The answer of [`Files`], to be awaited.
pub struct Answering(State);

enum State {
    /// Given without waiting; `None` once it is taken.
    Ready(Option<Response<Body>>),
    Waiting(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = matches!(self.0, State::Ready(_));
        f.debug_struct("Answering").field("ready", &ready).finish()
    }
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // A future is not to be polled once it has given its answer; waiting is better than
            // a panic.
            State::Ready(response) => {
                response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
            State::Waiting(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}
