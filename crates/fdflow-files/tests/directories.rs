//! Folders, what is not there, and the methods.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;

use fdflow_files::{Files, Options};
use support::{Answer, Site, noise};

#[test]
fn a_folder_is_its_index_file_and_else_a_listing() {
    let site = Site::new();
    site.old("with/index.html", "<p>index");
    site.old("without/a file.txt", "a");
    let index = site.get("/with/", &[]);
    assert_eq!((index.status, index.text()), (200, "<p>index"));
    assert_eq!(index.header("content-type"), Some("text/html; charset=utf-8"));
    let listing = site.get("/without/", &[]);
    assert_eq!(listing.status, 200);
    assert_eq!(listing.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(listing.header("vary"), Some("accept"));
    assert!(listing.text().contains("a%20file.txt"), "{}", listing.text());
    fs::remove_file(site.path("with/index.html")).unwrap();
    assert_eq!(site.get("/with/", &[]).header("vary"), Some("accept"));
}

#[test]
fn a_listing_is_json_for_those_who_say_so() {
    let site = Site::new();
    site.old("a.txt", "a");
    for (path, lines, json) in [
        ("/", &[][..], false),
        ("/", &["Accept: text/html,application/xhtml+xml,*/*;q=0.8"], false),
        ("/", &["Accept: application/json"], true),
        ("/?format=json", &[], true),
        ("/?a=b&format=json", &["Accept: text/html"], true),
        ("/?format=html", &["Accept: application/json"], false),
        ("/?format=", &[], false),
    ] {
        let answer = site.get(path, lines);
        let expected = if json { "application/json" } else { "text/html; charset=utf-8" };
        assert_eq!(answer.header("content-type"), Some(expected), "{path} {lines:?}");
        assert_eq!(answer.header("vary"), Some("accept"));
        assert_eq!(answer.text().starts_with('{'), json);
        assert_eq!(answer.header("content-security-policy").is_some(), !json);
    }
}

#[test]
fn a_large_folder_is_listed_whole() {
    let site = Site::new();
    for i in 0..2000 {
        site.young(&format!("{i}.txt"), "");
    }
    for path in ["/", "/?format=json"] {
        let answer = site.get(path, &[]);
        assert_eq!(answer.status, 200);
        assert!((0..2000).all(|i| answer.text().contains(&format!("{i}.txt\""))), "{path}");
    }
}

#[test]
fn a_folder_without_its_slash_is_elsewhere_and_the_query_goes_along() {
    let site = Site::new();
    site.old("sub dir/a.txt", "a");
    for (path, place) in [
        ("/sub%20dir", "/sub%20dir/"),
        ("/sub%20dir?a=b&c=%20", "/sub%20dir/?a=b&c=%20"),
        ("/sub%20dir?", "/sub%20dir/?"),
        ("//sub%20dir", "/sub%20dir/"),
        ("/./sub%20dir", "/sub%20dir/"),
    ] {
        let answer = site.get(path, &[]);
        assert_eq!((answer.status, answer.header("location")), (301, Some(place)), "{path}");
    }
}

#[test]
fn a_file_with_a_slash_at_its_end_is_not_there() {
    let site = Site::new();
    site.old("a.txt", "a");
    assert_eq!(site.get("/a.txt", &[]).status, 200);
    assert_eq!(site.get("/a.txt/", &[]).status, 404);
    assert_eq!(site.get("/a.txt/b", &[]).status, 404);
}

#[test]
fn h67_paths_that_cannot_be_are_bad_requests() {
    let site = Site::new();
    for path in
        ["/%2fetc/passwd", "/a/../b", "/..%2f", "/%2e%2e/a", "/a%00", "/a%5cb", "/%", "/%zz"]
    {
        let answer = site.get(path, &[]);
        assert_eq!(answer.status, 400, "{path}");
    }
}

#[test]
fn without_listings_a_folder_shows_nothing() {
    let site = Site::with(Options::default().listing(false));
    site.old("sub/a.txt", "a");
    let answer = site.get("/sub/", &[]);
    assert_eq!(answer.status, 403);
    assert!(!answer.text().contains("a.txt"));
    assert_eq!(site.get("/sub/?format=json", &[]).status, 403);
}

#[test]
fn other_names_can_stand_for_a_folder() {
    let site = Site::with(Options::default().index(["home.htm", "index.html"]));
    site.old("index.html", "second");
    assert_eq!(site.get("/", &[]).text(), "second");
    site.old("home.htm", "first");
    assert_eq!(site.get("/", &[]).text(), "first");
    for bad in ["a/b", "..", "", "a\\b"] {
        assert!(Files::with_options(".", Options::default().index([bad])).is_err(), "{bad}");
    }
}

#[test]
fn in_one_page_programs_what_is_not_there_is_the_page() {
    let site = Site::with(Options::default().spa(true).listing(false));
    site.old("index.html", "the page");
    site.old("a.txt", "a");
    fs::create_dir(site.path("sub")).unwrap();
    for path in ["/", "/users/7", "/sub/", "/a.txt/more"] {
        let answer = site.get(path, &[]);
        assert_eq!((answer.status, answer.text()), (200, "the page"), "{path}");
    }
    assert_eq!(site.get("/a.txt", &[]).text(), "a");
    assert_eq!(site.get("/missing.js", &["Accept: */*"]).status, 404);
    assert_eq!(site.get("/v1.2", &["Accept: text/html,*/*"]).text(), "the page");
    let tag = site.get("/users/7", &[]).header("etag").unwrap().to_owned();
    assert_eq!(site.get("/users/8", &[&format!("If-None-Match: {tag}")]).status, 304);
    assert_eq!(site.get("/.hidden", &["Accept: text/html"]).text(), "the page");
}

#[test]
fn a_page_of_ones_own_says_that_something_is_not_there() {
    let site = Site::with(Options::default().not_found("errors/404.html"));
    assert_eq!(site.get("/missing", &[]).status, 404);
    site.old("errors/404.html", "<p>nothing here");
    let answer = site.get("/missing", &["If-None-Match: *", "Range: bytes=0-1"]);
    assert_eq!((answer.status, answer.text()), (404, "<p>nothing here"));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!((answer.header("etag"), answer.header("accept-ranges")), (None, None));
    assert_eq!(site.get("/errors/404.html", &[]).status, 200);
    assert!(Files::with_options(".", Options::default().not_found("../a")).is_err());
}

#[test]
fn other_methods_are_405_with_what_is_allowed() {
    let site = Site::new();
    site.old("a.txt", "a");
    for method in ["PUT", "POST", "PATCH", "DELETE", "TRACE", "BREW"] {
        let answer = site.ask(method, "/a.txt", &["Content-Length: 0"]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
    let answer = site.ask("OPTIONS", "/a.txt", &[]);
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(site.ask("OPTIONS", "*", &[]).status, 204);
}

#[test]
fn head_answers_the_very_head_of_get() {
    let site = Site::with(Options::default().compress(true).not_found("404.txt"));
    site.old("small.txt", "small");
    site.old("large.bin", noise(100_000));
    site.old("a.js", "plain");
    site.old("a.js.gz", "coded");
    site.old("empty", "");
    site.old("long.txt", "long ".repeat(1000));
    site.old("sub/a.txt", "a");
    site.old("404.txt", "nothing");
    let requests: &[(&str, &[&str])] = &[
        ("/small.txt", &[]),
        ("/large.bin", &[]),
        ("/empty", &[]),
        ("/long.txt", &["Accept-Encoding: gzip"]),
        ("/a.js", &["Accept-Encoding: gzip"]),
        ("/sub/", &[]),
        ("/sub/?format=json", &[]),
        ("/sub", &[]),
        ("/missing", &[]),
        ("/%2f", &[]),
        ("/small.txt", &["If-None-Match: *"]),
        ("/small.txt", &["If-Match: \"x\""]),
    ];
    for _ in 0..2 {
        for (path, lines) in requests {
            let get = site.get(path, lines);
            let head = site.ask("HEAD", path, lines);
            assert_eq!(head, Answer { body: Vec::new(), ..get }, "{path} {lines:?}");
        }
    }
}

#[test]
fn nested_in_an_app_redirects_and_listings_say_where() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/a.txt"), "a").unwrap();
    let files = Files::new(folder.path()).unwrap();
    let app = axum::Router::new().nest_service("/files", files.clone()).fallback_service(files);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::read(&bytes)
    };
    assert_eq!(get("/files/sub?x=1").header("location"), Some("/files/sub/?x=1"));
    assert_eq!(get("/sub?x=1").header("location"), Some("/sub/?x=1"));
    let (nested, bare) = (get("/files/sub/?format=json"), get("/sub/?format=json"));
    assert!(nested.text().contains("\"/files/sub/a.txt\""), "{}", nested.text());
    assert!(bare.text().contains("\"/sub/a.txt\""), "{}", bare.text());
    assert_eq!(get("/files/sub/a.txt").text(), "a");
    assert_eq!(get("/sub/a.txt").text(), "a");
}
