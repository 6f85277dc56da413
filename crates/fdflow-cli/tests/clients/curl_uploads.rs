//! Uploads by curl.

use std::io::Write;
use std::process::Stdio;

use super::curl::{STATUS, curl};
use super::site::{LARGE, Site, succeeded};
use super::support::pattern;

#[test]
fn curl_puts_a_file_and_gets_it_back() {
    let mut site = Site::serve(&["--upload"]);
    let Some(mut put) = curl(&site) else { return };
    let bytes = pattern(LARGE);
    std::fs::write(site.own("new"), &bytes).unwrap();
    put.args(["-T", "new"]).args(STATUS).arg(site.url("/"));
    assert!(succeeded(&mut put).stdout.ends_with(b"201"));
    assert!(std::fs::read(site.served("new")).unwrap() == bytes);
    let line = site.line();
    assert_eq!((&line["method"], &line["target"]), (&"PUT".into(), &"/new".into()));
    assert_eq!((&line["status"], &line["received"]), (&201.into(), &LARGE.into()));
    let got = succeeded(curl(&site).unwrap().arg(site.url("/new"))).stdout;
    assert!(got == bytes, "{} bytes came", got.len());
    // It is there now, and nothing said that it may be replaced.
    let mut again = curl(&site).unwrap();
    again.args(["-T", "new"]).args(STATUS).arg(site.url("/"));
    assert!(succeeded(&mut again).stdout.ends_with(b"409"));
}

#[test]
fn curl_overwrites_where_that_is_allowed() {
    let site = Site::serve(&["--upload", "--overwrite"]);
    let Some(mut put) = curl(&site) else { return };
    site.put("file", b"old and longer");
    std::fs::write(site.own("file"), "new").unwrap();
    put.args(["-T", "file"]).args(STATUS).arg(site.url("/file"));
    assert!(succeeded(&mut put).stdout.ends_with(b"204"));
    assert_eq!(std::fs::read(site.served("file")).unwrap(), b"new");
}

#[test]
fn curl_sends_a_form_with_two_files() {
    let mut site = Site::serve(&["--upload"]);
    let Some(mut post) = curl(&site) else { return };
    let bytes = pattern(LARGE);
    std::fs::write(site.own("one"), &bytes).unwrap();
    std::fs::write(site.own("two"), "two").unwrap();
    std::fs::create_dir(site.served("sub")).unwrap();
    post.args(["-F", "file=@one", "-F", "file=@two;filename=\"2 #?%.txt\""]);
    post.args(["--fail-with-body"]).arg(site.url("/sub/"));
    succeeded(&mut post);
    assert!(std::fs::read(site.served("sub/one")).unwrap() == bytes);
    assert_eq!(std::fs::read(site.served("sub/2 #?%.txt")).unwrap(), b"two");
    let line = site.line();
    assert_eq!((&line["method"], &line["target"]), (&"POST".into(), &"/sub/".into()));
    assert!(line["received"].as_u64().unwrap() > LARGE as u64, "{line}");
}

#[test]
fn curl_sends_a_file_of_unknown_length_in_chunks() {
    let site = Site::serve(&["--upload"]);
    let Some(mut put) = curl(&site) else { return };
    let bytes = pattern(LARGE);
    put.args(["-v", "-T", "-"]).args(STATUS).arg(site.url("/piped"));
    put.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = put.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    sender.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("> Transfer-Encoding: chunked"), "{said}");
    assert!(output.stdout.ends_with(b"201"), "{said}");
    assert!(std::fs::read(site.served("piped")).unwrap() == bytes);
}

#[test]
fn curl_that_waits_for_100_continue_gets_it_and_a_refusal_before_the_body() {
    let mut site = Site::serve(&["--upload", "--max-upload", "4M"]);
    std::fs::write(site.own("fits"), pattern(LARGE)).unwrap();
    std::fs::write(site.own("large"), pattern(2 * LARGE)).unwrap();
    let send = |name: &str| {
        let mut curl = curl(&site)?;
        curl.args(["-v", "-H", "Expect: 100-continue", "--expect100-timeout", "60"]);
        curl.args(["-T", name]).args(STATUS).arg(site.url("/"));
        let output = succeeded(&mut curl);
        Some((output.stdout, String::from_utf8(output.stderr).unwrap()))
    };
    let Some((status, said)) = send("fits") else { return };
    assert!(status.ends_with(b"201") && said.contains("< HTTP/1.1 100 Continue"), "{said}");
    let (status, said) = send("large").unwrap();
    assert!(status.ends_with(b"413") && !said.contains("100 Continue"), "{said}");
    assert!(!site.served("large").exists());
    assert_eq!(site.line()["received"], LARGE);
    assert_eq!(site.line()["received"], 0);
}
