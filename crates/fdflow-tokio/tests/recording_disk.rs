//! A recording on a disk that is full: who gets what meanwhile, what is told, and what is there
//! afterwards.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use fdflow_tokio::{Look, ReaderEnd, Recording, RecordingOptions, RecordingWriter, Start};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;

use support::recording::{Events, Viewer, lost, observed, recorded, until};
use support::small_disk::SmallDisk;
use support::{Room, at_most, current_thread, descriptors, guarded, pattern, reading};

const MEMORY: u64 = 512 << 10;
/// How much the disk has room for at first.
const ROOM: u64 = 1 << 20;

fn options() -> RecordingOptions {
    Recording::options().memory(MEMORY).retry_every(Duration::from_millis(10))
}

/// A test on a disk of 16 MiB of which most are taken.
fn on_a_full_disk<F: Future<Output = ()>>(test: &str, run: impl Fn(SmallDisk) -> F) {
    let _room = Room::enter();
    let Some(disk) = SmallDisk::mount(16 << 20, test) else { return };
    disk.leave(ROOM);
    let runtime = current_thread();
    runtime.block_on(guarded(run(disk)));
}

/// One that records in a task what is written to a socket.
struct Camera {
    socket: UnixStream,
    recording: Recording,
    events: Events,
    run: JoinHandle<RecordingWriter>,
}

impl Camera {
    fn new(options: RecordingOptions, path: &Path) -> Self {
        let (recording, writer) = options.open(path).unwrap();
        let (mut writer, events) = observed(writer);
        let (socket, source) = UnixStream::pair().unwrap();
        let run = tokio::spawn(async move {
            writer.record(&source).await.unwrap();
            writer
        });
        Self { socket, recording, events, run }
    }

    /// Sends in pieces, each of which waits for this viewer to have the one before.
    async fn send(&mut self, bytes: &[u8], viewer: &Viewer) {
        for piece in bytes.chunks(50_000) {
            self.socket.write_all(piece).await.unwrap();
            let all = viewer.following.at() + piece.len() as u64;
            until(|| viewer.following.at() >= all).await;
        }
    }

    /// The writer, when everything is recorded.
    async fn ended(self) -> (RecordingWriter, Recording, Events) {
        drop(self.socket);
        (self.run.await.unwrap(), self.recording, self.events)
    }
}

#[test]
fn live_readers_go_on_from_memory_and_nothing_is_lost_within_its_bound() {
    for rotated in [u64::MAX, 300_000] {
        on_a_full_disk("within memory", |disk| async move {
            let path = disk.path("cam.ts");
            let bytes = pattern(6_400_000, 1);
            let options = || options().memory(64 << 20).rotate_size(rotated);
            let mut camera = Camera::new(options(), &path);
            let live = Viewer::of(&camera.recording, Start::Live);
            camera.send(&bytes, &live).await;
            let failed = camera.events.next("failing").await[0];
            assert!(failed > 900_000 && failed < ROOM, "{failed}");
            assert_eq!(camera.recording.end(), 6_400_000);
            disk.free();
            assert_eq!(camera.events.next("resumed").await, [6_400_000, 0]);
            until(|| !descriptors().iter().any(|name| name.starts_with("/memfd:"))).await;
            let late = Viewer::of(&camera.recording, Start::Beginning);
            camera.send(&bytes[..9_000], &live).await;
            let (writer, recording, events) = camera.ended().await;
            writer.finish().await.unwrap();
            let all = [&bytes[..], &bytes[..9_000]].concat();
            live.has(&all).await;
            late.has(&all).await;
            assert!(recorded(&path) == all);
            assert_eq!(lost(&events.rest().await), None);
            drop(recording);
            let (again, writer) = options().open(&path).unwrap();
            let viewer = Viewer::of(&again, Start::Beginning);
            writer.finish().await.unwrap();
            viewer.has(&all).await;
        });
    }
}

#[test]
fn what_memory_does_not_hold_is_told_and_missing_for_who_was_behind() {
    on_a_full_disk("beyond memory", |disk| async move {
        let path = disk.path("cam.ts");
        let bytes = pattern(4_000_000, 2);
        let mut camera = Camera::new(options(), &path);
        let live = Viewer::of(&camera.recording, Start::Live);
        // Their peers read nothing before everything has come.
        let (sink, peer) = UnixStream::pair().unwrap();
        let mut skipping = camera.recording.reader(Start::Beginning, sink).unwrap().skips(true);
        let skipped = skipping.following();
        let skipping = tokio::spawn(async move { skipping.run().await });
        let (sink, other_peer) = UnixStream::pair().unwrap();
        let strict = camera.recording.reader(Start::Beginning, sink).unwrap();
        let strict_run = Viewer::running(strict, tokio::spawn(async { Vec::new() }));
        camera.send(&bytes[..3_500_000], &live).await;
        assert!(skipped.at() < ROOM / 2, "it is not behind");
        disk.free();
        let resumed = camera.events.next("resumed").await;
        camera.send(&bytes[3_500_000..], &live).await;
        let (writer, recording, events) = camera.ended().await;
        writer.finish().await.unwrap();
        live.has(&bytes).await;
        assert_eq!(events.rest().await, [""; 0]);

        let (at, missing) = gap(&recording);
        assert_eq!(resumed, [3_500_000, missing]);
        assert!(at < ROOM && missing > 1_500_000 && at + missing + MEMORY >= 3_500_000);
        let ends = usize::try_from(at).unwrap();
        let kept = [&bytes[..ends], &bytes[ends + usize::try_from(missing).unwrap()..]].concat();
        assert!(std::fs::read(&path).unwrap() == kept);
        let read = reading(peer);
        assert_eq!(skipping.await.unwrap().unwrap(), ReaderEnd::Complete);
        assert!(read.await.unwrap() == kept);
        assert_eq!((skipped.missed(), skipped.at()), (missing, 4_000_000));
        let read = reading(other_peer);
        assert_eq!(strict_run.ended().await.0, ReaderEnd::Lost);
        assert!(read.await.unwrap() == bytes[..ends]);

        // The same, opened again.
        drop(recording);
        let (again, writer) = options().open(&path).unwrap();
        assert_eq!((gap(&again), again.end()), ((at, missing), 4_000_000));
        assert_eq!(again.resolve(Start::At(at + 5)).unwrap(), at + missing);
        writer.finish().await.unwrap();
    });
}

/// Where the one gap of a recording is, and how long.
fn gap(recording: &Recording) -> (u64, u64) {
    let Look::Bytes { length, .. } = recording.look(0) else { panic!("no beginning") };
    let Look::Missing { until } = recording.look(length) else { panic!("no gap") };
    assert!(matches!(recording.look(until), Look::Bytes { length, .. }
        if until + length == recording.end()));
    (length, until - length)
}

#[test]
fn one_whose_source_is_quiet_on_a_full_disk_does_not_spin() {
    let _room = Room::enter();
    let Some(disk) = SmallDisk::mount(16 << 20, "quiet") else { return };
    disk.leave(ROOM);
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let bytes = pattern(1_400_000, 8);
        let (recording, mut writer) = Recording::open(disk.path("cam.ts")).unwrap();
        let (mut socket, source) = UnixStream::pair().unwrap();
        let hour = Duration::from_secs(3600);
        let run = tokio::time::timeout(hour, writer.record(&source));
        let both = async { tokio::join!(run, socket.write_all(&bytes)) };
        let (run, sent) = at_most(100_000, both).await.expect("it spins");
        assert!(run.is_err() && sent.is_ok());
        assert_eq!(recording.end(), 1_400_000);
        // Nothing is in memory, but the disk has failed.
        disk.free();
        let run = tokio::time::timeout(hour, writer.record(&source));
        assert!(at_most(100_000, run).await.expect("it spins").is_err());
        writer.finish().await.unwrap();
        assert!(std::fs::read(disk.path("cam.ts")).unwrap() == bytes);
    });
}

#[test]
fn each_loss_is_told_with_its_place() {
    on_a_full_disk("losses", |disk| async move {
        let bytes = pattern(3_000_000, 3);
        let mut camera = Camera::new(options(), &disk.path("cam.ts"));
        let live = Viewer::of(&camera.recording, Start::Live);
        camera.send(&bytes, &live).await;
        let (writer, recording, mut events) = camera.ended().await;
        let failed = events.next("failing").await[0];
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        live.has(&bytes).await;
        // What memory held to the last is lost to the recording too, and not to who follows.
        let told = events.rest().await;
        assert_eq!(lost(&told), Some((failed, 3_000_000 - failed)), "{told:?}");
        let Look::Missing { until } = recording.look(failed) else { panic!("nothing missing") };
        let last = Viewer::of(&recording, Start::At(until));
        last.has(&bytes[usize::try_from(until).unwrap()..]).await;
        assert!(until < 3_000_000 && 3_000_000 - until <= MEMORY);
    });
}

#[test]
fn one_that_waits_loses_nothing_however_little_memory_there_is() {
    on_a_full_disk("waits", |disk| async move {
        let path = disk.path("cam.ts");
        let bytes = pattern(4_000_000, 4);
        let mut camera = Camera::new(options().waits(true), &path);
        let live = Viewer::of(&camera.recording, Start::Live);
        let (mut socket, sent) = (camera.socket, bytes.clone());
        let sending = tokio::spawn(async move { socket.write_all(&sent).await });
        let failed = camera.events.next("failing").await[0];
        until(|| camera.recording.end() == failed + MEMORY).await;
        assert!(!sending.is_finished());
        disk.free();
        sending.await.unwrap().unwrap();
        let writer = camera.run.await.unwrap();
        writer.finish().await.unwrap();
        live.has(&bytes).await;
        assert!(std::fs::read(&path).unwrap() == bytes);
        assert_eq!(lost(&camera.events.rest().await), None);
    });
}

#[test]
fn one_that_was_dropped_midway_on_a_full_disk_has_what_it_took_when_it_is_finished() {
    on_a_full_disk("dropped", |disk| async move {
        let path = disk.path("cam.ts");
        let bytes = pattern(4_000_000, 5);
        let (recording, mut writer) = options().waits(true).open(&path).unwrap();
        let (mut socket, source) = UnixStream::pair().unwrap();
        let sending = tokio::spawn(async move { socket.write_all(&bytes).await.map(|()| bytes) });
        tokio::select! {
            _ = writer.record(&source) => panic!("the disk is full"),
            () = until(|| recording.end() > ROOM + MEMORY / 2) => {}
        }
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        drop(source);
        assert!(sending.await.unwrap().is_err());
        let all = pattern(4_000_000, 5);
        let last = Viewer::of(&recording, Start::Beginning);
        last.has(&all[..usize::try_from(recording.end()).unwrap()]).await;
    });
}

#[test]
fn a_writer_that_is_dropped_writes_what_was_in_memory_if_it_can() {
    on_a_full_disk("dropped writer", |disk| async move {
        let path = disk.path("cam.ts");
        let bytes = pattern(1_400_000, 6);
        // It is not tried again before it is dropped.
        let hour = Duration::from_secs(3600);
        let mut camera = Camera::new(options().retry_every(hour), &path);
        let live = Viewer::of(&camera.recording, Start::Live);
        camera.send(&bytes, &live).await;
        let (writer, _, events) = camera.ended().await;
        disk.free();
        drop(writer);
        live.has(&bytes).await;
        assert!(std::fs::read(&path).unwrap() == bytes);
        let told = events.rest().await;
        assert_eq!((told.len(), &*told[1]), (2, "resumed 1400000 0"), "{told:?}");
    });
}

#[test]
fn a_disk_that_holds_what_is_kept_is_never_full_for_good() {
    on_a_full_disk("kept", |disk| async move {
        let path = disk.path("cam.ts");
        let bytes = pattern(6_000_000, 7);
        let kept = options().rotate_size(300_000).keep_files(2).waits(true);
        let mut camera = Camera::new(kept, &path);
        let live = Viewer::of(&camera.recording, Start::Live);
        camera.send(&bytes, &live).await;
        let (writer, _, events) = camera.ended().await;
        writer.finish().await.unwrap();
        live.has(&bytes).await;
        let told = events.rest().await;
        assert_eq!(lost(&told), None, "{told:?}");
        assert!(bytes.ends_with(&recorded_without(&path)));
    });
}

fn recorded_without(path: &Path) -> Vec<u8> {
    std::fs::remove_file(path.with_file_name("taken")).unwrap();
    recorded(path)
}
