//! Parts of the recording.

use super::site::{LARGE, Site};
use super::support::pattern;
use super::support::relay::same;

/// The status, and what is told of the range.
fn told(head: &str) -> (&str, Option<&str>) {
    let status = head.split(' ').nth(1).unwrap();
    (status, head.lines().find_map(|line| line.strip_prefix("content-range: ")))
}

#[test]
fn ranges_are_exactly_the_bytes_that_were_asked_for() {
    let site = Site::recorded(&[]);
    let producer = site.relay.produce();
    let bytes = pattern(LARGE);
    producer.send(&bytes);
    site.has_recorded(LARGE);
    let mut client = site.connect();
    for (asked, from, until) in [
        ("0-9", 0, 10),
        ("1000-2499999", 1000, 2_500_000),
        ("2900000-", 2_900_000, LARGE),
        ("2999999-9999999999", LARGE - 1, LARGE),
        ("-1500000", LARGE - 1_500_000, LARGE),
        ("-99999999999999999999", 0, LARGE),
        ("5-6,100-200", 5, 7),
        ("9999999-,100-200", 100, 201),
    ] {
        let (head, got) = Site::range(&mut client, asked);
        let range = format!("bytes {from}-{}/*", until - 1);
        assert_eq!(told(&head), ("206", Some(&*range)), "{asked}: {head}");
        same(&got, &bytes[from..until]);
        let ended = site.ended_by("done");
        assert_eq!((ended.start, ended.bytes), (Some(from as u64), (until - from) as u64));
    }
}

#[test]
fn curl_goes_on_where_it_was_broken_off() {
    let site = Site::recorded(&[]);
    let producer = site.relay.produce();
    let bytes = pattern(LARGE);
    producer.send(&bytes);
    site.has_recorded(LARGE);
    let Some(mut curl) = site.curl("/cam.ts") else { return };
    std::fs::write(&curl.out, &bytes[..1_234_567]).unwrap();
    curl.command.args(["--fail", "-C", "-"]);
    let (code, got) = curl.rest();
    assert_eq!(code, Some(0));
    same(&got, &bytes);
    assert_eq!(site.ended_by("done").bytes, (LARGE - 1_234_567) as u64);
}

#[test]
fn what_is_not_there_cannot_be_had() {
    let site = Site::recorded(&[]);
    let producer = site.relay.produce();
    let mut client = site.connect();
    let (head, text) = Site::range(&mut client, "0-");
    assert_eq!(told(&head), ("416", Some("bytes */0")));
    assert_eq!(text, b"nothing is kept of the 0 bytes that came\n");
    producer.send(&pattern(1000));
    site.has_recorded(1000);
    for asked in ["1000-", "1000-1001", "-0", "99999999999999999999-"] {
        let (head, text) = Site::range(&mut client, asked);
        assert_eq!(told(&head), ("416", Some("bytes */1000")), "{asked}");
        assert_eq!(text, b"bytes 0 to 999 are kept\n");
    }
}

#[test]
fn what_is_kept_no_longer_cannot_be_had() {
    let site = Site::recorded(&["--rotate", "1M", "--keep", "2"]);
    let producer = site.relay.produce();
    let bytes = pattern(10 * LARGE);
    producer.send(&bytes);
    site.has_recorded(bytes.len());
    let mut client = site.connect();
    let (head, text) = Site::range(&mut client, "0-10");
    assert_eq!(told(&head), ("416", Some("bytes */30000000")));
    let text = String::from_utf8(text).unwrap();
    let first: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(text, format!("bytes {first} to 29999999 are kept\n"));
    assert!((20 * (1 << 20)..30_000_000).contains(&first), "{first}");
    for (asked, from) in [(format!("{first}-"), first), ("-99999999".to_owned(), first)] {
        let (head, got) = Site::range(&mut client, &asked);
        let range = format!("bytes {from}-29999999/*");
        assert_eq!(told(&head), ("206", Some(&*range)), "{asked}");
        same(&got, &bytes[from..]);
    }
}

#[test]
fn a_range_ends_before_a_gap() {
    let site = Site::recorded(&[]);
    let path = site.path("old.ts");
    let bytes = pattern(100_000);
    std::fs::write(&path, &bytes).unwrap();
    let index = "fdflow recording index 1: time, stream byte, file byte\n".to_owned()
        + "2026-11-22T21:02:31.123Z 00000000000000000000 00000000000000000000\n"
        + "2026-11-22T21:02:32.124Z 00000000000000050000 00000000000000040000\n";
    let first = index.lines().next().unwrap();
    // Lines have one length.
    let index = index.replacen(first, &format!("{first:66}"), 1);
    std::fs::write(site.path("old.ts.index"), index).unwrap();
    drop(site.relay);
    let old = path.to_str().unwrap();
    let site = Site::fanned(&["--record", old]);
    let _producer = site.relay.produce();
    let mut client = site.connect();
    let mut range = |asked: &str| Site::range(&mut client, asked);
    let (head, got) = range("30000-");
    assert_eq!(told(&head), ("206", Some("bytes 30000-39999/*")));
    same(&got, &bytes[30_000..40_000]);
    assert_eq!(told(&range("45000-60000").0), ("416", Some("bytes */110000")));
    let (head, got) = range("-65000");
    assert_eq!(told(&head), ("206", Some("bytes 50000-109999/*")));
    same(&got, &bytes[40_000..]);
}

#[test]
fn what_is_no_range_of_bytes_is_the_stream() {
    let site = Site::recorded(&[]);
    let producer = site.relay.produce();
    producer.send(&[7; 100]);
    site.has_recorded(100);
    for fields in [
        "Range: seconds=1-2",
        "Range: bytes=2-1",
        "Range: bytes=0-1\r\nIf-Range: \"etag\"",
        "Range: bytes=0-1\r\nIf-Range: Sun, 22 Nov 2026 22:06:46 GMT",
    ] {
        let mut client = site.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n").as_bytes());
        assert_eq!(told(&client.head()), ("200", None), "{fields}");
    }
}

#[test]
fn requests_may_come_before_the_answers_are_read() {
    let site = Site::recorded(&[]);
    let producer = site.relay.produce();
    let bytes = pattern(LARGE);
    producer.send(&bytes);
    site.has_recorded(LARGE);
    let mut client = site.connect();
    let request =
        |range: &str| format!("GET / HTTP/1.1\r\nHost: x\r\nRange: bytes={range}\r\n\r\n");
    client.send((request("0-2000000") + &request("7-8") + &request("-500000")).as_bytes());
    for (from, until) in [(0, 2_000_001), (7, 9), (LARGE - 500_000, LARGE)] {
        same(&client.answer().1, &bytes[from..until]);
        let ended = site.ended_by("done");
        assert_eq!((ended.start, ended.bytes), (Some(from as u64), (until - from) as u64));
    }
}
