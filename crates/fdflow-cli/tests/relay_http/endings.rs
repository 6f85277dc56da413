//! How readers end, and the program with them.

use rustix::process::Signal;

use super::site::{LARGE, Site};
use super::support::relay::same;
use super::support::{fdflow, pattern};

/// Nothing else is opened meanwhile.
const SELDOM: [&str; 2] = ["--sync", "1h"];

#[test]
fn a_reader_that_leaves_while_the_stream_is_silent_is_noticed() {
    for records in [true, false] {
        let site = Site::run(fdflow(), records, if records { &SELDOM } else { &[] });
        let producer = site.relay.produce();
        // One who stays: with its byte everything is open that is to be.
        let mut first = site.follow("/");
        producer.send(b"x");
        first.bytes(1);
        let held = site.relay.held();
        let readers: Vec<_> = (0..5).map(|_| site.follow("/")).collect();
        drop(readers);
        for ended in site.relay.all_ended(5) {
            assert_eq!((&*ended.why, ended.bytes), ("left", 0), "{ended:?}");
        }
        site.relay.holds(held);
    }
}

#[test]
fn readers_leave_nothing_open() {
    let site = Site::recorded(&SELDOM);
    let producer = site.relay.produce();
    let mut first = site.follow("/");
    producer.send(&pattern(LARGE));
    first.bytes(LARGE);
    let held = site.relay.held();
    for _ in 0..3 {
        let mut client = site.connect();
        Site::range(&mut client, "-2000000");
        let mut reader = site.follow("/?start=beginning");
        reader.bytes(1_500_000);
    }
    site.relay.all_ended(6);
    site.relay.holds(held);
}

#[test]
fn a_signal_ends_the_stream_and_bodies_are_whole() {
    let mut site = Site::recorded(&[]);
    let producer = site.relay.produce();
    let bytes = pattern(LARGE);
    producer.send(&bytes);
    site.has_recorded(LARGE);
    let Some(curl) = site.curl("/?start=beginning") else { return };
    let curl = curl.start();
    // Two who have asked for nothing yet, or not to the end of it.
    let mut quiet = site.connect();
    assert_eq!(Site::range(&mut quiet, "0-0").1, &bytes[..1]);
    site.ended_by("done");
    let mut slow = site.connect();
    slow.send(b"GET / HT");
    curl.has(LARGE);
    site.relay.signal(Signal::TERM);
    let (code, got) = curl.rest();
    assert_eq!(code, Some(0));
    same(&got, &bytes);
    assert_eq!(site.ended_by("done").bytes, LARGE as u64);
    site.relay.is_done();
    assert!(quiet.is_cut() && slow.is_cut());
}

#[test]
fn a_second_signal_cuts_who_is_not_done() {
    let mut site = Site::recorded(&["--start", "beginning"]);
    let producer = site.relay.produce();
    let mut slow = site.connect_narrow();
    slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    slow.head();
    producer.send(&pattern(10 * LARGE));
    site.has_recorded(10 * LARGE);
    site.relay.signal(Signal::TERM);
    site.relay.said("has ended after");
    site.relay.signal(Signal::TERM);
    let ended = site.ended_by("drained");
    assert!(ended.bytes < 10 * LARGE as u64, "{ended:?}");
    site.relay.wait();
    assert!(slow.is_cut());
}

#[test]
fn one_that_takes_nothing_after_the_end_is_ended() {
    let mut site = Site::recorded(&["--start", "beginning", "--linger", "100ms"]);
    let producer = site.relay.produce();
    let mut slow = site.connect_narrow();
    slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    slow.head();
    producer.send(&pattern(10 * LARGE));
    drop(producer);
    site.ended_by("stalled");
    assert!(slow.is_cut());
    site.relay.is_done();
}

#[test]
fn more_readers_than_there_may_be_wait() {
    let site = Site::recorded(&["--max-readers", "1"]);
    let producer = site.relay.produce();
    let mut first = site.follow("/");
    let mut second = site.connect();
    second.send(b"GET / HTTP/1.0\r\n\r\n");
    producer.send(b"x");
    assert_eq!(first.bytes(1), b"x");
    drop(first);
    site.ended_by("left");
    second.head();
    producer.send(b"y");
    assert_eq!(second.bytes(1), b"y");
}
