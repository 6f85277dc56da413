//! Descriptors, in a process of its own: there are none to be had but those of the cache.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Answer, Site};

#[test]
fn h31_the_cache_gives_up_its_descriptors_before_a_request_is_refused() {
    let site = Site::new();
    for i in 0..8 {
        site.old(&format!("{i}"), "kept");
    }
    site.old("other", "other");
    let mut stream = site.connect();
    let mut get = |path: &str| {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let length = Answer::read(&bytes).header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        bytes.extend(body);
        Answer::read(&bytes)
    };
    for i in 0..8 {
        assert_eq!(get(&format!("/{i}")).text(), "kept");
    }
    let few = Rlimit { current: Some(200), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, few).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    assert_eq!(get("/other").text(), "other");
    // They are free, and no more than those: the cache holds the other file alone.
    let mut freed = 0;
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
        freed += 1;
    }
    assert_eq!(freed, 7);
    // What is left to give is given, and then there is nothing.
    assert_eq!(get("/0").status, 503);
    drop(taken);
    assert_eq!(get("/0").text(), "kept");
}
