//! Stands in for the file service.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};

use fdflow_files::Body;
use fdflow_hyper::{FileBody, OpenFile};
use http::{Request, Response, StatusCode};

#[derive(Debug, Clone)]
pub(super) struct Files(Arc<PathBuf>);

impl Files {
    pub(super) fn new(dir: PathBuf) -> Result<Self, String> {
        Ok(Self(Arc::new(dir)))
    }
}

impl<B> tower::Service<Request<B>> for Files {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = self.0.join(request.uri().path().trim_start_matches('/'));
        let file = std::fs::File::open(path).and_then(OpenFile::new);
        std::future::ready(Ok(match file {
            Ok(file) => Response::new(Body::file(FileBody::new(file))),
            Err(_) => {
                let mut response = Response::new(Body::from("404 Not Found\n"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        }))
    }
}
