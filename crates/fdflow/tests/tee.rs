//! Mirrored pipes: whichever way the bytes leave, the mirror gets every one of them once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, scope, spawn};

use fdflow::{Operation, Pipe, Plain, ReadEnd, Route, Teed};
use rustix::io::Errno;
use rustix::thread::gettid;
use support::rig::{Sort, catch, nonblocking, stream, stuff};
use support::{PORTABLE, Room, confine, denied, file_of, moved, pattern, reading, watch};

/// Whether the environment leaves `tee` and a way from a pipe to anywhere.
fn tees() -> bool {
    !PORTABLE && !denied().contains(Route::Splice)
}

/// A pipe that is being filled with `bytes`.
fn filled(bytes: &[u8], capacity: usize) -> ReadEnd {
    let (reader, writer) = Pipe::with_capacity(capacity).unwrap().split();
    let bytes = bytes.to_vec();
    let mut writer = io::PipeWriter::from(writer);
    // Nobody may want all of them.
    let filling = spawn(move || drop(writer.write_all(&bytes)));
    FILLING.with_borrow_mut(|threads| threads.push(filling));
    reader
}

thread_local! {
    static FILLING: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

/// A room that is left when the pipes made in it are filled or closed.
struct Scene {
    _room: Room,
}

fn enter() -> Scene {
    Scene { _room: Room::enter() }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let threads = FILLING.take();
        if !std::thread::panicking() {
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    }
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
