//! The body against the parts put together in memory.

use std::fs::File;
use std::io::Write as _;

use http_body_util::BodyExt as _;
use proptest::prelude::*;

use super::*;

fn sent(body: FileBody) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(body.collect()).unwrap().to_bytes().to_vec()
}

/// Put together the long way.
fn oracle(bytes: &[u8], parts: &[Range<u64>], media_type: &str, boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let range = format!("{}-{}/{}", part.start, part.end - 1, bytes.len());
        out.extend(format!("\r\n--{boundary}\r\nContent-Type: {media_type}\r\n").bytes());
        out.extend(format!("Content-Range: bytes {range}\r\n\r\n").bytes());
        out.extend(part.clone().map(|at| bytes[usize::try_from(at).unwrap()]));
    }
    out.extend(format!("\r\n--{boundary}--\r\n").bytes());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_body_is_the_parts_between_their_heads_and_as_long_as_it_says(
        bytes in prop::collection::vec(any::<u8>(), 40),
        parts in prop::collection::vec((0_u64..30, 1_u64..10), 1..6),
        in_memory: bool,
    ) {
        let parts: Vec<Range<u64>> = parts.iter().map(|(at, n)| *at..at + n).collect();
        let source = if in_memory {
            Source::Memory(Bytes::from(bytes.clone()))
        } else {
            let mut file: File = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            Source::File(OpenFile::new(file).unwrap())
        };
        let (body, boundary) = body(&source, &parts, b"text/plain");
        let length = body.length();
        let sent = sent(body);
        prop_assert_eq!(length, sent.len() as u64);
        prop_assert_eq!(sent, oracle(&bytes, &parts, "text/plain", &boundary));
    }
}

#[test]
fn boundaries_are_never_the_same_twice() {
    let all: std::collections::HashSet<String> = (0..1000).map(|_| boundary()).collect();
    assert_eq!(all.len(), 1000);
    assert!(all.iter().all(|boundary| boundary.len() <= 70));
}

#[test]
fn a_slice_past_the_end_is_cut() {
    let bytes = Bytes::from_static(b"abc");
    assert_eq!(slice(&bytes, 1..2), "b");
    assert_eq!(slice(&bytes, 2..u64::MAX), "c");
    assert_eq!(slice(&bytes, 7..9), "");
}
