//! Streams of every sort, blocking and not, in pieces of every size.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread::scope;
use std::time::Duration;

use fdflow::{Route, Routes, Side, Step, Transfer};
use rustix::event::{PollFd, PollFlags, Timespec};

use support::rig::{self, Sort, catch, feed, feed_in_pieces, nonblocking};
use support::{PORTABLE, Room, moved, pattern, watch};

const STREAMS: [Sort; 4] = [Sort::Pipe, Sort::Tcp, Sort::Tcp6, Sort::Unix];

/// What the environment leaves, everything, the kernel alone, user space alone.
fn route_sets() -> Vec<Option<Routes>> {
    let splice = (!PORTABLE).then_some(Some(Routes::only(Route::Splice)));
    let sets = [None, Some(Routes::all()), Some(Routes::only(Route::ReadWrite))];
    sets.into_iter().chain(splice).collect()
}

fn by<S: fdflow::Source, D: fdflow::Sink>(
    transfer: Transfer<S, D>,
    routes: Option<Routes>,
) -> Transfer<S, D> {
    match routes {
        Some(routes) => transfer.routes(routes),
        None => transfer,
    }
}

fn pairs() -> impl Iterator<Item = (Sort, Sort)> {
    Sort::ALL.into_iter().flat_map(|from| Sort::ALL.map(|to| (from, to)))
}

#[test]
fn h02_every_pair_is_copied_to_its_end_blocking_or_not_and_flags_stay() {
    let _room = Room::enter();
    let bytes = pattern(700_001, 2);
    let cases = [false, true].map(|a| [false, true].map(|b| [(a, b, false), (a, b, true)]));
    for (from, to) in pairs() {
        for routes in route_sets() {
            for (nonblocking_source, nonblocking_sink, handle) in
                cases.as_flattened().as_flattened()
            {
                let (source, sink) = (feed(from, &bytes), catch(to));
                nonblocking(&source.fd, *nonblocking_source);
                nonblocking(&sink.fd, *nonblocking_sink);
                let before = [flags_of(&source.fd), flags_of(&sink.fd)];
                let mut transfer = by(Transfer::new(&source.fd, &sink.fd), routes);
                let handle = handle.then(|| transfer.cancel_handle().unwrap());
                let report = moved(transfer.run());
                assert_eq!([flags_of(&source.fd), flags_of(&sink.fd)], before);
                let case = format!("{from:?} -> {to:?} {before:?} {routes:?} {handle:?}");
                let (rest, arrived) = (source.rest(), sink.bytes());
                if let Some(report) = report {
                    assert!(rest.is_empty() && arrived == bytes, "{case}");
                    assert_eq!(report.bytes(), 700_001, "{case}");
                }
            }
        }
    }
}

fn flags_of(fd: impl AsFd) -> rustix::fs::OFlags {
    rustix::fs::fcntl_getfl(fd).unwrap()
}

#[test]
fn h04_a_limit_is_kept_to_the_byte_and_the_rest_stays_in_the_source() {
    let _room = Room::enter();
    let bytes = pattern(400_000, 4);
    for (from, to) in pairs() {
        for routes in route_sets() {
            for limit in [0, 1, 4096, 65_537, 300_001, 400_000, 400_001] {
                let (source, sink) = (feed(from, &bytes), catch(to));
                let transfer = Transfer::new(&source.fd, &sink.fd).limit(limit);
                let report = moved(by(transfer, routes).run());
                let (rest, arrived) = (source.rest(), sink.bytes());
                if let Some(report) = report {
                    let cut = usize::try_from(limit).unwrap().min(bytes.len());
                    let case = format!("{from:?} -> {to:?}, {limit}, {routes:?}: {report}");
                    assert!(arrived == bytes[..cut], "{case}, but {} arrived", arrived.len());
                    assert!(rest == bytes[cut..], "{case}, but {} left", rest.len());
                    assert_eq!(report.bytes(), cut as u64, "{case}");
                }
            }
        }
    }
}

#[test]
fn dribbles_and_bursts_arrive_in_order_on_every_pair_of_streams() {
    let _room = Room::enter();
    let bytes = pattern(1_500_000, 20);
    let sizes = [1, 7, 90_000, 100_000, 130_000, 3, 2, 1, 1400, 5, 4, 3, 2, 1, 1, 70_000, 9];
    for from in STREAMS {
        for to in STREAMS {
            for routes in route_sets() {
                let (source, sink) = (feed_in_pieces(from, &bytes, &sizes), catch(to));
                nonblocking(&source.fd, true);
                let report = moved(by(Transfer::new(&source.fd, &sink.fd), routes).run());
                let (rest, arrived) = (source.rest(), sink.bytes());
                if let Some(report) = report {
                    assert!(rest.is_empty() && arrived == bytes, "{from:?} -> {to:?}: {report}");
                }
            }
        }
    }
}

/// Drives a transfer into a sink that is full, of a source that has ended, until it says that it
/// is finished; the receiver reads only when the sink is waited for.
fn finish_into_a_full_sink(routes: Routes, limit: Option<u64>) {
    let bytes = pattern(3_000_000, 5);
    let source = feed(Sort::Tcp, &bytes);
    let (receiver, sink) = rig::stream(Sort::Tcp);
    let stuffing = rig::stuff(&sink).len();
    nonblocking(&source.fd, true);
    nonblocking(&sink, true);
    nonblocking(&receiver, true);
    let mut transfer = Transfer::new(&source.fd, sink.as_fd()).routes(routes);
    if let Some(limit) = limit {
        transfer = transfer.limit(limit);
    }
    let mut arrived = Vec::new();
    let mut block = vec![0; 50_000];
    loop {
        match transfer.step().unwrap() {
            Step::Moved(_) => {}
            Step::Finished => break,
            Step::Wait(Side::Source) => watch::until_ready(&source.fd, PollFlags::IN),
            Step::Wait(Side::Sink) => {
                let n = rustix::io::read(&receiver, &mut block[..]).unwrap_or(0);
                arrived.extend_from_slice(&block[..n]);
            }
        }
    }
    assert_eq!((transfer.ledger().staged(), transfer.ledger().given()), (0, 3_000_000));
    drop(sink);
    nonblocking(&receiver, false);
    File::from(receiver).read_to_end(&mut arrived).unwrap();
    assert!(arrived[stuffing..] == bytes, "{} of 3000000 arrived", arrived.len() - stuffing);
    assert!(source.rest().is_empty());
}

#[test]
fn h05_finished_is_said_only_when_the_stage_is_empty() {
    let _room = Room::enter();
    for route in [Route::Splice, Route::ReadWrite] {
        if !(PORTABLE && route.in_kernel()) {
            finish_into_a_full_sink(Routes::only(route), None);
            finish_into_a_full_sink(Routes::only(route), Some(3_000_000));
        }
    }
    finish_into_a_full_sink(Routes::all(), None);
}

/// So many small messages that they fill a pipe's slots long before its bytes, in a source that
/// stays open until the last of them has arrived.
fn small_messages_arrive(to: Sort, routes: Option<Routes>, flags: bool) {
    let bytes = pattern(30_000, 20);
    let (source, mut writer) = rig::stream(Sort::Unix);
    rustix::net::sockopt::set_socket_send_buffer_size(&writer, 4 << 20).unwrap();
    for piece in bytes.chunks(10) {
        writer.write_all(piece).unwrap();
    }
    let (receiver, sink) = rig::stream(to);
    nonblocking(&source, flags);
    nonblocking(&sink, flags);
    let (report, arrived) = scope(|scope| {
        let arrived = scope.spawn(move || {
            let mut arrived = vec![0; 30_000];
            let mut receiver = File::from(receiver);
            let all = receiver.read_exact(&mut arrived);
            drop(writer);
            // Open until the transfer has seen the end of its source.
            all.map(|()| (arrived, receiver))
        });
        let report = moved(by(Transfer::new(&source, &sink), routes).run());
        drop(sink);
        (report, arrived.join().unwrap())
    });
    if report.is_some() {
        assert!(arrived.unwrap().0 == bytes, "into {to:?}");
    }
}

#[test]
fn h20_a_tail_in_small_pieces_does_not_wait_for_more() {
    let _room = Room::enter();
    for to in STREAMS {
        for routes in route_sets() {
            small_messages_arrive(to, routes, true);
        }
    }
}

#[test]
fn h25_blocking_ends_and_more_pieces_than_a_pipe_has_slots() {
    let _room = Room::enter();
    for to in STREAMS {
        for routes in route_sets() {
            small_messages_arrive(to, routes, false);
        }
    }
}

/// The kernel holds a pipe's lock while a splice waits for the pipe's other partner: its reader
/// and its writer then wait too, whatever is in it.
fn the_pipe_stays_usable(from: Sort, to: Sort) {
    let (mut source, mut writer) = rig::stream(from);
    let (receiver, mut sink) = rig::stream(to);
    let stuffed = if to == Sort::Pipe { 0 } else { rig::stuff(&sink).len() };
    writer.write_all(&[7; 1000]).unwrap();
    scope(|scope| {
        let (hello, told) = channel();
        let (source, sink) = (&mut source, &mut sink);
        let run = scope.spawn(move || {
            hello.send(rustix::thread::gettid()).unwrap();
            fdflow::copy(source, sink).unwrap().bytes()
        });
        let thread = told.recv().unwrap();
        watch::until("it sleeps", || watch::is_in(thread, &watch::WAITS));
        writer.write_all(&[7; 1000]).unwrap();
        let mut arrived = vec![0; stuffed + 2000];
        let mut receiver = File::from(receiver);
        receiver.read_exact(&mut arrived).unwrap();
        drop(writer);
        assert_eq!((run.join().unwrap(), &arrived[stuffed..]), (2000, &[7; 2000][..]));
    });
}

#[test]
fn h25_a_blocking_source_does_not_keep_the_reader_of_a_pipe_from_its_bytes() {
    let _room = Room::enter();
    for from in [Sort::Tcp, Sort::Unix] {
        the_pipe_stays_usable(from, Sort::Pipe);
    }
}

#[test]
fn h24_a_blocking_sink_does_not_keep_the_writer_of_a_pipe_from_its_room() {
    let _room = Room::enter();
    for to in [Sort::Tcp, Sort::Unix] {
        the_pipe_stays_usable(Sort::Pipe, to);
    }
}

fn is_ready(fd: impl AsFd, what: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut [PollFd::new(&fd, what)], Some(&now)).unwrap() > 0
}

/// Steps until the transfer waits for an end that is not ready, and checks that it is this one.
fn step_waits_for(side: Side, source: &OwnedFd, sink: &File, routes: Routes) {
    nonblocking(source, true);
    nonblocking(sink, true);
    let mut transfer = Transfer::new(source, sink).routes(routes);
    // A full socket may find room after all.
    for _ in 0..1000 {
        let named = match transfer.step().unwrap() {
            Step::Finished => panic!("it cannot have finished: {}", transfer.report()),
            Step::Moved(_) => continue,
            Step::Wait(named) => named,
        };
        let ready = match named {
            Side::Source => is_ready(source, PollFlags::IN),
            Side::Sink => is_ready(sink, PollFlags::OUT),
        };
        if !ready {
            return assert_eq!(named, side, "{routes:?}");
        }
    }
    panic!("it waits for ends that are ready");
}

/// Runs a transfer of blocking ends with a timeout, which says whom it waited for.
fn run_waits_for(side: Side, source: &OwnedFd, sink: &File, routes: Routes) {
    nonblocking(source, false);
    nonblocking(sink, false);
    let transfer = Transfer::new(source, sink).routes(routes);
    let mut transfer = transfer.idle_timeout(Duration::from_millis(10));
    let error = transfer.run().unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::TimedOut, Some(side)), "{error}");
}

#[test]
fn h21_the_end_that_is_waited_for_is_the_one_that_is_not_ready() {
    let _room = Room::enter();
    for (from, to) in STREAMS.into_iter().flat_map(|from| STREAMS.map(|to| (from, to))) {
        for routes in route_sets().into_iter().flatten() {
            for waits_for in [step_waits_for, run_waits_for] {
                let (source, writer) = rig::stream(from);
                let (receiver, sink) = rig::stream(to);
                waits_for(Side::Source, &source, &sink, routes);
                rig::stuff(&writer);
                rig::stuff(&sink);
                waits_for(Side::Sink, &source, &sink, routes);
                drop(receiver);
            }
        }
    }
}

/// Runs a transfer into a full sink and compares the processor time that it uses while it is
/// blocked to the time that passes; then reads the sink empty.
fn sleeps_while_blocked(receiver: OwnedFd, sink: &File) {
    let mut receiver = File::from(receiver);
    let bytes = pattern(20_000, 21);
    let mut source = feed(Sort::Tcp, &bytes);
    nonblocking(sink, true);
    let stuffing = rig::stuff(sink).len();
    scope(|scope| {
        let (hello, told) = channel();
        let fd = &mut source.fd;
        let run = scope.spawn(move || {
            hello.send(rustix::thread::gettid()).unwrap();
            moved(Transfer::new(fd, sink).run());
            watch::cpu_time()
        });
        let thread = told.recv().unwrap();
        watch::until("it polls or is done", || {
            run.is_finished() || watch::is_in(thread, &watch::POLLS)
        });
        // How long is of no importance: it is the time that is compared to.
        let window = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
        rustix::event::poll(&mut [], Some(&window)).unwrap();
        if !run.is_finished() {
            let mut arrived = vec![0; stuffing + bytes.len()];
            receiver.read_exact(&mut arrived).unwrap();
            assert!(arrived[stuffing..] == bytes);
        }
        let used = run.join().unwrap();
        assert!(used < Duration::from_millis(100), "{used:?} of 300 ms on the processor");
    });
    source.rest();
}

#[test]
fn h21_a_full_pipe_or_terminal_is_waited_for_without_spinning() {
    let _room = Room::enter();
    let (receiver, sink) = rig::stream(Sort::Pipe);
    sleeps_while_blocked(receiver, &sink);
    let (screen, tty) = rig::terminal();
    sleeps_while_blocked(screen, &tty);
}

#[test]
fn h23_no_byte_is_held_back_for_more_at_the_end() {
    let _room = Room::enter();
    for from in [Sort::File, Sort::Memory, Sort::Pipe, Sort::Tcp, Sort::Unix] {
        for routes in route_sets() {
            let bytes = pattern(50_021, 23);
            let source = feed(from, &bytes);
            let (receiver, sink) = rig::stream(Sort::Tcp);
            let report = moved(by(Transfer::new(&source.fd, &sink).chunk(20_000), routes).run());
            source.rest();
            if let Some(report) = report {
                assert_eq!(not_sent(&sink), 0, "{from:?}: {report}");
                let mut arrived = vec![0; 50_021];
                File::from(receiver).read_exact(&mut arrived).unwrap();
                assert!(arrived == bytes);
            }
        }
    }
}

/// Bytes in a TCP socket that were not put on the wire (`SIOCOUTQNSD`).
#[allow(unsafe_code, reason = "rustix does not have this request")]
fn not_sent(fd: impl AsFd) -> libc::c_int {
    use std::os::fd::AsRawFd;
    const SIOCOUTQNSD: libc::c_ulong = 0x894b;
    let mut bytes: libc::c_int = -1;
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the request writes one int.
    let answer = unsafe { libc::ioctl(fd, SIOCOUTQNSD, &raw mut bytes) };
    assert_eq!(answer, 0);
    bytes
}
