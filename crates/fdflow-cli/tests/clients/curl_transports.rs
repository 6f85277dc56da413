//! curl over what is not HTTP/1.1 on TCP.

use std::path::Path;

use super::curl::curl;
use super::site::{LARGE, Site, succeeded, went_by_sendfile};
use super::support::pattern;

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).to_str().unwrap().to_owned()
}

fn secured(flags: &[&str]) -> Site {
    let (cert, key) = (data("first.crt"), data("first.key"));
    Site::serve(&[&["--tls-cert", &cert, "--tls-key", &key], flags].concat())
}

#[test]
fn curl_gets_and_puts_over_http_2_and_the_log_says_why_not_by_sendfile() {
    let mut site = secured(&["--upload"]);
    let Some(mut get) = curl(&site) else { return };
    let bytes = site.put_pattern("large", LARGE);
    let options = ["--cacert", &data("first.crt"), "--http2", "-w", "%{stderr}%{http_version}"];
    let got = succeeded(get.args(options).arg(site.url("/large")));
    assert!(got.stdout == bytes, "{} bytes came", got.stdout.len());
    assert_eq!(got.stderr, b"2");
    let line = site.line();
    assert_eq!((&line["version"], &line["route"]), (&"HTTP/2.0".into(), &"read_write".into()));
    assert!(line["why"].is_string(), "{line}");
    let mut range = curl(&site).unwrap();
    let got = succeeded(range.args(options).args(["-r", "1000000-"]).arg(site.url("/large")));
    assert!(got.stdout == bytes[1_000_000..]);
    let mut put = curl(&site).unwrap();
    std::fs::write(site.own("new"), &bytes).unwrap();
    succeeded(put.args(options).args(["--fail", "-T", "new"]).arg(site.url("/")));
    assert!(std::fs::read(site.served("new")).unwrap() == bytes);
}

#[test]
fn curl_gets_over_http_1_under_tls() {
    let mut site = secured(&[]);
    let Some(mut get) = curl(&site) else { return };
    let bytes = site.put_pattern("large", LARGE);
    get.args(["--cacert", &data("first.crt"), "--http1.1"]).arg(site.url("/large"));
    assert!(succeeded(&mut get).stdout == bytes);
    assert_eq!(site.line()["version"], "HTTP/1.1");
}

#[test]
fn curl_gets_and_puts_over_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let listen = format!("unix://{}", socket.display());
    let mut site = Site::serve_at(&listen, &["--upload"]);
    let over = |site: &Site| {
        let mut curl = curl(site)?;
        curl.args(["--fail", "--unix-socket"]).arg(&socket);
        Some(curl)
    };
    let Some(mut get) = over(&site) else { return };
    let bytes = site.put_pattern("large", LARGE);
    assert!(succeeded(get.arg("http://localhost/large")).stdout == bytes);
    went_by_sendfile(&site.line());
    std::fs::write(site.own("new"), pattern(LARGE)).unwrap();
    succeeded(over(&site).unwrap().args(["-T", "new", "http://localhost/"]));
    assert!(std::fs::read(site.served("new")).unwrap() == bytes);
}
