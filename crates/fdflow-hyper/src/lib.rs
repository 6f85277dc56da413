//! sendfile under unmodified hyper and axum.
//!
//! A [`Transport`] around the connection and a [`FileBody`] as the response's body: together they
//! send files by sendfile, from any HTTP/1 service of hyper or axum. With only the body (TLS,
//! HTTP/2, another transport) the same service is still right, from `pread`.
//!
//! In an axum program it takes two lines: a [`Listener`] for `axum::serve`, and `FileBody` where
//! a handler makes a body of a file.
//!
//! ```no_run
//! use axum::{Router, body::Body, routing::get};
//! use fdflow_hyper::{FileBody, Listener, OpenFile};
//!
//! # async fn run() -> std::io::Result<()> {
//! let film = OpenFile::open("film.mp4").await?;
//! let app = Router::new().route("/film", get(async move || Body::new(FileBody::new(film.clone()))));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(Listener::new(listener), app).await
//! # }
//! ```
//!
//! # How it works
//!
//! hyper's HTTP/1 writer hands the frames of a body to a transport that writes vectored, and
//! never reads them. The frame of a `FileBody` is a mapping of the file, no page of which has
//! been touched; the transport finds each slice among the mappings that its own connection was
//! lent, and sends the file behind it.
//!
//! A body knows by the task that polls it whether its connection is a `Transport`: hyper polls
//! both from the connection's task. Where that is not so (HTTP/2, a body that is collected by
//! another task, several connections in one task) it does not map, but reads.

mod body;
mod delivery;
mod file;
#[cfg(feature = "axum")]
mod listener;
mod mapping;
mod read;
mod region;
mod send;
mod transport;

pub use body::{FileBody, Piece};
pub use delivery::{Delivery, Why};
pub use file::OpenFile;
#[cfg(feature = "axum")]
pub use listener::Listener;
pub use transport::{Stream, Transport};
