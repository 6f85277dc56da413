//! A video in Chromium, sought to near its end.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::browser::Browser;
use super::site::{Site, is_there, went_by_sendfile};
use super::support::pattern;

const PAGE: &[u8] = b"<!doctype html><title>film</title><video src=film.webm preload=auto muted>";
const SECONDS: usize = 20;

/// A video of noise, which no encoder makes small. `None`, and said, where none is installed.
fn film() -> Option<Vec<u8>> {
    if !is_there("vpxenc") {
        return None;
    }
    let mut encoder = Command::new("vpxenc");
    encoder.args(["--codec=vp8", "--rt", "--cpu-used=16", "--threads=1", "--quiet"]);
    encoder.args(["--end-usage=cbr", "--target-bitrate=8000", "--min-q=4", "--max-q=40"]);
    encoder.arg("--kf-max-dist=10");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film.webm");
    encoder.args(["-o"]).arg(&path).arg("-");
    let mut child = encoder.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"YUV4MPEG2 W320 H240 F10:1 Ip A1:1 C420\n").unwrap();
    for frame in pattern(320 * 240 * 10 * SECONDS).chunks(320 * 240) {
        stdin.write_all(b"FRAME\n").unwrap();
        stdin.write_all(frame).unwrap();
        stdin.write_all(&[128; 320 * 240 / 2]).unwrap();
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    Some(std::fs::read(path).unwrap())
}

#[test]
fn a_video_is_sought_to_near_its_end_by_a_range_that_goes_by_sendfile() {
    // So slowly that the browser has not read up to there when it is told to go there; nor before
    // its first picture, when it now and then reads on instead.
    let mut site = Site::serve(&["--rate", "2M/s"]);
    let Some(film) = film() else { return };
    let Some(browser) = Browser::start(true) else { return };
    assert!(film.len() > 8 << 20, "{} bytes", film.len());
    site.put("film.webm", &film);
    site.put("page.html", PAGE);
    browser.go(&site.url("/page.html"));
    let sought = browser.run(
        "const video = document.querySelector('video');
         const is = (name, state) => new Promise((done, failed) => {
             video.onerror = () => failed(video.error.message);
             state() ? done() : video.addEventListener(name, done, { once: true });
         });
         return (async () => {
             await is('canplay', () => video.readyState >= 3);
             video.currentTime = 19;
             await is('seeked', () => false);
             const sought = video.currentTime;
             await video.play();
             await is('ended', () => video.ended);
             return [video.videoWidth, Math.round(video.duration), sought];
         })()",
    );
    assert_eq!(sought, json!([320, SECONDS, 19]));
    browser.go("about:blank");
    // Such a range is open, so that its length tells where it began: before the last second, and
    // not so early that all could have been read up to there.
    let (least, most) = (film.len() as u64 / 40, film.len() as u64 / 5);
    let line = site.line_where(|line| {
        line["target"] == "/film.webm"
            && line["complete"] == true
            && (least..most).contains(&line["bytes"].as_u64().unwrap())
    });
    assert_eq!(line["status"], 206, "{line}");
    went_by_sendfile(&line);
}
