//! Preconditions over the wire: the statuses, and what stands in the heads.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;

use support::{Site, noise};

#[test]
fn a_304_has_the_validators_and_no_body_nor_its_length() {
    let site = Site::with(
        fdflow_files::Options::default()
            .cache_control(http::HeaderValue::from_static("max-age=60")),
    );
    site.old("a.txt", "text");
    let first = site.get("/a.txt", &[]);
    assert_eq!(first.status, 200);
    let tag = first.header("etag").unwrap();
    let date = first.header("last-modified").unwrap();
    for line in [
        format!("If-None-Match: {tag}"),
        format!("If-None-Match: W/{tag}, \"x\""),
        "If-None-Match: *".to_owned(),
        format!("If-Modified-Since: {date}"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(method, "/a.txt", &[&line]);
            assert_eq!((answer.status, answer.text()), (304, ""), "{line}");
            let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| &**name).collect();
            names.sort_unstable();
            assert_eq!(names, ["cache-control", "etag", "last-modified", "vary"], "{line}");
            assert_eq!(answer.header("etag"), Some(tag));
        }
    }
}

#[test]
fn the_order_of_the_preconditions_is_that_of_the_rfc() {
    let site = Site::new();
    site.old("a.txt", "text");
    let first = site.get("/a.txt", &[]);
    let tag = first.header("etag").unwrap().to_owned();
    let date = first.header("last-modified").unwrap().to_owned();
    let before = "Sun, 06 Nov 1994 08:49:37 GMT";
    let cases: &[(&[&str], u16)] = &[
        (&["If-Match: \"x\""], 412),
        (&["If-Match: {tag}", "If-Unmodified-Since: {before}"], 200),
        (&["If-Unmodified-Since: {before}"], 412),
        (&["If-Unmodified-Since: {date}"], 200),
        (&["If-Match: \"x\"", "If-None-Match: {tag}"], 412),
        (&["If-None-Match: \"x\"", "If-Modified-Since: {date}"], 200),
        (&["If-None-Match: {tag}", "If-Modified-Since: {before}"], 304),
        (&["If-None-Match: {tag}", "Range: bytes=0-0"], 304),
        (&["If-Match: \"x\"", "Range: bytes=9-"], 412),
        (&["If-Match: W/{tag}"], 412),
        (&["If-Modified-Since: nonsense"], 200),
    ];
    for (lines, status) in cases {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.replace("{tag}", &tag).replace("{date}", &date))
            .map(|line| line.replace("{before}", before))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(site.get("/a.txt", &lines).status, *status, "{lines:?}");
    }
}

#[test]
fn h69_a_file_replaced_between_two_halves_is_sent_whole() {
    for length in [1000, 300_000] {
        let site = Site::new();
        let (old, new) = (noise(length), noise(length + 1)[1..].to_vec());
        site.old("a.bin", &old);
        let first = site.get("/a.bin", &["Range: bytes=0-499"]);
        let tag = first.header("etag").unwrap();
        let if_range = format!("If-Range: {tag}");
        let second = site.get("/a.bin", &["Range: bytes=500-", &if_range]);
        assert_eq!(second.status, 206);
        assert!([&*first.body, &second.body].concat() == old);

        site.old("next", &new);
        fs::rename(site.path("next"), site.path("a.bin")).unwrap();
        let resumed = site.get("/a.bin", &["Range: bytes=500-", &if_range]);
        assert_eq!(resumed.status, 200);
        assert!(resumed.body == new, "the new file whole, and nothing of the old one");
        assert_ne!(resumed.header("etag"), Some(tag));
    }
}

#[test]
fn h69_if_range_takes_no_weak_tag_and_no_other_date() {
    let site = Site::new();
    site.old("a.bin", noise(1000));
    let first = site.get("/a.bin", &[]);
    let tag = first.header("etag").unwrap();
    let date = first.header("last-modified").unwrap();
    for (value, status) in [
        (tag, 206),
        (date, 206),
        (&*format!("W/{tag}"), 200),
        ("\"x\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("nonsense", 200),
    ] {
        let answer = site.get("/a.bin", &["Range: bytes=0-9", &format!("If-Range: {value}")]);
        assert_eq!(answer.status, status, "{value}");
    }
}

#[test]
fn h69_a_file_that_has_just_changed_has_a_weak_tag_which_no_range_can_rest_on() {
    let site = Site::new();
    site.young("a.bin", noise(1000));
    let first = site.get("/a.bin", &[]);
    let tag = first.header("etag").unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    for validator in [tag, first.header("last-modified").unwrap()] {
        let answer = site.get("/a.bin", &["Range: bytes=0-9", &format!("If-Range: {validator}")]);
        assert_eq!(answer.status, 200, "{validator}");
    }
    assert_eq!(site.get("/a.bin", &[&format!("If-None-Match: {tag}")]).status, 304);
    site.age("a.bin", 3);
    assert!(site.get("/a.bin", &[]).header("etag").unwrap().starts_with('"'));
}

#[test]
fn h69_a_date_that_two_versions_have_had_is_no_strong_one() {
    let site = Site::new();
    let bytes = noise(1000);
    let stamp = |name: &str, nanoseconds: u32| {
        let second = std::time::SystemTime::UNIX_EPOCH
            + std::time::Duration::new(1_600_000_000, nanoseconds);
        let file = fs::File::options().write(true).open(site.path(name)).unwrap();
        file.set_modified(second).unwrap();
    };
    site.old("a.bin", &bytes);
    stamp("a.bin", 1);
    let first = site.get("/a.bin", &[]);
    let line = format!("If-Range: {}", first.header("last-modified").unwrap());
    assert_eq!(site.get("/a.bin", &["Range: bytes=5-", &line]).status, 206);
    site.old("next", &bytes[1..]);
    stamp("next", 2);
    fs::rename(site.path("next"), site.path("a.bin")).unwrap();
    for _ in 0..2 {
        let resumed = site.get("/a.bin", &["Range: bytes=5-", &line]);
        assert_eq!((resumed.status, resumed.body.len()), (200, 999));
    }
}

#[test]
fn times_that_http_cannot_say_are_left_out() {
    let site = Site::new();
    site.old("past", "a");
    site.old("future", "a");
    let set = |name: &str, time: std::time::SystemTime| {
        fs::File::options().write(true).open(site.path(name)).unwrap().set_modified(time).unwrap();
    };
    set("past", std::time::SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(5));
    set("future", std::time::SystemTime::now() + std::time::Duration::from_secs(3600));
    for name in ["/past", "/future"] {
        let answer = site.get(name, &["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"]);
        assert_eq!((answer.status, answer.header("last-modified")), (200, None), "{name}");
        assert!(answer.header("etag").is_some());
    }
}
