//! Files: positions, offsets, cold ones, and what is no file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};

use fdflow::Side;
use fdflow_tokio::{Transfer, copy};

use support::socket::{Sort, pair};
use support::{moved, on_each_runtime, pattern, reading_slowly, writing};

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn a_file_goes_to_sockets_from_its_position_or_from_an_offset() {
    on_each_runtime(|| async {
        let bytes = pattern(3_000_001, 40);
        for to in [Sort::Tcp, Sort::Unix] {
            for offset in [None, Some(700_000)] {
                let mut file = file_of(&bytes);
                file.seek(std::io::SeekFrom::Start(5)).unwrap();
                let (sink, catch) = pair(to).await;
                let catching = reading_slowly(catch);
                let mut transfer = Transfer::new(tokio::fs::File::from_std(file), sink);
                if let Some(offset) = offset {
                    transfer = transfer.source_offset(offset);
                }
                let ended = moved(transfer.run().await);
                let parts = transfer.into_parts();
                drop(parts.sink);
                if ended.is_none() {
                    continue;
                }
                let from = usize::try_from(offset.unwrap_or(5)).unwrap();
                assert!(catching.await.unwrap() == bytes[from..], "{to:?} {offset:?}");
                let mut file = parts.source.into_std().await;
                let expected = if offset.is_some() { 5 } else { bytes.len() as u64 };
                assert_eq!(file.stream_position().unwrap(), expected);
            }
        }
    });
}

#[test]
fn a_socket_goes_into_a_file_and_a_file_into_a_file() {
    on_each_runtime(|| async {
        let bytes = pattern(1_000_001, 42);
        let (feed, mut source) = pair(Sort::Tcp).await;
        let feeding = writing(feed, bytes.clone(), 100_000);
        let (mut first, mut second) = (file_of(b""), file_of(b""));
        if moved(copy(&mut source, &mut first).await).is_none() {
            return feeding.abort();
        }
        first.rewind().unwrap();
        if moved(copy(&mut first, &mut second).await).is_none() {
            return;
        }
        let mut arrived = Vec::new();
        second.rewind().unwrap();
        second.read_to_end(&mut arrived).unwrap();
        assert!(arrived == bytes);
    });
}

#[test]
fn a_pipe_that_calls_itself_a_file_is_refused_lest_it_block() {
    on_each_runtime(|| async {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut file = File::from(std::os::fd::OwnedFd::from(reader));
        let error = copy(&mut file, &mut file_of(b"")).await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::InvalidInput, Some(Side::Source)));
    });
}
