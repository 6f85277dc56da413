//! Ranges over the wire: one, many, none, and what they cost.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Answer, Site, noise};

/// What the parts say that they are, and their bytes.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let kind = answer.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = answer.body.strip_prefix(delimiter.as_bytes()).unwrap();
    let mut parts = Vec::new();
    while rest != b"--\r\n" {
        let at = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|w| w == text);
        let head = at(rest, b"\r\n\r\n").unwrap();
        let text = String::from_utf8(rest[2..head].to_vec()).unwrap();
        let end = at(&rest[head + 4..], delimiter.as_bytes()).unwrap() + head + 4;
        parts.push((text, rest[head + 4..end].to_vec()));
        rest = &rest[end + delimiter.len()..];
    }
    parts
}

/// Small enough to be in memory, and large enough not to be.
const LENGTHS: [usize; 2] = [1000, 300_000];

#[test]
fn a_single_range_is_answered_with_its_bytes_and_its_place() {
    for length in LENGTHS {
        let site = Site::new();
        let bytes = noise(length);
        site.old("a.bin", &bytes);
        for (range, from, to) in [
            ("bytes=0-99", 0, 100),
            ("bytes=100-", 100, length),
            ("bytes=-1", length - 1, length),
            ("bytes=10-9999999999", 10, length),
        ] {
            let answer = site.get("/a.bin", &[&format!("Range: {range}")]);
            assert_eq!(answer.status, 206, "{range}");
            let place = format!("bytes {from}-{}/{length}", to - 1);
            assert_eq!(answer.header("content-range"), Some(&*place), "{range}");
            assert_eq!(answer.header("content-length"), Some(&*(to - from).to_string()));
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            assert_eq!(answer.body, bytes[from..to], "{range}");
        }
    }
}

#[test]
fn many_ranges_are_parts_in_the_order_they_were_asked_for() {
    for length in LENGTHS {
        let site = Site::new();
        let bytes = noise(length);
        site.old("a.bin", &bytes);
        let answer = site.get("/a.bin", &["Range: bytes=500-599, 0-0, -50"]);
        assert_eq!(answer.status, 206);
        assert_eq!(answer.header("content-range"), None);
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        let expected: Vec<_> = [(500, 600), (0, 1), (length - 50, length)]
            .map(|(from, to)| {
                let head = format!(
                    "Content-Type: application/octet-stream\r\nContent-Range: bytes {from}-{}/{length}",
                    to - 1
                );
                (head, bytes[from..to].to_vec())
            })
            .to_vec();
        assert_eq!(parts(&answer), expected);
    }
}

#[test]
fn h68_ranges_that_overlap_are_sent_once() {
    let site = Site::new();
    let bytes = noise(300_000);
    site.old("a.bin", &bytes);
    let answer = site.get("/a.bin", &["Range: bytes=0-99,50-149,140-160"]);
    assert_eq!(answer.status, 206);
    assert_eq!(answer.header("content-range"), Some("bytes 0-160/300000"));
    assert_eq!(answer.body, bytes[..161]);

    let specs: Vec<String> = (0..199).map(|i| format!("{}-{}", i * 100, i * 100 + 150)).collect();
    let answer = site.get("/a.bin", &[&format!("Range: bytes={}", specs.join(","))]);
    assert_eq!(answer.header("content-range"), Some("bytes 0-19950/300000"));
    assert_eq!(answer.body, bytes[..19951]);
}

#[test]
fn h68_too_many_or_too_large_ranges_get_the_file_once() {
    let site = Site::new();
    let bytes = noise(300_000);
    site.old("a.bin", &bytes);
    let many: Vec<String> = (0..201).map(|i| format!("{}-{}", i * 100, i * 100)).collect();
    for range in [many.join(","), "0-,0-".to_owned(), "0-,-300000,1-".to_owned()] {
        let answer = site.get("/a.bin", &[&format!("Range: bytes={range}")]);
        assert_eq!(answer.status, 200);
        assert!(answer.body == bytes);
    }
}

#[test]
fn ranges_past_the_end_are_416_with_the_length() {
    let site = Site::new();
    site.old("a.bin", noise(1000));
    site.old("empty", "");
    for (path, range, length) in [
        ("/a.bin", "bytes=1000-", "1000"),
        ("/a.bin", "bytes=-0", "1000"),
        ("/empty", "bytes=0-", "0"),
    ] {
        let answer = site.get(path, &[&format!("Range: {range}")]);
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), Some(&*format!("bytes */{length}")));
    }
}

#[test]
fn what_is_no_range_of_bytes_is_ignored() {
    let site = Site::new();
    let bytes = noise(1000);
    site.old("a.bin", &bytes);
    for lines in [
        &["Range: lines=1-2"][..],
        &["Range: bytes=9-1"],
        &["Range: bytes=0-1", "Range: bytes=4-5"],
        &["Range: \x00bytes"][..0],
    ] {
        let answer = site.get("/a.bin", lines);
        assert_eq!((answer.status, answer.body == bytes), (200, true), "{lines:?}");
    }
}

#[test]
fn head_knows_no_ranges() {
    let site = Site::new();
    site.old("a.bin", noise(1000));
    let answer = site.ask("HEAD", "/a.bin", &["Range: bytes=0-9"]);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("1000")));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
}
