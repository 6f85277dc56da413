//! What a file is said to be, in which coding it is sent, and which headers go along.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::io::Read as _;

use fdflow_files::Options;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderName};
use support::{Site, noise};

#[test]
fn siblings_are_sent_to_those_who_accept_them() {
    let site = Site::new();
    site.old("app.js", "plain ".repeat(10_000));
    for suffix in ["br", "zst", "gz"] {
        site.old(&format!("app.js.{suffix}"), format!("coded as {suffix}"));
    }
    for (accept, coding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "coded as br"),
        ("gzip, zstd;q=0.9", Some("gzip"), "coded as gz"),
        ("zstd", Some("zstd"), "coded as zst"),
        ("*", Some("br"), "coded as br"),
        ("br;q=0, gzip;q=0.1", Some("gzip"), "coded as gz"),
        ("identity", None, "plain "),
        ("gzip;q=0.5, identity;q=1", None, "plain "),
    ] {
        let answer = site.get("/app.js", &[&format!("Accept-Encoding: {accept}")]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), coding, "{accept}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{accept}");
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        assert!(answer.text().starts_with(body), "{accept}");
    }
    let plain = site.get("/app.js", &[]);
    assert_eq!((plain.header("content-encoding"), plain.body.len()), (None, 60_000));
    assert_eq!(plain.header("vary"), Some("accept-encoding"), "a cache must know");
}

#[test]
fn each_coding_has_a_tag_of_its_own_and_ranges_are_of_what_is_sent() {
    let site = Site::new();
    site.old("app.js", "plain ".repeat(10_000));
    site.old("app.js.gz", "0123456789");
    let gzip = "Accept-Encoding: gzip";
    let (plain, coded) = (site.get("/app.js", &[]), site.get("/app.js", &[gzip]));
    assert_ne!(plain.header("etag"), coded.header("etag"));
    let line = format!("If-None-Match: {}", coded.header("etag").unwrap());
    assert_eq!(site.get("/app.js", &[gzip, &line]).status, 304);
    assert_eq!(site.get("/app.js", &[&line]).status, 200);
    let range = site.get("/app.js", &[gzip, "Range: bytes=-3"]);
    assert_eq!((range.status, range.text()), (206, "789"));
    assert_eq!(range.header("content-range"), Some("bytes 7-9/10"));
    assert_eq!(range.header("content-encoding"), Some("gzip"));
}

#[test]
fn a_sibling_counts_from_when_it_is_there_until_it_is_older_or_gone() {
    let site = Site::new();
    let coding = || {
        let answer = site.get("/a.css", &["Accept-Encoding: gzip"]);
        answer.header("content-encoding").map(str::to_owned)
    };
    site.old("a.css", "p {}");
    assert_eq!(coding(), None);
    site.old("a.css.gz", "coded");
    site.age("a.css.gz", 60);
    assert_eq!(coding().as_deref(), Some("gzip"));
    site.age("a.css.gz", 7200);
    assert_eq!(coding(), None, "it is of an older version");
    site.age("a.css.gz", 60);
    assert_eq!(coding().as_deref(), Some("gzip"));
    fs::remove_file(site.path("a.css.gz")).unwrap();
    assert_eq!(coding(), None);
}

#[test]
fn what_is_compressed_already_does_not_vary() {
    let site = Site::new();
    site.old("a.png", noise(100));
    site.old("a.png.gz", "coded");
    let answer = site.get("/a.png", &["Accept-Encoding: gzip"]);
    assert_eq!((answer.header("vary"), answer.header("content-encoding")), (None, None));
    assert_eq!(answer.body, noise(100));
}

#[test]
fn text_is_compressed_while_it_is_sent_where_that_is_wanted() {
    let site = Site::with(Options::default().compress(true));
    let text: String = noise(400_000).iter().map(|byte| char::from(b'a' + byte % 4)).collect();
    site.old("large.txt", &text);
    site.old("small.txt", &text[..5000]);
    site.old("tiny.txt", "tiny");
    site.old("noise.png", noise(5000));
    for (name, text) in [("/large.txt", &text[..]), ("/small.txt", &text[..5000])] {
        let plain = site.get(name, &[]);
        assert!(plain.body == text.as_bytes());
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        for (coding, accept) in [("gzip", "gzip"), ("br", "gzip, br"), ("gzip", "zstd, gzip")] {
            let answer = site.get(name, &[&format!("Accept-Encoding: {accept}")]);
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            assert_eq!(answer.header("content-length"), None);
            assert_eq!(answer.header("accept-ranges"), None);
            assert!(answer.body.len() < text.len() / 2, "{}", answer.body.len());
            let mut out = String::new();
            match coding {
                "gzip" => flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut out),
                _ => brotli::Decompressor::new(&*answer.body, 4096).read_to_string(&mut out),
            }
            .unwrap();
            assert!(out == text);
            let tag = answer.header("etag").unwrap();
            assert!(tag.starts_with("W/") && Some(tag) != plain.header("etag"));
            let line = format!("If-None-Match: {tag}");
            let again = site.get(name, &[&format!("Accept-Encoding: {accept}"), &line]);
            assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
            let range = [&*format!("Accept-Encoding: {accept}"), "Range: bytes=0-9"];
            assert_eq!(site.get(name, &range).status, 200, "there are no ranges of it");
        }
    }
    for name in ["/tiny.txt", "/noise.png"] {
        assert_eq!(site.get(name, &["Accept-Encoding: gzip"]).header("content-encoding"), None);
    }
}

#[test]
fn a_compressed_answer_whose_reader_goes_away_ends_with_it() {
    let site = Site::with(Options::default().compress(true));
    site.old("large.txt", "text ".repeat(2_000_000));
    for _ in 0..20 {
        use std::io::Write as _;
        let mut stream = site.connect();
        stream
            .write_all(b"GET /large.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n")
            .unwrap();
        let mut first = [0; 10];
        stream.read_exact(&mut first).unwrap();
    }
    assert_eq!(site.get("/large.txt", &["Range: bytes=0-3"]).text(), "text");
}

#[test]
fn the_type_is_that_of_the_name_and_else_of_the_content() {
    let site = Site::new();
    site.old("a.html", "<p>gr\u{fc}n");
    site.old("latin.html", b"<p>gr\xfcn");
    site.old("picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    site.old("Makefile", "all:\n");
    site.old("long", "text ".repeat(100_000));
    for (path, expected) in [
        ("/a.html", "text/html; charset=utf-8"),
        ("/latin.html", "text/html"),
        ("/picture", "image/png"),
        ("/Makefile", "text/plain; charset=utf-8"),
        ("/long", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(site.get(path, &[]).header("content-type"), Some(expected), "{path}");
    }
}

#[test]
fn rules_put_headers_where_they_belong() {
    let value = HeaderValue::from_static;
    let name = HeaderName::from_static;
    let options = Options::default()
        .cache_control(value("no-cache"))
        .header(name("x-all"), value("yes"))
        .header_for("/assets/*", CACHE_CONTROL, value("immutable"))
        .header_for("*.html", name("x-page"), value("yes"))
        .header_for("*", http::header::VARY, value("origin"));
    let site = Site::with(options);
    site.old("index.html", "index");
    site.old("assets/a.png", "a");
    let root = site.get("/", &[]);
    assert_eq!(root.header("cache-control"), Some("no-cache"));
    assert_eq!((root.header("x-all"), root.header("x-page")), (Some("yes"), Some("yes")));
    let asset = site.get("/assets/a.png", &[]);
    assert_eq!(asset.header("cache-control"), Some("immutable"));
    assert_eq!((asset.header("x-page"), asset.header("vary")), (None, Some("origin")));
    let missing = site.get("/assets/missing", &[]);
    assert_eq!((missing.status, missing.header("x-all")), (404, Some("yes")));
    assert_eq!(missing.header("cache-control"), None, "an error is not immutable");
    assert_eq!(site.get("/%2f", &[]).header("x-all"), Some("yes"));
    assert_eq!(site.ask("OPTIONS", "/", &[]).header("x-all"), Some("yes"));
}
