//! The same sealed snapshot for everybody who connects:
//! `cargo run --release --example snapshot -- LISTEN FILE`.
//!
//! The file is taken into sealed memory once. Whatever becomes of it then, each connection is sent that
//! state of it, by sendfile, at its own pace and all from the same pages. A line on standard input
//! takes the file in again, for those who connect from then on; its end ends the server.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use fdflow::share::Sealed;
use fdflow::{Report, Stability, Transfer, TransferError};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: snapshot LISTEN FILE"));
    };
    let listener = TcpListener::bind(listen)?;
    let served = Arc::new(Served::new(&path)?);
    let renewed = Arc::clone(&served);
    thread::spawn(move || serve(&listener, &served, usize::MAX));
    while io::stdin().read_line(&mut String::new())? > 0 {
        renewed.renew(&path)?;
    }
    Ok(())
}

/// What is sent to those who connect.
pub(crate) struct Served {
    snapshot: Mutex<Sealed>,
}

impl Served {
    pub(crate) fn new(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { snapshot: Mutex::new(taken(path)?) })
    }

    /// Takes the file in again. Connections that are being served keep what they have begun with.
    pub(crate) fn renew(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let new = taken(path)?;
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn current(&self) -> Sealed {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn taken(path: impl AsRef<Path>) -> io::Result<Sealed> {
    Sealed::from_source(File::open(path)?)
}

/// A thread for each of the next `most` connections, all of which have ended then.
pub(crate) fn serve(listener: &TcpListener, served: &Served, most: usize) {
    thread::scope(|scope| {
        for client in listener.incoming().take(most) {
            let client = match client {
                Ok(client) => client,
                Err(error) => return eprintln!("accept: {error}"),
            };
            let snapshot = served.current();
            scope.spawn(move || match send(&snapshot, &client) {
                Ok(report) => println!("{report}"),
                Err(error) => eprintln!("{error}"),
            });
        }
    });
}

/// Sends all of it.
pub(crate) fn send(snapshot: &Sealed, client: &TcpStream) -> Result<Report, TransferError> {
    Transfer::new(snapshot.reader(), client).stability(Stability::Snapshot).run()
}
