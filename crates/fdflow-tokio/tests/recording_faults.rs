//! A recording on a disk that fails now and then, and what of it is put there when. `strace` makes the
//! kernel answer.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use fdflow_tokio::{Recording, Start};

use support::recorder::{self, child, feeding, length, until};
use support::recording::{Viewer, names, recorded};
use support::{Room, current_thread, guarded, pattern, skipped};

#[test]
#[ignore = "it is run as a process of its own by others"]
fn records_its_standard_input() {
    recorder::run();
}

fn can_trace(test: &str) -> bool {
    let answer = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    let works = answer.is_ok_and(|status| status.success());
    if !works {
        skipped(test, "strace is not installed or may not trace (apt install strace)");
    }
    works
}

fn index_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.index", path.display()))
}

/// Records half a megabyte with a fault; what was told.
fn recorded_with(fault: &str, path: &Path, bytes: &[u8]) -> (bool, String) {
    let (call, _) = fault.split_once(':').unwrap();
    let (trace, inject) = (format!("--trace={call}"), format!("--inject={fault}"));
    let index = index_of(path);
    let arguments: Vec<&OsStr> = vec![
        "-o".as_ref(),
        "/dev/null".as_ref(),
        trace.as_ref(),
        inject.as_ref(),
        "-P".as_ref(),
        path.as_ref(),
        "-P".as_ref(),
        index.as_ref(),
    ];
    let mut child = child(path, Some(&arguments));
    // The stream does not end before the disk has recovered.
    let held = child.stdin.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
    let fed = feeding(&mut child, bytes.to_vec());
    until(|| length(path.parent().unwrap()) == bytes.len() as u64);
    drop(held);
    let output = child.wait_with_output().unwrap();
    fed.join().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn whatever_fails_for_a_while_nothing_of_the_stream_is_lost() {
    let _room = Room::enter();
    if !can_trace("faults") {
        return;
    }
    let bytes = pattern(500_000, 1);
    let faults = [
        ("splice:error=EIO:when=3..5", "Failing"),
        ("splice:error=ENOSPC:when=1..3", "Failing"),
        ("splice:error=EDQUOT:when=7", "Failing"),
        // Lines of the index; where splice is denied the bytes too.
        ("pwrite64:error=ENOSPC:when=2..4", ""),
        ("renameat2:error=EIO:when=1..2", "begin another file"),
        ("renameat2:error=EIO:when=2..3", "begin another file"),
        // A filesystem that cannot exchange names.
        ("renameat2:error=EINVAL:when=1+", ""),
        ("fdatasync:error=EIO:when=1..2", "put it on the disk"),
    ];
    for (fault, expected) in faults {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        let (ended, told) = recorded_with(fault, &path, &bytes);
        assert!(recorded(&path) == bytes, "{fault}: {told}");
        assert!(!told.contains("Lost"), "{fault}: {told}");
        assert!(ended || fault.starts_with("fdatasync"), "{fault}: {told}");
        let may_splice = !support::denied().contains(fdflow::Route::Splice);
        assert!(told.contains(expected) || !may_splice || ended, "{fault}: {told}");
        if fault.starts_with("splice") && may_splice {
            assert!(told.contains("Failing") && told.contains("Resumed"), "{fault}: {told}");
        }
        let left = names(dir.path()).into_iter().filter(|name| name.ends_with(".new"));
        assert_eq!(left.count(), 0, "{fault}");
        // The indexes agree with the files.
        current_thread().block_on(guarded(async {
            let (again, writer) = Recording::open(&path).unwrap();
            assert_eq!((again.start(), again.end()), (0, 500_000), "{fault}: {told}");
            let viewer = Viewer::of(&again, Start::Beginning);
            writer.finish().await.unwrap();
            viewer.has(&bytes).await;
        }));
    }
}

#[test]
fn what_is_recorded_is_put_on_the_disk_while_more_comes_and_the_index_first() {
    let _room = Room::enter();
    if !can_trace("syncing") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let log = dir.path().join("log.index");
    let arguments = ["--trace=fdatasync", "-y", "-o"].map(OsStr::new);
    let mut child = child(&path, Some(&[&arguments[..], &[log.as_os_str()]].concat()));
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &pattern(10_000, 2)).unwrap();
    let synced = || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let place = |name: &str| log.find(&format!("/{name}>"));
        place("cam.ts.index").zip(place("cam.ts"))
    };
    until(|| synced().is_some());
    let (index, file) = synced().unwrap();
    assert!(index < file);
    let before = std::fs::read_to_string(&log).unwrap().lines().count();
    drop(input);
    assert!(child.wait().unwrap().success());
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.lines().count() > before && log.contains("/cam.ts>"), "{log}");
}
