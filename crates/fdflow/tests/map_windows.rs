//! Windows: the whole file once, overlaps, matches across borders, a flat resident set.
#![allow(unsafe_code, clippy::unwrap_used, reason = "maps are; a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use fdflow::map::{Checked, DEFAULT_WINDOW, MapError, Windows};
use proptest::prelude::*;
use support::{Room, child, file_of, pattern};

const PAGE: usize = 4096;
const MIB: u64 = 1 << 20;

/// Mapped, and copied.
fn both(file: &File) -> [Windows<&File>; 2] {
    // SAFETY: no test changes the file while it has windows of it.
    [unsafe { Windows::new(file) }.unwrap(), Windows::checked(file).unwrap()]
}

/// Puts windows together again, and checks that each repeats what it is to repeat.
fn joined<F: AsFd>(windows: &mut Windows<F>, from: u64) -> Vec<u8> {
    let mut all: Vec<u8> = Vec::new();
    while let Some(window) = windows.next_window().unwrap() {
        assert!(!window.fresh().is_empty(), "a window with nothing new");
        let at = usize::try_from(window.offset() - from).unwrap();
        let repeated = window.len() - window.fresh().len();
        assert_eq!(at + repeated, all.len(), "a gap, or more than the overlap");
        assert_eq!(&window[..repeated], &all[at..]);
        all.extend_from_slice(window.fresh());
    }
    all
}

#[test]
fn windows_show_every_byte_once_whatever_their_size() {
    let _room = Room::enter();
    let bytes = pattern(3 * PAGE + 77, 11);
    let file = file_of(&bytes);
    for size in [97, 100, PAGE - 1, PAGE, PAGE + 1, bytes.len(), usize::MAX] {
        for overlap in [0, 3, 99, PAGE] {
            for windows in both(&file) {
                let mut windows = windows.size(size).overlap(overlap);
                assert_eq!(joined(&mut windows, 0), bytes, "{size}, {overlap}");
                assert!(windows.next_window().unwrap().is_none(), "nothing behind the end");
                windows.rewind();
                assert_eq!(joined(&mut windows, 0), bytes, "again");
            }
        }
    }
}

#[test]
fn windows_of_a_range_stay_in_it() {
    let _room = Room::enter();
    let bytes = pattern(2 * PAGE, 12);
    let file = file_of(&bytes);
    let length = bytes.len();
    for (start, end) in [(0, 0), (5, 6), (PAGE - 3, PAGE + 3), (100, length), (length, length)] {
        for windows in both(&file) {
            let mut windows = windows.size(64).range(start as u64..end as u64).unwrap();
            assert_eq!(joined(&mut windows, start as u64), &bytes[start..end]);
        }
    }
    for windows in both(&file) {
        let mut windows = windows.range(10..u64::MAX).unwrap();
        assert_eq!(joined(&mut windows, 10), &bytes[10..]);
    }
    for windows in both(&file) {
        let beyond = windows.range(length as u64 + 1..u64::MAX);
        assert!(matches!(beyond, Err(MapError::Beyond { .. })));
    }
}

#[test]
fn windows_of_a_file_that_grows_follow_when_they_are_told_to() {
    let _room = Room::enter();
    let bytes = pattern(2 * PAGE + 9, 13);
    let file = file_of(&bytes[..PAGE + 1]);
    for mut windows in both(&file).map(|windows| windows.size(1000)) {
        file.set_len(PAGE as u64 + 1).unwrap();
        windows.refresh().unwrap();
        let mut all = joined(&mut windows, 0);
        file.write_all_at(&bytes[PAGE + 1..], PAGE as u64 + 1).unwrap();
        assert!(windows.next_window().unwrap().is_none());
        assert_eq!(windows.refresh().unwrap(), bytes.len() as u64);
        while let Some(window) = windows.next_window().unwrap() {
            all.extend_from_slice(window.fresh());
        }
        assert_eq!(all, bytes);
    }
}

/// Leftmost matches that do not overlap, looked for byte by byte.
fn oracle(bytes: &[u8], pattern: &[u8]) -> Vec<u64> {
    let (mut found, mut at) = (Vec::new(), 0);
    while !pattern.is_empty() && at + pattern.len() <= bytes.len() {
        if &bytes[at..at + pattern.len()] == pattern {
            found.push(at as u64);
            at += pattern.len();
        } else {
            at += 1;
        }
    }
    found
}

fn found<F: AsFd>(windows: &mut Windows<F>, pattern: &[u8]) -> Vec<u64> {
    windows.matches(pattern).collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_match_that_crosses_a_border_is_found_once() {
    let _room = Room::enter();
    let file = file_of(b"..needle..needleneedle..needl");
    for size in 1..40 {
        for windows in both(&file) {
            let mut windows = windows.size(size);
            assert_eq!(found(&mut windows, b"needle"), [2, 10, 16], "windows of {size}");
            assert_eq!(found(&mut windows, b"l"), [6, 14, 20, 28], "windows of {size}");
            assert!(found(&mut windows, b"").is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn matches_over_windows_are_those_of_the_whole(
        bytes in prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..300),
        pattern in prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..6),
        size in 1_usize..60,
        from in 0_u64..50,
    ) {
        let _room = Room::enter();
        let file = file_of(&bytes);
        let from = from.min(bytes.len() as u64);
        let expected: Vec<u64> = oracle(&bytes[usize::try_from(from).unwrap()..], &pattern)
            .iter().map(|at| at + from).collect();
        for windows in both(&file) {
            let mut windows = windows.size(size).range(from..u64::MAX).unwrap();
            prop_assert_eq!(&found(&mut windows, &pattern), &expected);
        }
        let checked = Checked::new(&file).unwrap();
        prop_assert_eq!(found(&mut checked.windows().size(size), &pattern), oracle(&bytes, &pattern));
    }
}

/// So many KiB of files are in the memory of this process, at most, ever since it began.
fn status(of: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(of)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_resident_set_stays_within_a_window() {
    if !child::alone("the_resident_set_stays_within_a_window") {
        return;
    }
    let length = 6 * DEFAULT_WINDOW as u64 + 5;
    let file = tempfile::tempfile().unwrap();
    file.set_len(length).unwrap();
    for at in [3, length / 2, length - 1] {
        file.write_all_at(&[1], at).unwrap();
    }
    for (windows, most) in both(&file).into_iter().zip([DEFAULT_WINDOW as u64 + 8 * MIB, 8 * MIB]) {
        let mut windows = windows;
        let before = status("VmRSS:");
        let mut seen = 0;
        while let Some(window) = windows.next_window().unwrap() {
            seen += memchr::memchr_iter(1, window.fresh()).count();
            let now = status("VmRSS:").saturating_sub(before) * 1024;
            assert!(now <= most, "{now} bytes, of which {most} are expected");
        }
        assert_eq!(seen, 3);
    }
}
