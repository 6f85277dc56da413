//! What can be an end: each sort as a source and as a sink, with the same bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

use fdflow_tokio::{AsyncSink, AsyncSource, Plain, copy};
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use support::socket::{Socket, tcp};
use support::{moved, on_each_runtime, pattern, reading_slowly, writing};

const LENGTH: usize = 700_001;

/// All of what `source` gives arrives at a socket.
async fn gives(source: &mut (impl AsyncSource + ?Sized), bytes: &[u8], name: &str) {
    let (mut sink, catch) = tcp().await;
    let catching = reading_slowly(catch);
    let report = moved(copy(source, &mut sink).await);
    drop(sink);
    if let Some(report) = report {
        assert!(catching.await.unwrap() == bytes, "{name}");
        assert_eq!(report.bytes(), bytes.len() as u64);
    }
}

/// All of what a socket gives goes into `sink`; whether there is a route.
async fn takes(sink: &mut (impl AsyncSink + ?Sized), bytes: &[u8]) -> bool {
    let (feed, mut source) = tcp().await;
    let feeding = writing(feed, bytes.to_vec(), 60_000);
    if moved(copy(&mut source, sink).await).is_none() {
        feeding.abort();
        return false;
    }
    feeding.await.unwrap();
    true
}

#[test]
fn whole_streams_and_their_halves_borrowed_and_owned_are_sources() {
    on_each_runtime(|| async {
        let bytes = pattern(LENGTH, 70);
        let feed = |to| writing(to, bytes.clone(), 60_000);
        for half in 0..3 {
            let (tcp_feed, mut stream) = tcp().await;
            let feeding = feed(Socket::Tcp(tcp_feed));
            match half {
                0 => gives(&mut stream, &bytes, "TcpStream").await,
                1 => gives(&mut stream.split().0, &bytes, "tcp::ReadHalf").await,
                _ => gives(&mut stream.into_split().0, &bytes, "tcp::OwnedReadHalf").await,
            }
            feeding.abort();
            let (unix_feed, mut stream) = UnixStream::pair().unwrap();
            let feeding = feed(Socket::Unix(unix_feed));
            match half {
                0 => gives(&mut stream, &bytes, "UnixStream").await,
                1 => gives(&mut stream.split().0, &bytes, "unix::ReadHalf").await,
                _ => gives(&mut stream.into_split().0, &bytes, "unix::OwnedReadHalf").await,
            }
            feeding.abort();
        }
    });
}

#[test]
fn whole_streams_and_their_halves_borrowed_and_owned_are_sinks() {
    on_each_runtime(|| async {
        let bytes = pattern(LENGTH, 71);
        for half in 0..3 {
            let (mut stream, catch) = tcp().await;
            let catching = reading_slowly(catch);
            let went = match half {
                0 => takes(&mut stream, &bytes).await,
                1 => takes(&mut stream.split().1, &bytes).await,
                _ => {
                    let (_reads, mut writes) = stream.into_split();
                    let went = takes(&mut writes, &bytes).await;
                    // An owned half that is dropped says the end.
                    drop(writes);
                    assert!(!went || catching.await.unwrap() == bytes, "tcp::OwnedWriteHalf");
                    continue;
                }
            };
            drop(stream);
            assert!(!went || catching.await.unwrap() == bytes, "tcp {half}");
        }
        for half in 0..3 {
            let (mut stream, catch) = UnixStream::pair().unwrap();
            let catching = reading_slowly(catch);
            let went = match half {
                0 => takes(&mut stream, &bytes).await,
                1 => takes(&mut stream.split().1, &bytes).await,
                _ => {
                    let (_reads, mut writes) = stream.into_split();
                    let went = takes(&mut writes, &bytes).await;
                    drop(writes);
                    assert!(!went || catching.await.unwrap() == bytes, "unix::OwnedWriteHalf");
                    continue;
                }
            };
            drop(stream);
            assert!(!went || catching.await.unwrap() == bytes, "unix {half}");
        }
    });
}

#[test]
fn pipes_files_and_registered_descriptors_are_sources_and_sinks() {
    on_each_runtime(|| async {
        let bytes = pattern(LENGTH, 72);
        let (mut sender, mut receiver) = pipe::pipe().unwrap();
        let piping = async {
            let went = takes(&mut sender, &bytes).await;
            drop(sender);
            went
        };
        let emptying = gives(&mut receiver, &bytes, "pipe::Receiver");
        if support::denied().is_empty() {
            tokio::join!(piping, emptying);
        }

        let mut file = tempfile::tempfile().unwrap();
        if takes(&mut file, &bytes).await {
            file.rewind().unwrap();
            gives(&mut file, &bytes, "std::fs::File").await;
            file.rewind().unwrap();
            let mut file = tokio::fs::File::from_std(file);
            gives(&mut file, &bytes, "tokio::fs::File").await;
        }
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
        if takes(&mut file, &bytes).await {
            let (mut file, mut arrived) = (file.into_std().await, Vec::new());
            file.rewind().unwrap();
            file.read_to_end(&mut arrived).unwrap();
            assert!(arrived == bytes, "tokio::fs::File");
        }

        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let (sent, heard) = (bytes.clone(), bytes.len());
        let peer = std::thread::spawn(move || {
            let mut arrived = vec![0; heard];
            (&far).read_exact(&mut arrived).ok()?;
            (&far).write_all(&sent).ok()?;
            Some(arrived)
        });
        #[allow(unsafe_code, reason = "it has no safe constructor")]
        // SAFETY: an OwnedFd always names the same descriptor, and closes it when dropped.
        let mut near = unsafe { AsyncFd::register(OwnedFd::from(near)) }.unwrap();
        if takes(&mut near, &bytes).await {
            gives(&mut near, &bytes, "AsyncFd").await;
            assert!(peer.join().unwrap().unwrap() == bytes);
        }
    });
}

#[test]
fn readers_and_writers_are_ends_through_user_space() {
    on_each_runtime(|| async {
        let bytes = pattern(LENGTH, 73);
        gives(&mut Plain::new(&bytes[..]), &bytes, "&[u8]").await;
        let mut memory = Plain::new(Vec::new());
        if takes(&mut memory, &bytes).await {
            assert!(memory.into_inner() == bytes);
        }
    });
}

#[test]
fn an_end_may_be_a_trait_object() {
    on_each_runtime(|| async {
        let bytes = pattern(LENGTH, 74);
        let (feed, source) = UnixStream::pair().unwrap();
        let feeding = writing(feed, bytes.clone(), 60_000);
        let mut source: Box<dyn AsyncSource + Send + Sync> = Box::new(source);
        let (sink, catch) = UnixStream::pair().unwrap();
        let catching = reading_slowly(catch);
        let mut sink: Box<dyn AsyncSink + Send + Sync> = Box::new(sink);
        let report = moved(copy(&mut *source, &mut sink).await);
        drop(sink);
        assert!(report.is_none() || catching.await.unwrap() == bytes);
        feeding.abort();
    });
}
