//! sendfile under unmodified hyper and axum.
//!
//! A [`Transport`] around the connection and a [`FileBody`] as the response's body: together they
//! send files by sendfile, from any HTTP/1 service of hyper or axum. With only the body (TLS,
//! HTTP/2, another transport) the same service is still right, from `pread`.

mod body;
mod delivery;
mod file;
mod transport;

pub use body::{FileBody, Piece};
pub use delivery::Delivery;
pub use file::OpenFile;
pub use transport::Transport;
