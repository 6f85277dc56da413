//! `fdflow relay` with ffmpeg: a film in MPEG-TS, a recording of it, and eight clients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use support::relay::{Cat, Relay, same};
use support::server::eventually;

/// A film of some seconds, of about so many bytes a second.
fn film(to: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"]);
    command.args(["testsrc=size=640x480:rate=25:duration=8", "-f", "lavfi", "-i"]);
    command.args(["sine=frequency=440:duration=8", "-c:v", "mpeg2video", "-b:v", "8M"]);
    command.args(["-minrate", "8M", "-maxrate", "8M", "-bufsize", "2M", "-c:a", "mp2"]);
    command.args(["-f", "mpegts", to]);
    command
}

fn is_installed(name: &str, test: &str) -> bool {
    let found = Command::new(name).arg("-version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED {test}: there is no {name}");
    }
    found
}

/// What ffprobe says of a file.
fn probed(path: &Path) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-count_packets", "-show_entries"]);
    command.args(["format=format_name:stream=codec_name,nb_read_packets", "-of", "compact"]);
    let output = command.arg(path).output().unwrap();
    assert!(output.status.success(), "{}", support::stderr(&output));
    assert_eq!(support::stderr(&output), "");
    support::stdout(&output)
}

#[test]
fn a_film_is_recorded_and_seen_by_eight_of_whom_one_stands_still() {
    let test = "a_film_is_recorded";
    if !is_installed("ffmpeg", test) || !is_installed("ffprobe", test) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film.ts");
    let flags = ["--record", path.to_str().unwrap(), "--start", "beginning"];
    let mut relay = Relay::start(&flags);
    let before = relay.held().descriptors;
    let readers = relay.read_by(7);
    let stopped = Cat::new(relay.read());
    stopped.stop();
    // Nobody is accepted after the end.
    eventually(|| relay.held().descriptors >= before + 8, "readers that are in");
    let at = relay.producers.clone().unwrap();
    let made = film(&format!("tcp://{at}")).output().unwrap();
    assert!(made.status.success(), "{}", support::stderr(&made));
    thread::scope(|scope| {
        let others: Vec<_> = readers.iter().map(|reader| scope.spawn(|| reader.rest())).collect();
        let recording = loop {
            if others.iter().all(thread::ScopedJoinHandle::is_finished) {
                break std::fs::read(&path).unwrap();
            }
            thread::yield_now();
        };
        assert!(recording.len() > 4 << 20, "{}", recording.len());
        others.into_iter().for_each(|other| same(&other.join().unwrap(), &recording));
        same(&stopped.rest(), &recording);
    });
    drop(readers);
    relay.is_done();
    let seen = probed(&path);
    assert!(seen.contains("mpeg2video") && seen.contains("nb_read_packets=200"), "{seen}");
    assert!(seen.contains("format_name=mpegts"), "{seen}");
    for ended in relay.all_ended(8) {
        assert_eq!((&*ended.why, ended.start, ended.missed), ("done", Some(0), 0), "{ended:?}");
    }
}
