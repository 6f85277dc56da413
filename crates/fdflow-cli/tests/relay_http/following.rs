//! The stream from some start on, as it comes.

use std::process::{Command, Stdio};

use super::site::{LARGE, Site};
use super::support::relay::same;
use super::support::{fdflow, pattern, unrestricted};

#[test]
fn curl_follows_a_recording_while_it_grows_to_its_end() {
    follows_a_recording(fdflow());
}

#[test]
fn without_sendfile_it_is_the_same() {
    let mut command = fdflow();
    command.env("FDFLOW_DENY", "sendfile");
    follows_a_recording(command);
}

fn follows_a_recording(command: Command) {
    let mut site = Site::run(command, true, &[]);
    let producer = site.relay.produce();
    let bytes = pattern(2 * LARGE);
    producer.send(&bytes[..LARGE]);
    let Some(curl) = site.curl("/?start=beginning") else { return };
    let curl = curl.start();
    curl.has(LARGE);
    for block in bytes[LARGE..].chunks(200_001) {
        producer.send(block);
    }
    drop(producer);
    let (code, got) = curl.rest();
    assert_eq!(code, Some(0));
    same(&got, &bytes);
    let ended = site.ended_by("done");
    assert_eq!((ended.start, ended.bytes, ended.missed), (Some(0), 2 * LARGE as u64, 0));
    site.relay.is_done();
    same(&std::fs::read(site.path("cam.ts")).unwrap(), &bytes);
}

#[test]
fn curl_follows_a_stream_that_nobody_records() {
    let mut site = Site::fanned(&["--lag", "block"]);
    let producer = site.relay.produce();
    let Some(curl) = site.curl("/") else { return };
    let curl = curl.start();
    let bytes = pattern(2 * LARGE);
    producer.send(&bytes[..LARGE]);
    curl.has(LARGE);
    for block in bytes[LARGE..].chunks(7001) {
        producer.send(block);
    }
    drop(producer);
    let (code, got) = curl.rest();
    assert_eq!(code, Some(0));
    same(&got, &bytes);
    let ended = site.ended_by("done");
    assert_eq!((ended.start, ended.bytes, ended.missed), (Some(0), 2 * LARGE as u64, 0));
    site.relay.is_done();
}

#[test]
fn readers_begin_where_they_ask_to() {
    let mut site = Site::recorded(&["--start", "100-back"]);
    let producer = site.relay.produce();
    let bytes = pattern(10_000);
    producer.send(&bytes[..9000]);
    site.has_recorded(9000);
    let paths = ["/", "/cam.ts?start=live", "/?t=1&start=beginning", "/?start=1000-back"];
    let mut readers = paths.map(|path| site.follow(path));
    producer.send(&bytes[9000..]);
    drop(producer);
    for (reader, start) in readers.iter_mut().zip([8900, 9000, 0, 8000]) {
        same(&reader.rest_bytes(), &bytes[start..]);
    }
    for (ended, start) in site.relay.all_ended(4).iter().zip([8900, 9000, 0, 8000]) {
        assert_eq!((ended.start, ended.bytes), (Some(start), 10_000 - start), "{ended:?}");
    }
    site.relay.is_done();
}

#[test]
fn readers_by_http_and_bare_ones_get_the_same() {
    let mut site = Site::recorded(&["--listen", "127.0.0.1:0", "--start", "beginning"]);
    let bytes = pattern(LARGE);
    let producer = site.relay.produce();
    let (bare, mut reader) = (site.relay.read(), site.follow("/"));
    producer.send(&bytes);
    drop(producer);
    same(&bare.rest(), &bytes);
    same(&reader.rest_bytes(), &bytes);
    let mut kinds: Vec<_> = site.relay.all_ended(2).into_iter().map(|ended| ended.kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["http", "stream"]);
    site.relay.is_done();
}

#[test]
fn unix_sockets_speak_http_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = format!("unix://{}", dir.path().join("http").display());
    let mut site = Site::recorded(&["--http", &at]);
    let bytes = pattern(LARGE);
    let producer = site.relay.produce();
    let Some(mut curl) = site.curl("/?start=beginning") else { return };
    curl.command.arg("--unix-socket").arg(dir.path().join("http"));
    let curl = curl.start();
    producer.send(&bytes);
    drop(producer);
    let (code, got) = curl.rest();
    assert_eq!(code, Some(0));
    same(&got, &bytes);
    assert_eq!(site.ended_by("done").peer, "unix");
    site.relay.is_done();
}

#[test]
fn what_is_recorded_goes_by_sendfile() {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let traced = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: strace does not work here");
        return;
    }
    let relay = unrestricted();
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-e", "trace=sendfile", "-o"]).arg(trace.path());
    command.arg(relay.get_program()).env_remove("FDFLOW_DENY");
    let mut site = Site::run(command, true, &[]);
    let producer = site.relay.produce();
    let bytes = pattern(LARGE);
    producer.send(&bytes);
    site.has_recorded(LARGE);
    let mut reader = site.follow("/?start=beginning");
    same(&reader.bytes(LARGE), &bytes);
    drop(producer);
    assert!(reader.rest_bytes().is_empty());
    site.relay.is_done();
    let sent = || {
        let trace = std::fs::read_to_string(trace.path()).unwrap();
        let of = |line: &str| line.rsplit_once("= ")?.1.split(' ').next()?.parse::<usize>().ok();
        trace.lines().filter(|line| line.contains("sendfile")).filter_map(of).sum::<usize>()
    };
    assert_eq!(sent(), LARGE);
}
