//! What `fdflow relay` tells of its recording: how far it is, its files, and what it lacks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use support::relay::{Relay, left_out, relay};
use support::seen::{Seen, number};
use support::server::eventually;
use support::watched::Admin;
use support::{fdflow, pattern};

/// Where the next run of a relay finds the same recording.
fn again(seen: &Seen, lines: usize) -> (Relay, Admin) {
    let path = seen.dir.path().join("cam.ts");
    let flags = ["--record", path.to_str().unwrap(), "--admin", "127.0.0.1:0"];
    let relay = Relay::run_with(relay("tcp-listen://127.0.0.1:0", &flags), lines, Stdio::null());
    let admin = Admin::of(&relay.server);
    (relay, admin)
}

#[test]
fn files_and_places_are_told_in_this_run_and_in_the_next() {
    let mut seen = Seen::recording(&["--rotate", "300K", "--keep", "2", "--reconnect", "1s"]);
    seen.produce().send(&pattern(2_000_000));
    eventually(|| seen.metric("recording_end_bytes", &[]) == 2_000_000, "all of it");
    let lengths = || {
        let files = std::fs::read_dir(seen.dir.path()).unwrap();
        let files = files.map(|file| file.unwrap());
        let is_one = |name: &OsStr| name.as_encoded_bytes().ends_with(b".ts");
        let files = files.filter(|file| is_one(&file.file_name()));
        files.map(|file| file.metadata().unwrap().len()).collect::<Vec<_>>()
    };
    eventually(|| seen.metric("recording_files", &[]) == lengths().len() as u64, "files");
    let (flows, kept) = (seen.flows(), lengths().iter().sum::<u64>());
    let recording = &flows["recording"];
    assert_eq!(number(&recording["bytes"]), kept, "{flows}");
    assert_eq!((number(&recording["start"]), &recording["gaps"]), (2_000_000 - kept, &0.into()));
    let (rotated, removed) = (number(&recording["rotated"]), number(&recording["removed"]));
    assert!(removed > 0 && lengths().len() as u64 == 1 + rotated - removed, "{flows}");
    assert_eq!(seen.metric("recording_rotated_total", &[]), rotated);
    assert_eq!(seen.metric("recording_removed_total", &[]), removed);

    let files = lengths().len() as u64;
    seen.relay.signal(Signal::TERM);
    seen.relay.is_done();
    let (relay, admin) = again(&seen, 3);
    let path = seen.dir.path().join("cam.ts");
    let greeting = format!("recording to {}, which has {kept} bytes", path.display());
    assert_eq!(relay.server.greeting[1], greeting);
    assert_eq!(admin.metric("fdflow_recording_files", &[]), files);
    assert_eq!(admin.metric("fdflow_recording_start_bytes", &[]), 2_000_000 - kept);
    assert_eq!(admin.metric("fdflow_recording_kept_bytes", &[]), kept);
    assert_eq!(admin.metric("fdflow_recording_removed_total", &[]), 0);
}

/// So many bytes a file of this process may have; at most as many as one of the test's.
fn limit_files(relay: &Relay, most: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(relay.server.pid()).unwrap());
    let maximum = getrlimit(Resource::Fsize).maximum;
    prlimit(pid, Resource::Fsize, Rlimit { current: most.or(maximum), maximum }).unwrap();
}

#[test]
fn a_gap_in_the_recording_is_told_with_its_offsets() {
    const DISK: u64 = 1 << 20;
    // The kernel's signal for a file that is too large would end it.
    let fdflow = fdflow();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(fdflow.get_program());
    let flags = ["--max-lag", "512K", "--lag", "gap", "--start", "beginning", "--reconnect", "1s"];
    let mut seen = Seen::run(command, "json", &["--record"], &flags);
    limit_files(&seen.relay, Some(DISK));
    let (producer, stream) = (seen.produce(), pattern(4_000_000));
    let end = stream.len() as u64;
    producer.send(&stream);
    eventually(|| seen.metric("recording_end_bytes", &[]) == end, "all of it");
    seen.relay.said(
        "the recording: File too large (os error 27); bytes from 1048576 on are kept in memory",
    );
    let flows = seen.flows();
    let recording = &flows["recording"];
    let lost = number(&recording["lost"]);
    assert_eq!((&recording["failing"], &recording["gaps"]), (&true.into(), &1.into()), "{flows}");
    assert_eq!(number(&recording["bytes"]), end - lost, "{flows}");
    assert!(lost >= end - DISK - (512 << 10), "{flows}");
    assert_eq!(seen.metric("recording_failing", &[]), 1);
    assert_eq!(seen.metric("recording_lost_bytes_total", &[]), lost);

    limit_files(&seen.relay, None);
    seen.relay.said("the recording: it goes on, and has come up to byte 4000000");
    let gap = format!("bytes {DISK} to {} are missing, {lost} in all", DISK + lost - 1);
    assert!(seen.relay.errors().contains(&gap), "{gap}: {}", seen.relay.errors());
    // When it began, and when it was over.
    let told = seen.relay.errors().matches(" are missing, ").count();
    assert_eq!(told, 2, "{}", seen.relay.errors());
    assert_eq!(seen.metric("recording_failing", &[]), 0);
    assert_eq!(seen.metric("recording_gaps_total", &[]), 1);
    assert_eq!(std::fs::metadata(seen.dir.path().join("cam.ts")).unwrap().len(), end - lost);

    let reader = seen.read();
    let got = reader.receive(usize::try_from(end - lost).unwrap());
    assert_eq!(left_out(&got, &stream), lost);
    eventually(|| seen.readers()[0]["missed"] == lost, "what it missed");
    drop(reader);
    let line = seen.relay.ended();
    assert_eq!((line.bytes, line.missed), (end - lost, lost), "{line:?}");
    drop(producer);
    seen.relay.signal(Signal::TERM);
    seen.relay.is_done();
    let (_relay, admin) = again(&seen, 3);
    assert_eq!(admin.metric("fdflow_recording_kept_bytes", &[]), end - lost);
    assert_eq!(admin.metric("fdflow_recording_gaps_total", &[]), 0);
}
