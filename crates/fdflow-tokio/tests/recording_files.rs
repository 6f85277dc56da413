//! The files of a recording: when another is begun, which are kept, and what is found in them.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime};

use fdflow_tokio::{ReaderEnd, Recording, RecordingOptions, Start};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use support::recording::{Viewer, names, observed, record, recorded, until};
use support::{descriptors, in_paused_time, on_each_runtime, pattern, reading};

fn options() -> RecordingOptions {
    Recording::options()
}

fn files(dir: &Path) -> Vec<(String, u64)> {
    let length = |name: &String| std::fs::metadata(dir.join(name)).unwrap().len();
    let files = names(dir).into_iter().filter(|name| !name.ends_with(".index"));
    files.map(|name| (name.clone(), length(&name))).collect()
}

#[test]
fn a_file_is_as_long_as_it_is_to_be_and_the_last_has_the_rest() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (_, writer) = options().rotate_size(100_000).open(&path).unwrap();
        let (mut writer, events) = observed(writer);
        record(&mut writer, &pattern(250_000, 1)).await;
        writer.finish().await.unwrap();
        let expected = [("cam.000001.ts", 100_000), ("cam.000002.ts", 100_000), ("cam.ts", 50_000)];
        assert_eq!(files(dir.path()), expected.map(|(name, n)| (name.to_owned(), n)));
        assert_eq!(events.rest().await, ["rotated cam.000001.ts", "rotated cam.000002.ts"]);
        assert!(recorded(&path) == pattern(250_000, 1));
        for (name, first) in [("cam.000001.ts", 0), ("cam.000002.ts", 100_000), ("cam.ts", 200_000)]
        {
            let index = std::fs::read_to_string(dir.path().join(format!("{name}.index"))).unwrap();
            let line = index.lines().nth(1).unwrap();
            assert!(line.ends_with(&format!("Z {first:020} {:020}", 0)), "{line}");
        }
    });
}

#[test]
fn a_file_is_ended_when_its_first_byte_is_old_enough_and_not_before_there_is_one() {
    in_paused_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let hour = Duration::from_secs(3600);
        let (recording, writer) = options().rotate_age(hour).open(&path).unwrap();
        let (mut writer, mut events) = observed(writer);
        let (mut camera, source) = UnixStream::pair().unwrap();
        let run = tokio::spawn(async move {
            writer.record(&source).await.unwrap();
            writer
        });
        tokio::time::sleep(3 * hour).await;
        assert_eq!(files(dir.path()), [("cam.ts".to_owned(), 0)]);
        let began = tokio::time::Instant::now();
        camera.write_all(b"first").await.unwrap();
        until(|| recording.end() == 5).await;
        events.next("rotated").await;
        assert!(began.elapsed() >= hour && began.elapsed() < hour + Duration::from_secs(60));
        camera.write_all(b"second").await.unwrap();
        drop(camera);
        run.await.unwrap().finish().await.unwrap();
        let expected = [("cam.000001.ts", 5), ("cam.ts", 6)];
        assert_eq!(files(dir.path()), expected.map(|(name, n)| (name.to_owned(), n)));
    });
}

#[test]
fn only_so_many_files_are_kept_and_their_indexes_go_with_them() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, writer) = options().rotate_size(10_000).keep_files(3).open(&path).unwrap();
        let (mut writer, events) = observed(writer);
        record(&mut writer, &pattern(95_000, 2)).await;
        writer.finish().await.unwrap();
        let kept = ["cam.000008.ts", "cam.000008.ts.index", "cam.000009.ts"];
        assert_eq!(names(dir.path())[..3], kept);
        assert_eq!(names(dir.path()).len(), 6);
        assert_eq!((recording.start(), recording.end()), (70_000, 95_000));
        let removed = events.rest().await.into_iter().filter(|event| event.starts_with("removed"));
        assert_eq!(removed.count(), 7);
        assert_eq!(recording.resolve(Start::At(3)).unwrap(), 70_000);
        assert_eq!(recording.resolve(Start::Back(90_000)).unwrap(), 70_000);
        Viewer::of(&recording, Start::Beginning).has(&pattern(95_000, 2)[70_000..]).await;
        // Places are counted on, also when all that was recorded is gone.
        drop(recording);
        let (again, mut writer) = options().rotate_size(10_000).keep_files(1).open(&path).unwrap();
        record(&mut writer, &pattern(95_000, 2)[..5_000]).await;
        record(&mut writer, &[]).await;
        writer.finish().await.unwrap();
        assert_eq!((again.start(), again.end()), (100_000, 100_000));
        assert_eq!(files(dir.path()), [("cam.ts".to_owned(), 0)]);
        drop(again);
        let (again, _writer) = options().open(&path).unwrap();
        assert_eq!((again.start(), again.end()), (100_000, 100_000));
    });
}

#[test]
fn a_file_is_removed_once_those_after_it_have_as_many_bytes_as_are_kept() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (_, mut writer) = options().rotate_size(10_000).keep_bytes(25_000).open(&path).unwrap();
        record(&mut writer, &pattern(94_000, 3)).await;
        writer.finish().await.unwrap();
        let expected =
            [("cam.000007.ts", 10_000), ("cam.000008.ts", 10_000), ("cam.000009.ts", 10_000)];
        assert_eq!(files(dir.path())[..3], expected.map(|(name, n)| (name.to_owned(), n)));
        assert_eq!(files(dir.path()).len(), 4);
    });
}

#[test]
fn a_reader_that_sends_what_is_removed_is_stopped_though_its_peer_reads_nothing() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, mut writer) =
            options().rotate_size(500_000).keep_files(2).open(&path).unwrap();
        let bytes = pattern(2_000_000, 4);
        record(&mut writer, &bytes[..400_000]).await;
        let (sink, peer) = UnixStream::pair().unwrap();
        let stuck = recording.reader(Start::Beginning, sink).unwrap();
        let stuck = Viewer::running(stuck, tokio::spawn(async { Vec::new() }));
        until(|| stuck.following.at() > 0).await;
        let (sink, skipping_peer) = UnixStream::pair().unwrap();
        let skipping = recording.reader(Start::Beginning, sink).unwrap().skips(true);
        let skipping = Viewer::running(skipping, tokio::spawn(async { Vec::new() }));
        until(|| skipping.following.at() > 0).await;
        record(&mut writer, &bytes[400_000..]).await;
        let at = stuck.following.at();
        assert_eq!(stuck.ended().await.0, ReaderEnd::Lost);
        assert!(reading(peer).await.unwrap() == bytes[..usize::try_from(at).unwrap()]);
        writer.finish().await.unwrap();
        let following = skipping.following.clone();
        let read = reading(skipping_peer);
        assert_eq!(skipping.ended().await.0, ReaderEnd::Complete);
        let read = read.await.unwrap();
        assert_eq!(read.len() as u64 + following.missed(), 2_000_000);
        let start = usize::try_from(recording.start()).unwrap();
        assert!(
            read.ends_with(&bytes[start..])
                && bytes.starts_with(&read[..read.len() - (2_000_000 - start)])
        );
    });
}

#[test]
fn one_that_waits_keeps_files_for_its_readers_and_no_longer() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let kept = options().rotate_size(100_000).keep_files(2).waits(true);
        let (recording, writer) = kept.open(&path).unwrap();
        let (mut writer, mut events) = observed(writer);
        let (sink, _peer) = UnixStream::pair().unwrap();
        let reader = recording.reader(Start::Beginning, sink).unwrap();
        let gone = recording.reader(Start::Beginning, tempfile::tempfile().unwrap()).unwrap();
        // Who only looks at how far it was does not keep anything.
        let _following = gone.following();
        drop(gone);
        record(&mut writer, &pattern(1_000_000, 5)).await;
        assert_eq!(recording.start(), 0, "the reader was not waited for");
        let alone = recording.follow(Start::Beginning).unwrap();
        drop(reader);
        record(&mut writer, &pattern(1_000, 5)).await;
        assert_eq!(recording.start(), 0, "who follows in ways of its own was not waited for");
        let other = alone.clone();
        drop(alone);
        record(&mut writer, &pattern(1_000, 5)).await;
        assert_eq!(recording.start(), 0);
        drop(other);
        record(&mut writer, &pattern(1_000, 5)).await;
        assert_eq!(recording.start(), 900_000);
        writer.finish().await.unwrap();
        events.next("removed").await;
        assert_eq!(files(dir.path()).len(), 2);
    });
}

#[test]
fn h60_files_that_nobody_reads_cost_no_descriptors_however_many_there_are() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, mut writer) = options().rotate_size(1_000).open(&path).unwrap();
        let open = || descriptors().iter().filter(|name| name.contains("cam.")).count();
        let bytes = pattern(150_000, 6);
        record(&mut writer, &bytes).await;
        writer.finish().await.unwrap();
        assert_eq!(files(dir.path()).len(), 151);
        assert_eq!(open(), 2, "the last file and its index");
        Viewer::of(&recording, Start::Beginning).has(&bytes).await;
        drop(recording);
        let (again, writer) = options().open(&path).unwrap();
        assert_eq!(open(), 2);
        let viewer = Viewer::of(&again, Start::Back(140_000));
        writer.finish().await.unwrap();
        viewer.has(&bytes[10_000..]).await;
    });
}

/// A file of a recording with its index, made by hand: lines of a second, a byte and a place.
fn made(path: &Path, length: usize, lines: &[(u64, u64, u64)]) {
    std::fs::write(path, vec![7; length]).unwrap();
    let mut text = format!("{:<66}\n", "fdflow recording index 1: time, stream byte, file byte");
    for (second, at, offset) in lines {
        text += &format!("2026-11-22T21:00:{second:02}.000Z {at:020} {offset:020}\n");
    }
    let index = format!("{}.index", path.display());
    std::fs::write(index, text).unwrap();
}

fn at_second(second: u64) -> Start {
    let minute = humantime_of("2026-11-22T21:00:00Z");
    Start::Since(minute + Duration::from_secs(second))
}

fn humantime_of(text: &str) -> SystemTime {
    // Days from 1970 to that day, of 86400 seconds each.
    assert_eq!(text, "2026-11-22T21:00:00Z");
    SystemTime::UNIX_EPOCH + Duration::from_secs(20_779 * 86_400 + 21 * 3_600)
}

#[test]
fn a_time_is_found_in_whichever_file_it_is_and_so_is_a_gap() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        made(&dir.path().join("cam.000003.ts"), 100, &[(10, 1_000, 0), (11, 1_050, 50)]);
        made(&dir.path().join("cam.000004.ts"), 100, &[(20, 1_100, 0), (25, 1_500, 40)]);
        made(&path, 60, &[(30, 1_560, 0), (31, 1_590, 30)]);
        let (recording, _writer) = options().open(&path).unwrap();
        assert_eq!((recording.start(), recording.end()), (1_000, 1_620));
        let found = |second| recording.resolve(at_second(second)).unwrap();
        let all = [0, 10, 11, 19, 20, 24, 25, 29, 30, 31, 59].map(found);
        assert_eq!(
            all,
            [1_000, 1_000, 1_050, 1_050, 1_100, 1_100, 1_500, 1_500, 1_560, 1_590, 1_590]
        );
        let starts = [Start::At(0), Start::At(1_200), Start::Back(400), Start::Beginning];
        let found = starts.map(|start| recording.resolve(start).unwrap());
        assert_eq!(found, [1_000, 1_500, 1_500, 1_000]);
        let live = recording.resolve(Start::Since(SystemTime::UNIX_EPOCH)).unwrap();
        assert_eq!(live, 1_000);
    });
}
