//! `fdflow proxy --tap`: what is in the files, and what becomes of flows where they cannot be
//! written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod line;
mod stuck;
#[path = "../support/mod.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use line::{Line, files, numbers, pass, pass_on, recorded};
use stuck::Disk;
use support::pattern;
use support::server::{eventually, refusal};

/// Says that a test did not run. Not by a macro, whose output the test harness keeps to itself.
fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED: {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

#[test]
fn both_directions_are_recorded_byte_for_byte_in_either_order_of_ends() {
    for (n, piece) in [(9_000_001, 65_536), (3_000, 7)] {
        for client_first in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let line = Line::new(dir.path(), &[]);
            let (client, upstream) = line.flow();
            let (sent, answered) = (pattern(n), pattern(n / 3));
            if client_first {
                assert!(pass(&client, &upstream, &sent, piece) == sent);
                assert!(pass(&upstream, &client, &answered, piece) == answered);
            } else {
                assert!(pass(&upstream, &client, &answered, piece) == answered);
                assert!(pass(&client, &upstream, &sent, piece) == sent);
            }
            drop((client, upstream));
            line.end();
            assert!(recorded(dir.path(), "client") == sent, "{n} {client_first}");
            assert!(recorded(dir.path(), "upstream") == answered, "{n} {client_first}");
        }
    }
}

#[test]
fn a_recording_is_a_pair_of_files_for_its_owner_alone_named_after_its_service() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path(), &[]);
    let (client, upstream) = line.flow();
    drop((client, upstream));
    line.end();
    let names = ["client", "upstream"].map(|who| {
        let all = files(dir.path(), who);
        let [file] = &all[..] else { panic!("{all:?}") };
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        file.file_name().unwrap().to_str().unwrap().to_owned()
    });
    assert!(
        names[0].starts_with("127.0.0.1_0-20") && names[0].ends_with("-1-client.bin"),
        "{names:?}"
    );
    assert_eq!(names[0].replace("client", "upstream"), names[1]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn the_proxys_own_header_is_sent_and_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path(), &["--send-proxy", "v1"]);
    let (client, upstream) = line.flow();
    let sent = pattern(100_000);
    let got = pass(&client, &upstream, &sent, 10_000);
    assert!(got.starts_with(b"PROXY TCP4 ") && got.ends_with(&sent));
    drop((client, upstream));
    line.end();
    assert!(recorded(dir.path(), "client") == sent);
}

#[test]
fn what_came_before_a_reset_is_recorded_and_the_reset_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path(), &[]);
    let (client, mut upstream) = line.flow();
    let sent = pattern(300_000);
    pass_on(&client, &upstream, &sent);
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(upstream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(upstream);
    line.end();
    assert!(recorded(dir.path(), "client") == sent);
}

#[test]
fn files_are_rotated_and_hold_the_bytes_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path(), &["--tap-rotate", "1M"]);
    let (client, upstream) = line.flow();
    let (sent, answered) = (pattern(5_000_000), pattern(2 << 20));
    assert!(pass(&client, &upstream, &sent, 65_536) == sent);
    assert!(pass(&upstream, &client, &answered, 10_000) == answered);
    drop((client, upstream));
    line.end();
    let sizes = |who| -> Vec<u64> {
        files(dir.path(), who).iter().map(|path| path.metadata().unwrap().len()).collect()
    };
    let full = 1 << 20;
    assert_eq!(sizes("client"), [full, full, full, full, 5_000_000 - 4 * full]);
    // No file is made for bytes that never come.
    assert_eq!(sizes("upstream"), [full, full]);
    assert!(recorded(dir.path(), "client") == sent);
    assert!(recorded(dir.path(), "upstream") == answered);
}

#[test]
fn many_flows_at_once_are_each_recorded_for_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path(), &[]);
    let flows: Vec<_> = (0..20).map(|_| line.flow()).collect();
    std::thread::scope(|scope| {
        for (at, (client, upstream)) in flows.iter().enumerate() {
            scope.spawn(move || {
                let sent = pattern(200_000 + at);
                assert!(pass(client, upstream, &sent, 1_000 + at) == sent);
            });
        }
    });
    drop(flows);
    line.end();
    let all = files(dir.path(), "client");
    let mut lengths: Vec<_> = all.iter().map(|path| std::fs::read(path).unwrap()).collect();
    lengths.sort_by_key(Vec::len);
    let expected: Vec<_> = (0..20).map(|at| pattern(200_000 + at)).collect();
    assert!(lengths == expected);
}

/// A filesystem of four megabytes; taken away with it.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = Some(c"size=4m");
        match mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), size) {
            Ok(()) => Some(Self(dir)),
            Err(errno) => {
                skipped(test, &format!("a tmpfs cannot be mounted: {errno}"));
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_costs_the_recording_bytes_and_the_flow_none() {
    let Some(dir) = Small::mount("a_full_disk_costs_the_recording_bytes_and_the_flow_none") else {
        return;
    };
    let filler = dir.path().join("filler");
    std::fs::write(&filler, vec![0; 3 << 20]).unwrap();
    for policy in ["block", "detach"] {
        let line = Line::new(dir.path(), &["--tap-policy", policy]);
        let (client, upstream) = line.flow();
        let mut sent = pattern(8 << 20);
        pass_on(&client, &upstream, &sent);
        line.proxy.said("cannot record in");
        // There is room again: sooner or later the recording goes on, in another file.
        std::fs::remove_file(&filler).unwrap();
        let more = pattern(1_000);
        eventually(
            || {
                pass_on(&client, &upstream, &more);
                sent.extend_from_slice(&more);
                line.proxy.errors().contains("goes on")
            },
            "another file",
        );
        pass_on(&client, &upstream, &more);
        sent.extend_from_slice(&more);
        drop((client, upstream));
        eventually(|| files(dir.path(), "upstream").len() == 1, "the end");
        let errors = line.proxy.errors();
        line.end();
        let said = numbers(&errors, "are missing");
        let (from, to) = (said[0], said[1]);
        assert_eq!(errors.matches("cannot record in").count(), 1, "{errors}");
        let all = files(dir.path(), "client");
        let [before, after] = &all[..] else { panic!("{all:?}") };
        assert!(std::fs::read(before).unwrap() == sent[..from], "{from}");
        assert!(std::fs::read(after).unwrap() == sent[to..], "{to}");
        assert!(from >= 512 << 10 && from < to, "{from} {to}");
        for file in [all, files(dir.path(), "upstream")].concat() {
            std::fs::remove_file(file).unwrap();
        }
        std::fs::write(&filler, vec![0; 3 << 20]).unwrap();
    }
}

#[test]
fn a_recording_that_a_full_disk_ends_says_which_bytes_it_has_not() {
    let Some(dir) = Small::mount("a_recording_that_a_full_disk_ends_says_which_bytes_it_has_not")
    else {
        return;
    };
    let line = Line::new(dir.path(), &[]);
    let (client, upstream) = line.flow();
    let sent = pattern(9_000_000);
    assert!(pass(&client, &upstream, &sent, 65_536) == sent);
    drop((client, upstream));
    line.proxy.said("its last, are missing");
    let said = numbers(&line.proxy.errors(), "its last, are missing");
    assert_eq!(said[1], 9_000_000);
    line.end();
    assert!(recorded(dir.path(), "client") == sent[..said[0]]);
}

#[test]
fn a_disk_that_hangs_does_not_stop_a_flow_whose_recording_may_be_left() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::default());
    let Some(session) = disk.mount(dir.path(), "a_disk_that_hangs_does_not_stop_a_flow") else {
        return;
    };
    let line = Line::new(dir.path(), &[]);
    let (client, upstream) = line.flow();
    let sent = pattern(64 << 20);
    assert!(pass(&client, &upstream, &sent, 65_536) == sent);
    drop((client, upstream));
    line.proxy.said("are not recorded");
    let errors = line.proxy.errors();
    assert!(errors.contains("it took nothing for 1s"), "{errors}");
    let said = numbers(&errors, "are not recorded");
    assert_eq!(said[1], 64 << 20, "{errors}");
    assert!(disk.written("client").is_empty(), "the disk does not hang");
    disk.open();
    line.end();
    assert!(disk.written("client") == sent[..said[0]]);
    session.umount_and_join().unwrap();
}

#[test]
fn a_disk_that_hangs_stops_a_flow_whose_recording_is_to_have_everything() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::default());
    let Some(session) = disk.mount(dir.path(), "a_disk_that_hangs_stops_a_flow") else { return };
    let line = Line::new(dir.path(), &["--tap-policy", "block"]);
    let (client, mut upstream) = line.flow();
    let sent = pattern(64 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&client).write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        let (mut got, mut block) = (Vec::new(), vec![0; 1 << 20]);
        // Three times as long as one that may be left would be waited for.
        upstream.set_read_timeout(Some(std::time::Duration::from_secs(3))).unwrap();
        loop {
            match upstream.read(&mut block) {
                Ok(0) => panic!("it does not wait for the disk"),
                Ok(n) => got.extend_from_slice(&block[..n]),
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(got.len() < sent.len());
        disk.open();
        upstream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        upstream.read_to_end(&mut got).unwrap();
        assert!(got == sent);
    });
    drop((client, upstream));
    line.end();
    assert!(disk.written("client") == sent);
    session.umount_and_join().unwrap();
}

#[test]
fn a_folder_that_cannot_be_recorded_in_is_told_of_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for wrong in [dir.path().join("none"), file] {
        let mut command = support::fdflow();
        command.args(["proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--tap"]);
        command.arg(&wrong);
        let output = refusal(command);
        let errors = support::stderr(&output);
        assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{errors}");
        assert!(errors.contains(wrong.to_str().unwrap()) && errors.contains("--tap"), "{errors}");
    }
}

#[test]
fn after_recorded_flows_no_descriptor_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path(), &[]);
    let one = |n: usize| {
        let (client, upstream) = line.flow();
        let sent = pattern(n);
        assert!(pass(&client, &upstream, &sent, 65_536) == sent);
        drop((client, upstream));
    };
    let before = line.proxy.descriptors();
    // The stage's pipe goes to the pool and stays there: two descriptors for each direction.
    let pooled = 4;
    for _ in 0..10 {
        one(300_000);
    }
    eventually(|| line.proxy.descriptors() <= before + pooled, "descriptors to be closed");
    line.end();
}
