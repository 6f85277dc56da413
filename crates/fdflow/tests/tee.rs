//! Mirrored pipes: whichever way the bytes leave, the mirror gets every one of them once.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/scene.rs"]
mod scene;
mod support;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread::{scope, spawn};

use fdflow::{Pipe, Plain, Route, Teed};
use rustix::io::Errno;
use rustix::thread::gettid;
use scene::{enter, filled};
use support::rig::{Sort, catch, nonblocking, stream, stuff};
use support::{PORTABLE, confine, denied, file_of, moved, pattern, reading, watch};

/// Whether the environment leaves `tee` and a way from a pipe to anywhere.
fn tees() -> bool {
    !PORTABLE && !denied().contains(Route::Splice)
}

/// The ways out of a mirrored pipe.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Out {
    Drain(Sort),
    Plain,
    Read(usize),
    Copy,
}

const OUTS: [Out; 10] = [
    Out::Drain(Sort::File),
    Out::Drain(Sort::Memory),
    Out::Drain(Sort::Pipe),
    Out::Drain(Sort::Tcp),
    Out::Drain(Sort::Unix),
    Out::Plain,
    Out::Read(1_000_000),
    Out::Read(4097),
    Out::Read(100),
    Out::Copy,
];

/// Drains it; `None` where the environment denies every route.
fn drain<M: fdflow::Sink>(teed: &mut Teed<M>, out: Out) -> Option<Vec<u8>> {
    match out {
        Out::Drain(sort) => {
            let sink = catch(sort);
            let report = moved(teed.drain_to(&sink.fd));
            let bytes = sink.bytes();
            report.map(|report| {
                assert_eq!(report.bytes(), bytes.len() as u64);
                bytes
            })
        }
        Out::Plain => {
            let mut sink = Plain(Vec::new());
            moved(teed.drain_to(&mut sink)).map(|_| sink.0)
        }
        Out::Copy => {
            let mut sink = Plain(Vec::new());
            moved(fdflow::copy(teed, &mut sink)).map(|_| sink.0)
        }
        Out::Read(size) => {
            let (mut bytes, mut block) = (Vec::new(), vec![0; size]);
            loop {
                match Read::read(teed, &mut block) {
                    Ok(0) => return Some(bytes),
                    Ok(n) => bytes.extend_from_slice(&block[..n]),
                    Err(error) if error.kind() == ErrorKind::Unsupported => return None,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn h03_whichever_way_it_is_drained_the_mirror_gets_every_byte_once() {
    let _scene = enter();
    let bytes = pattern(300_007, 1);
    for out in OUTS {
        for mirror in Sort::ALL {
            for capacity in [4096, 64 << 10, 1 << 20] {
                let sink = catch(mirror);
                let mut teed = filled(&bytes, capacity).tee(&sink.fd);
                let drained = drain(&mut teed, out);
                let (mirrored, refused) = (teed.mirrored(), teed.refused());
                drop(teed);
                let mirror_got = sink.bytes();
                let Some(drained) = drained else { continue };
                let case = format!("{out:?}, {mirror:?}, {capacity}");
                assert!(drained == bytes, "{case}: {} drained", drained.len());
                assert!(mirror_got == bytes, "{case}: {} mirrored", mirror_got.len());
                assert_eq!((mirrored, refused.is_none()), (bytes.len() as u64, tees()), "{case}");
            }
        }
    }
}

#[test]
fn h03_a_writer_without_a_descriptor_is_a_mirror_too() {
    let _scene = enter();
    let bytes = pattern(200_000, 2);
    for out in OUTS {
        let mut copy = Plain(Vec::new());
        let mut teed = filled(&bytes, 64 << 10).tee(&mut copy);
        let drained = drain(&mut teed, out);
        drop(teed);
        if let Some(drained) = drained {
            assert!(drained == bytes && copy.0 == bytes, "{out:?}");
        }
    }
}

#[test]
fn h03_drained_in_every_way_in_turn_with_limits_the_mirror_gets_each_byte_once() {
    let _scene = enter();
    let bytes = pattern(100_000, 3);
    for mirror in Sort::ALL {
        let (sink, out) = (catch(mirror), catch(Sort::Tcp));
        let mut file = tempfile::tempfile().unwrap();
        let mut teed = filled(&bytes, 8192).tee(&sink.fd);
        let mut turns = || {
            let mut head = vec![0; 777];
            Read::read_exact(&mut teed, &mut head).ok()?;
            assert_eq!(moved(teed.drain_up_to(10_001, &out.fd))?.bytes(), 10_001);
            assert_eq!(teed.mirrored(), 10_778);
            assert_eq!(moved(teed.drain_up_to(0, &out.fd))?.bytes(), 0);
            let mut more = vec![0; 5000];
            Read::read_exact(&mut teed, &mut more).ok()?;
            assert_eq!(moved(teed.drain_up_to(4096, &file))?.bytes(), 4096);
            assert_eq!(teed.mirrored(), 19_874);
            let rest = drain(&mut teed, Out::Plain)?;
            Some((head, more, rest))
        };
        let got = turns();
        drop(teed);
        let (mirrored, out) = (sink.bytes(), out.bytes());
        let Some((head, more, rest)) = got else { continue };
        let mut filed = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut filed).unwrap();
        assert!([head, out, more, filed, rest].concat() == bytes, "{mirror:?}");
        assert!(mirrored == bytes, "{mirror:?}");
    }
}

#[test]
fn chains_of_one_to_ten_mirrors_carry_every_byte() {
    let _scene = enter();
    let bytes = pattern(400_000, 4);
    for length in 1..=10 {
        for capacity in [4096, 64 << 10] {
            let mut reader = filled(&bytes, capacity);
            let drained = scope(|scope| {
                let mut links = Vec::new();
                for link in 0..length {
                    let (next, mirror) = Pipe::with_capacity(capacity).unwrap().split();
                    let mut teed = std::mem::replace(&mut reader, next).tee(mirror);
                    // Not to a `Plain`: where it is refused, the links before it are too.
                    let out = OUTS[link % 5];
                    links.push(scope.spawn(move || drain(&mut teed, out)));
                }
                let last = reading(reader).join().unwrap();
                let links = links.into_iter().map(|link| link.join().unwrap());
                links.chain([Some(last)]).collect::<Vec<_>>()
            });
            if drained.iter().all(Option::is_some) {
                for (at, got) in drained.into_iter().flatten().enumerate() {
                    assert!(got == bytes, "link {at} of {length}: {} bytes", got.len());
                }
            } else {
                assert!(denied().contains(Route::ReadWrite));
            }
        }
    }
}

#[test]
fn it_is_filled_before_the_mirror_is_there_and_after() {
    let _scene = enter();
    let (reader, mut writer) = Pipe::new().unwrap().split();
    writer.write_all(b"before").unwrap();
    let (mut copies, mirror) = Pipe::new().unwrap().split();
    let mut teed = reader.tee(mirror);
    writer.write_all(b" and after").unwrap();
    drop(writer);
    let Some(drained) = drain(&mut teed, Out::Drain(Sort::Tcp)) else { return };
    drop(teed);
    let mut copy = Vec::new();
    copies.read_to_end(&mut copy).unwrap();
    assert_eq!((&drained[..], &copy[..]), (&b"before and after"[..], &b"before and after"[..]));
}

#[test]
fn a_mirror_that_is_full_holds_the_drain_back_and_lets_it_go_on() {
    let _scene = enter();
    let bytes = pattern(250_000, 5);
    for sort in [Sort::Pipe, Sort::Tcp, Sort::Unix] {
        for nonblocking_mirror in [false, true] {
            let (from, to) = stream(sort);
            let stuffing = stuff(&to);
            nonblocking(&to, nonblocking_mirror);
            let mut teed = filled(&bytes, 4096).tee(to);
            let out = catch(Sort::File);
            let mut written = File::from(out.fd.try_clone().unwrap());
            let (said, tid) = channel();
            let draining = {
                let fd = out.fd.try_clone().unwrap();
                spawn(move || {
                    said.send(gettid()).unwrap();
                    moved(teed.drain_to(&fd)).is_some()
                })
            };
            let tid = tid.recv().unwrap();
            watch::until("the drain sleeps", || {
                draining.is_finished() || watch::is_in(tid, &watch::WAITS)
            });
            // Nobody gets what the mirror has not taken.
            assert!(written.stream_position().unwrap() < bytes.len() as u64);
            let copy = reading(File::from(from)).join().unwrap();
            if draining.join().unwrap() {
                let got = out.bytes();
                assert!(got == bytes && copy == [&stuffing[..], &bytes[..]].concat(), "{sort:?}");
            }
        }
    }
}

#[test]
fn h42_a_kernel_without_tee_copies_and_says_so() {
    let _scene = enter();
    let bytes = pattern(200_000, 10);
    for errno in [libc::ENOSYS, libc::EPERM, libc::EINVAL] {
        for sort in Sort::ALL {
            let (sink, reader) = (catch(sort), filled(&bytes, 8192));
            let (drained, refused) = confine::on_a_thread(|| {
                confine::refuse(&[libc::SYS_tee], errno);
                let mut teed = reader.tee(&sink.fd);
                (drain(&mut teed, Out::Drain(Sort::Tcp)), teed.refused())
            });
            let copy = sink.bytes();
            let Some(drained) = drained else { continue };
            assert!(drained == bytes && copy == bytes, "{sort:?} {errno}");
            let expected = if tees() { Some(Errno::from_raw_os_error(errno)) } else { None };
            let said = refused.unwrap().reason.errno();
            assert!(PORTABLE || said == expected, "{sort:?} {errno} {said:?}");
        }
    }
}

#[test]
fn what_a_mirror_has_buffered_goes_first() {
    let _scene = enter();
    let (mut copies, mirror) = Pipe::new().unwrap().split();
    let mut mirror = io::BufWriter::new(io::PipeWriter::from(mirror));
    mirror.write_all(b"head ").unwrap();
    let mut teed = filled(b"body", 4096).tee(mirror);
    let Some(drained) = drain(&mut teed, Out::Read(100)) else { return };
    drop(teed);
    let mut copy = Vec::new();
    copies.read_to_end(&mut copy).unwrap();
    assert_eq!((&drained[..], &copy[..]), (&b"body"[..], &b"head body"[..]));
}

#[test]
fn flags_of_the_mirror_stay() {
    let _scene = enter();
    let file = file_of(b"");
    let mirror: OwnedFd = file.into();
    let before = rustix::fs::fcntl_getfl(mirror.as_fd()).unwrap();
    let mut teed = filled(b"bytes", 4096).tee(&mirror);
    let _drained = drain(&mut teed, Out::Plain);
    assert_eq!(rustix::fs::fcntl_getfl(mirror.as_fd()).unwrap(), before);
}
