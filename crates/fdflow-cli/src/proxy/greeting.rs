//! What a client says before it is known where it is to go: a PROXY header, a ClientHello.

use std::io;

use fdflow_proxy::Parsed;
use fdflow_proxy::header::{self, Header, Place};
use fdflow_proxy::hello;

use super::ending::{Ending, Who, Why};
use super::flow::Named;
use crate::daemon::conn::Conn;

/// What one read may bring.
const READ: usize = 4096;

/// What was read of a client, and what of it is to be passed on.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    bytes: Vec<u8>,
}

impl Greeting {
    /// What was read and is the upstream's.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Reads the PROXY header, and takes it away. `None` where it names nobody.
    pub(super) async fn header(&mut self, client: &Conn) -> Result<Option<Named>, Ending> {
        loop {
            match header::parse(&self.bytes) {
                Ok(Parsed::Done { value, length }) => {
                    self.bytes.drain(..length);
                    return Ok(named(&value));
                }
                Ok(Parsed::More) => self.more(client).await?,
                Err(error) => return Err(Ending::by(Why::BadHeader, Who::Client, error)),
            }
        }
    }

    /// Reads as far as the ClientHello goes, and keeps it. The name that it asks for.
    pub(super) async fn server_name(&mut self, client: &Conn) -> Result<Option<String>, Ending> {
        loop {
            match hello::server_name(&self.bytes) {
                Ok(Parsed::Done { value, .. }) => return Ok(value),
                Ok(Parsed::More) => self.more(client).await?,
                Err(error) => return Err(Ending::by(Why::BadHello, Who::Client, error)),
            }
        }
    }

    async fn more(&mut self, client: &Conn) -> Result<(), Ending> {
        loop {
            client.readable().await.map_err(|error| Ending::by(Why::Error, Who::Proxy, error))?;
            if self.read(client)? {
                return Ok(());
            }
        }
    }

    /// Reads what is there. `false`: nothing was.
    fn read(&mut self, client: &Conn) -> Result<bool, Ending> {
        let mut buffer = [0; READ];
        match client.try_read(&mut buffer) {
            Ok(0) => Err(Ending { why: Why::Gone, who: Who::Client, detail: None }),
            Ok(n) => {
                self.bytes.extend_from_slice(&buffer[..n]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(Ending::by(Why::Gone, Who::Client, error)),
        }
    }
}

fn named(header: &Header) -> Option<Named> {
    match header {
        Header::Proxied { source: Place::Ip(source), destination: Place::Ip(destination) } => {
            Some(Named { source: *source, destination: *destination })
        }
        // A health check, or a client on a Unix socket: the connection's own addresses hold.
        _ => None,
    }
}
