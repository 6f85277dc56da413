//! The peer: reads once, and writes to each client.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use clap::Args;

use crate::roles::{READY, say};

/// What is read at a time.
const BLOCK: usize = 64 << 10;

/// What the broadcast is to do.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The producer.
    #[arg(long)]
    from: SocketAddr,
    /// Where clients connect.
    #[arg(long)]
    listen: SocketAddr,
    /// How many come.
    #[arg(long)]
    clients: u32,
    /// Writes to this file too.
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Relays until the producer ends.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind(options.listen)?;
    say(READY)?;
    let mut clients = Vec::new();
    for _ in 0..options.clients {
        let (client, _): (TcpStream, _) = listener.accept()?;
        client.set_nodelay(true)?;
        clients.push(client);
    }
    let mut file = options.record.as_ref().map(File::create).transpose()?;
    let mut producer = TcpStream::connect(options.from)?;
    let mut block = vec![0; BLOCK];
    loop {
        let n = producer.read(&mut block)?;
        if n == 0 {
            return Ok(());
        }
        if let Some(file) = &mut file {
            file.write_all(&block[..n])?;
        }
        for client in &mut clients {
            client.write_all(&block[..n])?;
        }
    }
}
