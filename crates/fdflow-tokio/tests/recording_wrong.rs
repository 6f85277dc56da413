//! A recording whose files are not what they should be, or were changed by somebody else.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use fdflow_tokio::{Recording, RecordingOptions, Start};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use support::recording::{observed, record, until};
use support::{Room, at_most, in_paused_time, on_each_runtime, pattern, reading};

fn options() -> RecordingOptions {
    Recording::options()
}

#[test]
fn what_is_no_recording_is_refused_and_left_alone() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    std::fs::write(dir.path().join("cam.ts.index"), "somebody's own notes of what is in it")
        .unwrap();
    let error = options().open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("cam.ts.index"), "{error}");
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    for path in [&pipe, Path::new("/dev/null")] {
        let error = options().open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
    let error = options().open(dir.path().join("nowhere/cam.ts")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("nowhere/cam.ts"), "{error}");
}

#[test]
fn a_file_that_somebody_cut_is_told_of_and_a_reader_of_it_fails() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, writer) = options().open(&path).unwrap();
        let (mut writer, events) = observed(writer);
        record(&mut writer, &pattern(100_000, 7)).await;
        std::fs::File::options().write(true).open(&path).unwrap().set_len(40_000).unwrap();
        let (sink, catch) = UnixStream::pair().unwrap();
        let mut reader = recording.reader(Start::Beginning, sink).unwrap();
        let catch = reading(catch);
        let error = reader.run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        drop(reader);
        assert!(catch.await.unwrap() == pattern(100_000, 7)[..40_000]);
        let error = writer.finish().await.unwrap_err();
        assert!(error.to_string().contains("cut"), "{error}");
        drop(events);
    });
}

#[test]
fn a_file_that_somebody_removed_is_told_to_who_wants_it() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (recording, mut writer) = options().rotate_size(10_000).open(&path).unwrap();
        record(&mut writer, &pattern(30_000, 8)).await;
        writer.finish().await.unwrap();
        std::fs::remove_file(dir.path().join("cam.000002.ts")).unwrap();
        let mut reader =
            recording.reader(Start::At(15_000), tempfile::tempfile().unwrap()).unwrap();
        let error = reader.run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("cam.000002.ts"), "{error}");
        assert!(matches!(recording.look(15_000), fdflow_tokio::Look::Failed(_)));
    });
}

#[test]
fn one_that_cannot_begin_another_file_goes_on_with_this_one_and_does_not_spin() {
    in_paused_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let age = Duration::from_secs(60);
        let (recording, writer) = options().rotate_age(age).open(&path).unwrap();
        let (mut writer, events) = observed(writer);
        let (mut camera, source) = UnixStream::pair().unwrap();
        camera.write_all(b"first").await.unwrap();
        let hour = Duration::from_secs(3600);
        let moved = dir.path().join("moved");
        {
            let run = tokio::time::timeout(hour, writer.record(&source));
            // Somebody puts another file in its place.
            let other = async {
                until(|| recording.end() == 5).await;
                std::fs::rename(&path, &moved).unwrap();
                std::fs::write(&path, "another").unwrap();
                tokio::time::sleep(hour / 2).await;
                camera.write_all(b"second").await.unwrap();
            };
            let both = async { tokio::join!(run, other) };
            let (run, ()) = at_most(100_000, both).await.expect("it spins");
            assert!(run.is_err());
        }
        writer.finish().await.unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "firstsecond");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "another");
        let told = events.rest().await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("trouble begin another file: "), "{told:?}");
    });
}
