//! An axum program that sends files by sendfile: `axum_files ADDRESS FOLDER`.
//!
//! The two lines that do it are the listener's and the body's; see `fdflow-files` for a service
//! that also knows ranges, preconditions and listings.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fdflow_hyper::{FileBody, Listener, OpenFile};

async fn file(State(folder): State<PathBuf>, Path(name): Path<String>) -> Response {
    // One name in the folder, and nothing elsewhere.
    if name.contains('/') || name.starts_with('.') {
        return StatusCode::NOT_FOUND.into_response();
    }
    match OpenFile::open(folder.join(name)).await {
        Ok(file) => Body::new(FileBody::new(file)).into_response(), // instead of bytes
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let app = Router::new().route("/{name}", get(file)).with_state(folder);
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(Listener::new(listener), app).await // instead of `listener`
}
