//! Mirrors and sinks that fail: nothing is lost, nothing is told twice.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/scene.rs"]
mod scene;
mod support;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

use fdflow::{Operation, Pipe, Plain};
use scene::{enter, filled};
use support::rig::{Sort, catch, stream};
use support::{moved, pattern};

#[test]
fn a_mirror_that_is_closed_is_told_as_such_and_the_pipe_goes_on_without_it() {
    let _scene = enter();
    let bytes = pattern(120_000, 6);
    for sort in [Sort::Pipe, Sort::Tcp, Sort::Unix] {
        let (from, to) = stream(sort);
        let mut teed = filled(&bytes, 4096).tee(to);
        let out = catch(Sort::File);
        if moved(teed.drain_up_to(20_000, &out.fd)).is_none() {
            return;
        }
        drop(from);
        let error = teed.drain_to(&out.fd).unwrap_err();
        assert_eq!((error.operation(), error.side()), (Operation::Tee, None), "{sort:?}: {error}");
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
        let mut parts = teed.detach();
        let mut rest = error.into_undelivered();
        rest.extend_from_slice(&parts.ahead);
        parts.reader.read_to_end(&mut rest).unwrap();
        assert!([out.bytes(), rest].concat() == bytes, "{sort:?}");
        assert!(parts.mirrored >= 20_000);
    }
}

#[test]
fn a_mirror_without_space_fails_before_anyone_gets_what_it_has_not() {
    let _scene = enter();
    let bytes = pattern(100_000, 7);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut teed = filled(&bytes, 4096).tee(&full);
    let out = catch(Sort::File);
    for _again in 0..3 {
        let error = teed.drain_to(&out.fd).unwrap_err();
        if error.kind() == ErrorKind::Unsupported {
            return drop(teed);
        }
        assert_eq!((error.operation(), error.kind()), (Operation::Tee, ErrorKind::StorageFull));
        assert_eq!((error.report().bytes(), error.staged()), (0, 0));
    }
    let mut parts = teed.detach();
    assert_eq!((parts.mirrored, parts.in_advance), (0, 0));
    let mut rest = parts.ahead;
    parts.reader.read_to_end(&mut rest).unwrap();
    assert!(rest == bytes && out.bytes().is_empty());
}

/// Takes so many bytes, then fails once at each `of` the counts.
struct Failing {
    taken: Vec<u8>,
    fails_at: Vec<usize>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let next = self.fails_at.last().copied().unwrap_or(usize::MAX);
        if self.taken.len() >= next {
            self.fails_at.pop();
            return Err(io::Error::other("for once"));
        }
        let n = bytes.len().min(next - self.taken.len());
        self.taken.extend_from_slice(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn h03_a_mirror_or_a_sink_that_failed_and_is_tried_again_gets_no_byte_twice() {
    let _scene = enter();
    let bytes = pattern(150_000, 8);
    let counts = || vec![140_000, 99_999, 66_000, 65_536, 4097, 1, 0];
    let mut mirror = Plain(Failing { taken: Vec::new(), fails_at: counts() });
    let mut sink = Failing { taken: Vec::new(), fails_at: counts() };
    let mut teed = filled(&bytes, 64 << 10).tee(&mut mirror);
    let mut failures = 0;
    loop {
        match teed.drain_to(Plain(&mut sink)) {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Unsupported => return,
            Err(error) => {
                failures += 1;
                assert!(teed.mirrored() >= sink.taken.len() as u64);
                // What the sink refused had left the pipe: it goes first.
                let rest = error.into_undelivered();
                let mut rest = &rest[..];
                while !rest.is_empty() {
                    match sink.write(rest) {
                        Ok(n) => rest = &rest[n..],
                        Err(_) => failures += 1,
                    }
                }
            }
        }
    }
    drop(teed);
    assert_eq!(failures, 14);
    assert!(sink.taken == bytes && mirror.0.taken == bytes);
}

#[test]
fn a_detached_mirror_knows_how_far_it_came() {
    let _scene = enter();
    let bytes = pattern(30_000, 9);
    for broken in [true, false] {
        let (mut copies, mirror) = Pipe::new().unwrap().split();
        let mut teed = filled(&bytes, 64 << 10).tee(mirror);
        // A sink that fails at once, behind a mirror that has its bytes by then.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut rest = Vec::new();
        if broken {
            let error = teed.drain_up_to(10_000, &full).unwrap_err();
            if error.kind() == ErrorKind::Unsupported {
                return;
            }
            rest = error.into_undelivered();
        }
        let mut parts = teed.detach();
        drop(parts.mirror);
        let mut copy = Vec::new();
        copies.read_to_end(&mut copy).unwrap();
        assert_eq!(parts.mirrored, copy.len() as u64);
        assert_eq!(parts.in_advance + rest.len() as u64, parts.mirrored);
        assert!(copy == bytes[..copy.len()] && broken != copy.is_empty());
        rest.append(&mut parts.ahead);
        parts.reader.read_to_end(&mut rest).unwrap();
        assert!(rest == bytes);
    }
}

#[test]
fn a_pipe_is_not_its_own_mirror() {
    let _scene = enter();
    let mut pipe = Pipe::new().unwrap();
    pipe.writer().write_all(b"round and round").unwrap();
    let (reader, writer) = pipe.split();
    let mut teed = reader.tee(writer);
    let error = teed.drain_to(Plain(Vec::new())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported), "{error}");
    assert_eq!(teed.len().unwrap(), 15);
}
