//! Readers that speak HTTP.

mod answer;
mod body;
mod carrier;
mod connection;
mod desk;
mod fanned;
mod files;
mod range;
mod recorded;
mod site;

use std::net::SocketAddr;
use std::sync::Arc;

use self::desk::Desk;
use super::worker::Shared;
use crate::daemon::conn::Conn;
use crate::daemon::gate::Pass;

pub(super) use site::Site;

/// Answers what is asked on a connection, to its end.
pub(super) async fn run(conn: Conn, peer: Option<SocketAddr>, pass: Pass, shared: Arc<Shared>) {
    let desk = Arc::new(Desk::new(shared, peer));
    match conn {
        Conn::Tcp(stream) => connection::serve(stream, &desk).await,
        Conn::Unix(stream) => connection::serve(stream, &desk).await,
    }
    drop(pass);
}
