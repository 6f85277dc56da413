//! The listener for `axum::serve`.

use std::io;

use axum::serve;

use crate::Transport;
use crate::transport::Stream;

/// A listener whose connections are [`Transport`]s.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use fdflow_hyper::{FileBody, Listener, OpenFile};
///
/// # async fn run() -> std::io::Result<()> {
/// let app = Router::new().route("/film", get(|| async {
///     let film = OpenFile::open("film.mp4").await.map_err(|error| error.to_string())?;
///     Ok::<_, String>(axum::body::Body::new(FileBody::new(film)))
/// }));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(Listener::new(listener), app).await
/// # }
/// ```
#[derive(Debug)]
pub struct Listener<L>(L);

impl<L> Listener<L> {
    /// Around a TCP or Unix listener of tokio's.
    pub fn new(listener: L) -> Self {
        Self(listener)
    }
}

impl<L> serve::Listener for Listener<L>
where
    L: serve::Listener,
    L::Io: Stream,
{
    type Io = Transport<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = self.0.accept().await;
        (Transport::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
