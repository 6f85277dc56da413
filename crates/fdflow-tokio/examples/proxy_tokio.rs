//! A TCP proxy: `cargo run --example proxy -- 127.0.0.1:8080 127.0.0.1:80`.
//!
//! Prints where it listens, then a line for each connection that has ended.

use std::io;
use std::time::Duration;

use fdflow_tokio::{Bidirectional, Direction};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(target)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: proxy LISTEN TARGET");
        std::process::exit(2);
    };
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let target = target.clone();
        tokio::spawn(async move {
            match proxy(client, &target).await {
                Ok((up, down)) => println!("{peer}: {up} bytes up, {down} bytes down"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

async fn proxy(client: TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut flow = Bidirectional::new(client, server)
        .idle_timeout(Duration::from_secs(300))
        .half_closed_timeout(Duration::from_secs(30));
    let (up, down) = (flow.counters(Direction::AToB), flow.counters(Direction::BToA));
    flow.run().await?;
    Ok((up.bytes(), down.bytes()))
}
