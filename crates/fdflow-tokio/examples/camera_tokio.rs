//! A camera's stream to a recording and to a client, as a task:
//! `cargo run --example camera_tokio -- LISTEN FILE`.
//!
//! Prints where it listens. The first connection is the camera, the second the client. Every byte
//! goes to both by `tee(2)`. The recording is always waited for; a client that goes away, or
//! takes nothing for ten seconds, is detached, and the recording goes on.

use std::io;
use std::time::Duration;

use fdflow::{FanoutReport, Lag};
use fdflow_tokio::Fanout;
use tokio::fs::File;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: camera LISTEN FILE"));
    };
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    let (camera, client) = (listener.accept().await?.0, listener.accept().await?.0);
    println!("{}", serve(camera, File::create(path).await?, client).await?);
    Ok(())
}

/// Until the camera ends.
async fn serve(camera: TcpStream, recording: File, client: TcpStream) -> io::Result<FanoutReport> {
    let patience = Lag::DetachAfter(Duration::from_secs(10));
    let mut fanout = Fanout::new(camera).sink(recording, Lag::Block).sink(client, patience);
    Ok(fanout.run().await?)
}
