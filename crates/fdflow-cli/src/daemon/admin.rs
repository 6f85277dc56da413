//! The HTTP side of a running command, for those who look after it: `/healthz`, `/metrics` and what
//! else the command answers, on a listener of its own.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::listen::{Acceptor, Listening};

/// After a failed `accept` so long is rested.
const REST: Duration = Duration::from_millis(100);

/// What is answered to a method and a path.
pub(crate) trait Answers: Send + Sync + 'static {
    fn answer<'a>(&'a self, method: &'a Method, path: &'a str) -> Answering<'a>;
}

/// An answer that may take its time.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    kind: &'static str,
    /// The methods that there are, where the one asked for is not.
    allow: Option<&'static str>,
    text: String,
}

impl Answer {
    /// Plain text.
    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, kind: "text/plain", allow: None, text: text.into() }
    }

    /// It is done, and there is nothing to say.
    pub(crate) fn done() -> Self {
        Self::text(StatusCode::NO_CONTENT, "")
    }

    /// JSON.
    pub(crate) fn json(text: String) -> Self {
        Self { kind: "application/json", ..Self::text(StatusCode::OK, text + "\n") }
    }

    /// What Prometheus reads, or why there is none.
    pub(crate) fn metrics(text: Result<String, String>) -> Self {
        match text {
            Ok(text) => Self {
                kind: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                ..Self::text(StatusCode::OK, text)
            },
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, error + "\n"),
        }
    }

    /// Only these methods.
    pub(crate) fn only(methods: &'static str) -> Self {
        Self { allow: Some(methods), ..Self::text(StatusCode::METHOD_NOT_ALLOWED, "405\n") }
    }

    fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// Answers at these, in the runtime that this is called in, for `command`.
pub(crate) fn serve(listening: Vec<Listening>, answers: &Arc<dyn Answers>, command: &'static str) {
    for mut one in listening {
        let Some(acceptor) = one.take() else { continue };
        let answers = Arc::clone(answers);
        tokio::spawn(async move {
            // A Unix socket's name is taken away with it.
            let _name = one;
            if let Err(error) = run(acceptor, answers).await {
                eprintln!("fdflow: {command}: --admin: {error}");
            }
        });
    }
}

/// Accepts forever. Whoever asks here is trusted with it, but not with time.
pub(crate) async fn run(acceptor: Acceptor, answers: Arc<dyn Answers>) -> io::Result<()> {
    match acceptor {
        Acceptor::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(converse(stream, Arc::clone(&answers)))),
                    Err(_) => tokio::time::sleep(REST).await,
                }
            }
        }
        Acceptor::Unix(listener) => {
            let listener = UnixListener::from_std(listener)?;
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(converse(stream, Arc::clone(&answers)))),
                    Err(_) => tokio::time::sleep(REST).await,
                }
            }
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, answers: Arc<dyn Answers>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answers = Arc::clone(&answers);
        async move {
            let answer = answers.answer(request.method(), request.uri().path()).await;
            Ok::<_, Infallible>(answer.response())
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    // Who asked has gone; nothing is lost.
    let _ended = http.serve_connection(TokioIo::new(stream), service).await.is_ok();
}
