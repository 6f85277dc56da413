//! Readers that do not take what they are given.

use std::io::ErrorKind;

use super::site::{LARGE, Site};
use super::support::pattern;
use super::support::relay::{left_out, same};

/// A reader that takes nothing, but has asked for all.
fn stopped(site: &Site, request: &str) -> super::support::server::Client {
    let mut client = site.connect_narrow();
    client.send(format!("{request}\r\nHost: x\r\n\r\n").as_bytes());
    let head = client.head();
    assert!(head.contains(" 200 OK\r\n"), "{head}");
    client
}

#[test]
fn a_reader_that_is_stopped_harms_no_other_and_has_all_of_a_recording_later() {
    let mut site = Site::recorded(&["--start", "beginning"]);
    let producer = site.relay.produce();
    let mut slow = stopped(&site, "GET / HTTP/1.0");
    let mut other = site.follow("/");
    let bytes = pattern(5 * LARGE);
    producer.send(&bytes);
    same(&other.bytes(bytes.len()), &bytes);
    same(&slow.bytes(bytes.len()), &bytes);
    drop(producer);
    assert!(slow.rest_bytes().is_empty() && other.rest_bytes().is_empty());
    for ended in site.relay.all_ended(2) {
        assert_eq!((&*ended.why, ended.bytes), ("done", bytes.len() as u64));
    }
    site.relay.is_done();
}

#[test]
fn one_that_is_too_far_behind_the_stream_is_ended_and_harms_no_other() {
    let mut site = Site::fanned(&["--max-lag", "64K"]);
    let producer = site.relay.produce();
    let mut slow = stopped(&site, "GET / HTTP/1.1");
    let mut other = site.follow("/");
    let bytes = pattern(10 * LARGE);
    // No faster than the other takes it.
    for block in bytes.chunks(30_000) {
        producer.send(block);
        same(&other.bytes(block.len()), block);
    }
    let ended = site.ended_by("lagged");
    assert!(ended.reader == 1 && ended.bytes < bytes.len() as u64, "{ended:?}");
    assert!(slow.is_cut());
    drop(producer);
    assert!(other.rest_bytes().is_empty());
    assert_eq!(site.ended_by("done").bytes, bytes.len() as u64);
    site.relay.is_done();
}

#[test]
fn the_producer_waits_for_one_where_it_is_to() {
    let mut site = Site::fanned(&["--lag", "block"]);
    let producer = site.relay.produce();
    let mut slow = stopped(&site, "GET / HTTP/1.0");
    let bytes = pattern(10 * LARGE);
    let sending = std::thread::spawn({
        let bytes = bytes.clone();
        move || producer.send(&bytes)
    });
    same(&slow.rest_bytes(), &bytes);
    sending.join().unwrap();
    assert_eq!(site.ended_by("done").bytes, bytes.len() as u64);
    site.relay.is_done();
}

#[test]
fn what_one_is_still_to_get_is_kept_where_it_is_to() {
    let flags = ["--start", "beginning", "--rotate", "1M", "--keep", "2", "--lag", "block"];
    let mut site = Site::recorded(&flags);
    let producer = site.relay.produce();
    let mut slow = stopped(&site, "GET / HTTP/1.0");
    let bytes = pattern(5 * LARGE);
    let sending = std::thread::spawn({
        let bytes = bytes.clone();
        move || producer.send(&bytes)
    });
    same(&slow.rest_bytes(), &bytes);
    sending.join().unwrap();
    assert_eq!(site.ended_by("done").bytes, bytes.len() as u64);
    site.relay.is_done();
}

#[test]
fn one_whose_bytes_are_kept_no_longer_sees_that_it_has_not_all() {
    let flags = ["--start", "beginning", "--rotate", "1M", "--keep", "2"];
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let site = Site::recorded(&flags);
        let producer = site.relay.produce();
        let mut slow = stopped(&site, &format!("GET / {version}"));
        let bytes = pattern(10 * LARGE);
        producer.send(&bytes);
        let ended = site.ended_by("lagged");
        assert!(ended.bytes < bytes.len() as u64 && ended.missed == 0, "{ended:?}");
        // Where chunks do not tell it, a reset does.
        let mut got = Vec::new();
        let end = std::io::Read::read_to_end(&mut slow.stream, &mut got);
        match version {
            "HTTP/1.1" => assert!(!got.ends_with(b"0\r\n\r\n")),
            _ => assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_gap_is_left_out_where_it_is_to_be() {
    let flags = ["--start", "beginning", "--rotate", "1M", "--keep", "2", "--lag", "gap"];
    let mut site = Site::recorded(&flags);
    let producer = site.relay.produce();
    let mut slow = stopped(&site, "GET / HTTP/1.0");
    let bytes = pattern(10 * LARGE);
    producer.send(&bytes);
    drop(producer);
    let got = slow.rest_bytes();
    let missed = left_out(&got, &bytes);
    let ended = site.ended_by("done");
    assert_eq!((ended.bytes, ended.missed), (got.len() as u64, missed));
    assert!(missed > 0 && ended.bytes + missed == bytes.len() as u64, "{ended:?}");
    assert!(bytes.ends_with(&got[got.len() - 1000..]));
    site.relay.is_done();
}
