//! What answers take, measured on the whole process: one test, so that no other is measured.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use fdflow_files::Options;
use support::{Site, noise};

/// Bytes of this process's anonymous memory, which is what a body put together in memory would be.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Open descriptors, by what they lead to; those of the client's own connections are closed.
fn descriptors() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let mut open: Vec<String> = entries
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .filter(|link| !link.starts_with("/proc/"))
        .collect();
    open.sort();
    open
}

fn mappings_of(name: &str) -> usize {
    fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .filter(|line| line.contains(name))
        .count()
}

const LARGE: u64 = 8 << 30;

/// 200 parts of 1 MiB each, of a file of 8 GiB that is one hole.
fn many_parts() -> String {
    let specs = (0..200_u64).map(|i| {
        let from = i * (40 << 20);
        format!("{from}-{}", from + (1 << 20) - 1)
    });
    specs.collect::<Vec<_>>().join(",")
}

#[test]
fn h68_answers_take_no_memory_and_leave_no_descriptor() {
    let site = Site::with(Options::default().cache(0, 0));
    fs::File::create(site.path("large")).unwrap().set_len(LARGE).unwrap();
    site.old("small", "small");
    site.old("text.txt", "text ".repeat(10_000));
    site.old("middle", noise(200_000));
    assert_eq!(site.get("/small", &[]).text(), "small");
    let files = format!("{}/", site.folder.path().display());
    // Connections close a moment after the client's; what is left then is left for good.
    let settled = |most: usize| {
        for _ in 0..500 {
            let open = descriptors();
            if open.len() <= most && !open.iter().any(|link| link.starts_with(&files)) {
                return open.len();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("more than {most} are open: {:?}", descriptors());
    };
    let (before, open_before) = (memory(), settled(16));

    let mut stream = site.connect();
    let request =
        format!("GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes={}\r\n\r\n", many_parts());
    stream.write_all(request.as_bytes()).unwrap();
    let mut buffer = vec![0; 256 << 10];
    let (mut received, mut most, mut length) = (0_u64, 0, None);
    loop {
        let n = stream.read(&mut buffer).unwrap();
        assert_ne!(n, 0, "the answer ends after {received} bytes");
        if length.is_none() {
            let end = buffer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let head = std::str::from_utf8(&buffer[..end]).unwrap();
            assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
            let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            length = Some(end as u64 + line.unwrap().parse::<u64>().unwrap());
        }
        received += n as u64;
        most = most.max(memory());
        if Some(received) >= length {
            break;
        }
    }
    assert_eq!(Some(received), length);
    assert!(received > 200 * (1 << 20));
    let growth = most.saturating_sub(before);
    assert!(growth < 21 << 20, "{growth} bytes for a body of {received}");
    drop(stream);

    for i in 0..200 {
        let mut stream = site.connect();
        let range = format!("Range: bytes={}", many_parts());
        let lines = ["GET /large", "GET /middle", "GET /text.txt", "HEAD /large", "GET /missing"];
        let request = format!("{} HTTP/1.1\r\nHost: a\r\n{range}\r\n\r\n", lines[i % lines.len()]);
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 64];
        stream.read_exact(&mut first).unwrap();
        // Some go away in the middle of the answer, some after having said so.
        if i % 2 == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }
    settled(open_before);
    assert_eq!(mappings_of("/large"), 0);
}
