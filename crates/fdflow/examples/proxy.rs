//! A TCP proxy: `cargo run --example proxy -- LISTEN UPSTREAM`.
//!
//! Each direction of a connection is moved on a thread of its own, by the best route, and closed
//! on its own: what has been said goes through although the other side has stopped to speak.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use fdflow::{Report, TransferError};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: proxy LISTEN UPSTREAM"));
    };
    for client in TcpListener::bind(listen)?.incoming() {
        let (client, upstream) = (client?, upstream.clone());
        thread::spawn(move || {
            match TcpStream::connect(upstream).map(|server| proxy(&client, &server)) {
                Ok((up, down)) => println!("{}\n{}", told(&up), told(&down)),
                Err(error) => eprintln!("{error}"),
            }
        });
    }
    Ok(())
}

type Moved = Result<Report, TransferError>;

/// Moves what each says to the other, until both have ended.
pub(crate) fn proxy(client: &TcpStream, server: &TcpStream) -> (Moved, Moved) {
    thread::scope(|scope| {
        let up = scope.spawn(|| one_way(client, server));
        let down = one_way(server, client);
        (up.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), down)
    })
}

fn one_way(mut from: &TcpStream, mut to: &TcpStream) -> Moved {
    let moved = fdflow::copy(&mut from, &mut to);
    // After the last byte, and not before. An error ends the other direction too.
    let how = if moved.is_ok() { Shutdown::Write } else { Shutdown::Both };
    if to.shutdown(how).is_err() || moved.is_err() {
        drop(from.shutdown(how));
    }
    moved
}

fn told(moved: &Moved) -> String {
    moved.as_ref().map_or_else(ToString::to_string, ToString::to_string)
}
