//! A recording that is gone on with: after an end, a crash, or with an index that is not what it was.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fdflow_tokio::{Recording, RecordingOptions, Start};
use tokio::net::unix::pipe;

use support::recording::{Viewer, record, recorded};
use support::{Room, current_thread, guarded, on_each_runtime, pattern};

fn index_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.index", path.display()))
}

/// Records these bytes behind what is there.
async fn go_on(options: RecordingOptions, path: &Path, bytes: &[u8]) -> Recording {
    let (recording, mut writer) = options.open(path).unwrap();
    record(&mut writer, bytes).await;
    writer.finish().await.unwrap();
    recording
}

#[test]
fn one_that_is_there_is_gone_on_with_and_never_written_over() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let bytes = pattern(500_000, 1);
        let rotated = || Recording::options().rotate_size(64_000);
        drop(go_on(rotated(), &path, &bytes[..100_000]).await);
        drop(go_on(rotated(), &path, &bytes[100_000..100_001]).await);
        drop(go_on(Recording::options(), &path, &bytes[100_001..300_000]).await);
        let again = go_on(rotated(), &path, &bytes[300_000..]).await;
        assert!(recorded(&path) == bytes);
        assert_eq!((again.start(), again.end()), (0, 500_000));
        Viewer::of(&again, Start::At(90_000)).has(&bytes[90_000..]).await;
    });
}

#[test]
fn a_file_that_was_there_before_is_the_beginning_of_the_recording() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("capture");
        std::fs::write(&path, pattern(70_000, 2)).unwrap();
        let recording = go_on(Recording::options(), &path, b"and on").await;
        let all = [&pattern(70_000, 2)[..], b"and on"].concat();
        assert!(std::fs::read(&path).unwrap() == all);
        Viewer::of(&recording, Start::Beginning).has(&all).await;
    });
}

/// What may have become of an index, and how many of its four lines hold then.
fn damages(text: &str) -> Vec<(&'static str, Option<Vec<u8>>, usize)> {
    let text = text.as_bytes();
    let line = text.len() / 5;
    let lines = |n: usize| text[..n * line].to_vec();
    let ahead = b"2099-01-01T00:00:00.000Z 00000000000009000000 00000000000009000000\n";
    vec![
        ("whole", Some(lines(5)), 4),
        ("missing", None, 0),
        ("empty", Some(Vec::new()), 0),
        ("torn in its head", Some(text[..30].to_vec()), 0),
        ("torn", Some([lines(3), text[..line - 1].to_vec()].concat()), 2),
        ("with zeros at its end", Some([lines(4), vec![0; 500]].concat()), 3),
        ("with lines about bytes that are not there", Some([lines(5), ahead.to_vec()].concat()), 4),
        ("with text in it", Some([lines(2), b"text\n".to_vec(), lines(5)].concat()), 1),
    ]
}

#[test]
fn whatever_became_of_the_index_every_byte_is_found_and_it_is_gone_on_with() {
    on_each_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let bytes = pattern(400_000, 3);
        let mut whole =
            format!("{:<66}\n", "fdflow recording index 1: time, stream byte, file byte");
        for n in 0..4 {
            whole += &format!("2026-11-22T21:00:0{n}.000Z {0:020} {0:020}\n", n * 50_000);
        }
        for (what, index, lines) in damages(&whole) {
            std::fs::write(&path, &bytes[..200_000]).unwrap();
            match index {
                Some(index) => std::fs::write(index_of(&path), index).unwrap(),
                None => std::fs::remove_file(index_of(&path)).unwrap(),
            }
            let (recording, mut writer) = Recording::open(&path).unwrap();
            let text = std::fs::read_to_string(index_of(&path)).unwrap();
            assert_eq!(
                text,
                whole.lines().take(lines + 1).collect::<Vec<_>>().join("\n") + "\n",
                "{what}"
            );
            let late = Viewer::of(&recording, Start::At(150_000));
            record(&mut writer, &bytes[200_000..]).await;
            writer.finish().await.unwrap();
            late.has(&bytes[150_000..]).await;
            assert!(std::fs::read(&path).unwrap() == bytes, "{what}");
            let text = std::fs::read_to_string(index_of(&path)).unwrap();
            let added = text.lines().nth(lines + 1).unwrap();
            assert!(added.ends_with(&format!("{0:020} {0:020}", 200_000)), "{what}: {text}");
        }
    });
}

const CHILD: &str = "FDFLOW_TEST_RECORDS_TO";

/// What the child does: records its standard input.
#[test]
#[ignore = "it is run as a process of its own by others"]
fn records_its_standard_input() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    current_thread().block_on(async {
        let input: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        let input = pipe::Receiver::from_owned_fd(input).unwrap();
        let options = Recording::options().rotate_size(40_000).sync_every(Duration::from_millis(5));
        let (_, mut writer) = options.open(path).unwrap();
        writer.record(&input).await.unwrap();
        writer.finish().await.unwrap();
    });
}

fn child(path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "records_its_standard_input"]).env(CHILD, path);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// How many bytes the files of the recording have.
fn length(dir: &Path) -> u64 {
    // Some may change names meanwhile.
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let files = entries.filter(|entry| !entry.file_name().to_str().unwrap().ends_with(".index"));
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Waits until there are so many.
fn until_longer(dir: &Path, than: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while length(dir) <= than {
        assert!(Instant::now() < deadline, "it does not grow");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Writes until the other end is gone.
fn feeding(child: &mut Child, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut input: File = OwnedFd::from(child.stdin.take().unwrap()).into();
    std::thread::spawn(move || {
        for piece in bytes.chunks(3_001) {
            if input.write_all(piece).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_process_that_is_killed_leaves_a_beginning_of_the_stream_that_the_next_goes_on_with() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let bytes = pattern(40_000_000, 4);
    let mut end = 0;
    for round in 0..8_u64 {
        let mut killed = child(&path);
        let fed = feeding(&mut killed, bytes[usize::try_from(end).unwrap()..].to_vec());
        // In the middle of a file, of a rotation, of whatever it is.
        until_longer(dir.path(), end + round * round * 4_321);
        killed.kill().unwrap();
        killed.wait().unwrap();
        fed.join().unwrap();
        let left = length(dir.path());
        let (recording, writer) = Recording::options().rotate_size(40_000).open(&path).unwrap();
        assert_eq!((recording.start(), recording.end()), (0, left), "round {round}");
        assert_eq!(recording.resolve(Start::Since(std::time::SystemTime::UNIX_EPOCH)).unwrap(), 0);
        drop(writer);
        assert!(bytes.starts_with(&recorded(&path)), "round {round}");
        assert!(left > end, "round {round}");
        end = left;
    }
    let last = usize::try_from(end).unwrap();
    current_thread().block_on(guarded(async {
        let options = Recording::options().rotate_size(40_000);
        let recording = go_on(options, &path, &bytes[last..last + 100_000]).await;
        let all = &bytes[..last + 100_000];
        Viewer::of(&recording, Start::Beginning).has(all).await;
        assert!(recorded(&path) == all);
    }));
}

#[test]
fn two_processes_do_not_record_to_the_same_file() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let mut other = child(&path);
    // It does not end before this is dropped.
    let held = other.stdin.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
    let fed = feeding(&mut other, pattern(10_000_000, 5));
    until_longer(dir.path(), 0);
    // Also while the other one's files change names.
    while !fed.is_finished() {
        let error = Recording::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(error.to_string().contains("another process records to it"), "{error}");
    }
    fed.join().unwrap();
    drop(held);
    assert!(other.wait().unwrap().success());
    let (recording, writer) = Recording::open(&path).unwrap();
    assert_eq!(recording.end(), 10_000_000);
    assert_eq!(Recording::open(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(writer);
    drop(Recording::open(&path).unwrap());
    assert!(recorded(&path) == pattern(10_000_000, 5));
}
