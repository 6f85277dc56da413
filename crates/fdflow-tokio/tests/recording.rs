//! A recording and those who follow it: from every source, to every sink, at any pace.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::io::{Seek, Write};
use std::sync::Arc;
use std::time::Duration;

use fdflow::Route;
use fdflow_tokio::{Counters, Look, ReaderEnd, Recording, RecordingOptions, Start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use support::recording::{Viewer, names, recorded, until};
use support::socket::{Sort, narrow, pair};
use support::{at_most, denied, guarded, on_each_runtime, pattern, reading, writing};

/// One whose writer is never interrupted for syncing.
fn options() -> RecordingOptions {
    Recording::options().sync_every(Duration::from_secs(3600))
}

#[test]
fn every_follower_gets_what_is_recorded_from_where_it_began() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, mut writer) = options().rotate_size(300_000).open(&path).unwrap();
        let bytes = pattern(1 << 20, 1);
        let viewers = [Start::Live, Start::Beginning, Start::At(0), Start::Back(7)]
            .map(|start| Viewer::of(&recording, start));
        support::recording::record(&mut writer, &bytes).await;
        let late = Viewer::of(&recording, Start::At(400_000));
        let back = Viewer::of(&recording, Start::Back(70_000));
        let live = Viewer::of(&recording, Start::Live);
        let beyond = Viewer::of(&recording, Start::At(u64::MAX));
        writer.finish().await.unwrap();
        for viewer in viewers {
            viewer.has(&bytes).await;
        }
        late.has(&bytes[400_000..]).await;
        back.has(&bytes[bytes.len() - 70_000..]).await;
        live.has(&[]).await;
        beyond.has(&[]).await;
        assert!(recorded(&path) == bytes);
        assert_eq!(names(dir.path()).len(), 8, "{:?}", names(dir.path()));
    });
}

/// Records everything of a source, and checks by which route.
async fn records(
    source: impl fdflow_tokio::AsyncSource,
    by: Option<Route>,
    sent: JoinHandle<()>,
    bytes: &[u8],
    what: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let (recording, mut writer) = options().open(&path).unwrap();
    let (tcp, tcp_catch) = pair(Sort::Tcp).await;
    let (unix, unix_catch) = pair(Sort::Unix).await;
    let (sender, receiver) = pipe::pipe().unwrap();
    let (tcp, tcp_catch) = (recording.reader(Start::Live, tcp).unwrap(), reading(tcp_catch));
    let (unix, unix_catch) = (recording.reader(Start::Live, unix).unwrap(), reading(unix_catch));
    let (pipe, pipe_catch) = (recording.reader(Start::Live, sender).unwrap(), reading(receiver));
    let routes = [&tcp.following(), &unix.following(), &pipe.following()]
        .map(|following| following.counters().clone());
    let viewers = [
        Viewer::running(tcp, tcp_catch),
        Viewer::running(unix, unix_catch),
        Viewer::running(pipe, pipe_catch),
    ];
    writer.record(&source).await.unwrap();
    sent.await.unwrap();
    let counters = writer.counters();
    writer.finish().await.unwrap();
    for viewer in viewers {
        viewer.has(bytes).await;
    }
    assert!(std::fs::read(&path).unwrap() == bytes, "{what}");
    let went_by = |counters: &Counters, route: Route| {
        assert_eq!(counters.bytes(), bytes.len() as u64);
        if !denied().contains(route) {
            assert_eq!(counters.bytes_by(route), bytes.len() as u64, "{what} {counters:?}");
        }
    };
    went_by(&routes[0], Route::Sendfile);
    went_by(&routes[1], Route::Sendfile);
    went_by(&routes[2], Route::Splice);
    assert_eq!(counters.bytes(), bytes.len() as u64);
    if let Some(by) = by {
        went_by(&counters, by);
    }
}

#[test]
fn sources_of_every_kind_go_into_the_file_and_to_sinks_of_every_kind_by_the_best_route() {
    on_each_runtime(|| async {
        let bytes = pattern(700_001, 2);
        for sort in [Sort::Tcp, Sort::Unix] {
            let (camera, source) = pair(sort).await;
            let sent = writing(camera, bytes.clone(), 30_000);
            records(source, Some(Route::Splice), sent, &bytes, &format!("{sort:?}")).await;
        }
        let (camera, source) = pipe::pipe().unwrap();
        let sent = writing(camera, bytes.clone(), 30_000);
        records(source, Some(Route::Splice), sent, &bytes, "pipe").await;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        records(file, None, tokio::spawn(async {}), &bytes, "file").await;
    });
}

#[test]
fn h07_a_reader_that_is_dropped_at_any_await_goes_on() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let bytes = pattern(600_000, 3);
        let (recording, mut writer) =
            options().rotate_size(250_000).open(dir.path().join("cam.ts")).unwrap();
        support::recording::record(&mut writer, &bytes).await;
        writer.finish().await.unwrap();
        for polls in 1..12 {
            let (sink, catch) = pair(Sort::Unix).await;
            narrow(&sink);
            let catch = reading(catch);
            let mut reader = recording.reader(Start::Beginning, sink).unwrap();
            while at_most(polls, reader.run()).await.is_none() {
                tokio::task::yield_now().await;
            }
            drop(reader);
            assert!(catch.await.unwrap() == bytes, "{polls}");
        }
    });
}

#[test]
fn h07_a_writer_that_is_dropped_at_any_await_has_everything_it_took() {
    on_each_runtime(|| async {
        let bytes = pattern(400_000, 4);
        for polls in 1..12 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("cam.ts");
            let often = Duration::from_millis(1);
            let options = Recording::options().rotate_size(70_000).sync_every(often);
            let (recording, mut writer) = options.open(&path).unwrap();
            let (camera, source) = pair(Sort::Unix).await;
            let sent = writing(camera, bytes.clone(), 9_000);
            let viewer = Viewer::of(&recording, Start::Live);
            while at_most(polls, writer.record(&source)).await.is_none() {
                tokio::task::yield_now().await;
            }
            sent.await.unwrap();
            writer.finish().await.unwrap();
            viewer.has(&bytes).await;
            assert!(recorded(&path) == bytes, "{polls}");
        }
    });
}

#[test]
fn what_a_source_gave_before_it_failed_is_recorded_and_another_goes_on() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, mut writer) = options().open(&path).unwrap();
        let bytes = pattern(50_000, 5);
        let (mut camera, source) = support::socket::tcp().await;
        let run = tokio::spawn(async move { (writer.record(&source).await, writer) });
        camera.write_all(&bytes).await.unwrap();
        until(|| recording.end() == 50_000).await;
        support::socket::reset(&camera);
        drop(camera);
        let (failed, mut writer) = run.await.unwrap();
        assert_eq!(failed.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        support::recording::record(&mut writer, &bytes).await;
        writer.finish().await.unwrap();
        assert!(std::fs::read(&path).unwrap() == [&bytes[..], &bytes[..]].concat());
    });
}

#[test]
fn one_who_sends_in_ways_of_its_own_finds_everything() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let (recording, mut writer) =
            options().rotate_size(100_000).open(dir.path().join("cam.ts")).unwrap();
        let bytes = pattern(350_000, 6);
        let follower = recording.clone();
        let following = tokio::spawn(async move {
            let mut all = Vec::new();
            loop {
                match follower.look(all.len() as u64) {
                    Look::Bytes { file, offset, length } => {
                        let mut block = vec![0; usize::try_from(length).unwrap()];
                        std::os::unix::fs::FileExt::read_exact_at(&*file, &mut block, offset)
                            .unwrap();
                        all.extend(block);
                    }
                    Look::NotYet => follower.grown(all.len() as u64).await,
                    Look::Over => return all,
                    other => panic!("{other:?}"),
                }
            }
        });
        support::recording::record(&mut writer, &bytes).await;
        assert!(!recording.is_over());
        writer.finish().await.unwrap();
        assert!(recording.is_over() && following.await.unwrap() == bytes);
    });
}

/// Reads everything in pieces of its own size, with rests of its own.
fn reading_at_a_pace(mut from: UnixStream, seed: usize) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let (mut all, mut block) = (Vec::new(), vec![0; 500 + seed * 997 % 40_000]);
        loop {
            match from.read(&mut block).await.unwrap() {
                0 => return all,
                n => all.extend_from_slice(&block[..n]),
            }
            for _ in 0..seed % 5 {
                tokio::task::yield_now().await;
            }
        }
    })
}

#[test]
fn many_readers_from_anywhere_at_any_pace_each_get_the_stream_while_files_are_rotated() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, mut writer) = options().rotate_size(130_000).open(&path).unwrap();
        let bytes = Arc::new(pattern(3_000_000, 7));
        let (mut camera, source) = UnixStream::pair().unwrap();
        let run = tokio::spawn(async move {
            writer.record(&source).await.unwrap();
            writer.finish().await.unwrap();
        });
        let mut viewers = Vec::new();
        for (seed, piece) in bytes.chunks(bytes.len().div_ceil(64)).enumerate() {
            camera.write_all(piece).await.unwrap();
            let start = match seed % 4 {
                0 => Start::Live,
                1 => Start::Beginning,
                2 => Start::At((seed * 37_123) as u64),
                _ => Start::Back((seed * 11_003) as u64),
            };
            let (sink, catch) = UnixStream::pair().unwrap();
            let reader = recording.reader(start, sink).unwrap();
            viewers.push(Viewer::running(reader, reading_at_a_pace(catch, seed)));
        }
        drop(camera);
        run.await.unwrap();
        assert_eq!(viewers.len(), 64);
        for viewer in viewers {
            let start = usize::try_from(viewer.following.start()).unwrap();
            let (end, read) = viewer.ended().await;
            assert_eq!((end, read.len()), (ReaderEnd::Complete, bytes.len() - start));
            assert!(read == bytes[start..], "from {start}");
        }
        assert!(recorded(&path) == *bytes);
    });
}

#[test]
fn a_reader_that_stands_still_costs_the_others_nothing() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let (recording, mut writer) = options().open(dir.path().join("cam.ts")).unwrap();
        let bytes = pattern(2_000_000, 8);
        let (sink, peer) = UnixStream::pair().unwrap();
        let still = recording.reader(Start::Live, sink).unwrap();
        let still = Viewer::running(still, tokio::spawn(async { Vec::new() }));
        let live = Viewer::of(&recording, Start::Live);
        support::recording::record(&mut writer, &bytes).await;
        writer.finish().await.unwrap();
        live.has(&bytes).await;
        assert!(still.following.at() < 2_000_000);
        let read = reading(peer);
        assert_eq!(guarded(still.ended()).await.0, ReaderEnd::Complete);
        assert!(read.await.unwrap() == bytes);
    });
}
