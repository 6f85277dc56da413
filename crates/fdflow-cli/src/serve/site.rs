//! What is served: everything that a reload may change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fdflow::{Policy, Routes};
use fdflow_files::Body as FilesBody;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tokio_rustls::rustls::ServerConfig;
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

use super::auth::Auth;
use super::flags::Flags;
use super::record::Observers;
use super::reply::{Received, Reply};
use super::{files, tls};
use crate::daemon::values::Span;
use fdflow_files::Files;

/// What is served and how.
#[derive(Debug)]
pub(super) struct Site {
    inner: Guarded,
    cors: Option<Cors<Guarded>>,
    pub(super) observers: Observers,
    pub(super) limits: Limits,
    pub(super) routes: Routes,
    /// Bytes a second and connection.
    pub(super) rate: Option<u64>,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) client: Duration,
    pub(super) drain: Duration,
}

/// The files, for those who are let in.
#[derive(Debug, Clone)]
struct Guarded {
    files: Files,
    auth: Option<Arc<Auth>>,
}

impl Site {
    pub(super) fn new(flags: &Flags, observers: Observers) -> Result<Self, String> {
        let auth = Auth::new(&flags.auth)?.map(Arc::new);
        let inner = Guarded { files: files::service(flags)?, auth };
        let cors = cors(flags).map(|layer| layer.layer(inner.clone()));
        let denied = flags.deny.iter().fold(Routes::none(), |all, some| all.union(some.0));
        let span =
            |span: Option<Span>, default| span.map_or(Duration::from_secs(default), |span| span.0);
        Ok(Self {
            inner,
            cors,
            observers,
            limits: Limits {
                head: span(flags.header_timeout, 15),
                idle: span(flags.idle_timeout, 75),
                client: span(flags.write_timeout, 60),
                drain: span(flags.drain, 30),
            },
            routes: Policy::default().routes.difference(denied),
            rate: flags.rate.map(|rate| rate.0),
            tls: tls::config(flags)?,
        })
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Received>) -> Response<Reply> {
        let answer = match &self.cors {
            Some(cors) => cors.clone().oneshot(request).await,
            None => self.inner.answer(request).await,
        };
        answer.unwrap_or_else(|never| match never {})
    }
}

impl Guarded {
    async fn answer(&self, request: Request<Received>) -> Result<Response<Reply>, Infallible> {
        let Some(auth) = &self.auth else {
            // They are always ready to be called.
            return Ok(self.files.clone().call(request).await?.map(Reply::from));
        };
        let Some(user) = auth.user(request.headers()).await else {
            let mut response = status(StatusCode::UNAUTHORIZED);
            let realm = HeaderValue::from_static("Basic realm=\"fdflow\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            return Ok(response);
        };
        let mut response = self.files.clone().oneshot(request).await?.map(Reply::from);
        response.extensions_mut().insert(user);
        Ok(response)
    }
}

impl Service<Request<Received>> for Guarded {
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Received>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move { own.answer(request).await })
    }
}

/// An answer that is its status and nothing else.
pub(super) fn status(status: StatusCode) -> Response<Reply> {
    let text = format!("{status}\n");
    let mut response = Response::new(Reply::from(FilesBody::from(Bytes::from(text))));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn cors(flags: &Flags) -> Option<CorsLayer> {
    use http::Method;
    if flags.cors.is_empty() {
        return None;
    }
    let origin = if flags.cors.iter().any(|origin| origin.0 == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(flags.cors.iter().map(|origin| origin.0.clone()))
    };
    let methods = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH];
    Some(
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods(methods)
            .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
            .expose_headers(tower_http::cors::Any),
    )
}
