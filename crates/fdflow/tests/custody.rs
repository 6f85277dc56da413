//! After an error, a reset or a stop midway every byte is in the sink, in the source, or handed
//! out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use fdflow::{Errno, Operation, Plain, Route, Routes, Side, Source, Step, Transfer};
use rustix::event::{PollFd, PollFlags};

use support::rig::{self, Sort, catch, feed, nonblocking};
use support::{PORTABLE, Room, confine, pattern, reading};

const LENGTH: usize = 1_500_000;

/// The kernel alone, user space alone, and whichever pays.
fn route_sets() -> Vec<Routes> {
    let splice = (!PORTABLE).then_some(Routes::only(Route::Splice));
    [Routes::all(), Routes::only(Route::ReadWrite)].into_iter().chain(splice).collect()
}

/// Steps until the sink is full.
fn fill<S: Source, D: fdflow::Sink>(transfer: &mut Transfer<S, D>) {
    loop {
        match transfer.step().unwrap() {
            Step::Wait(Side::Sink) => break,
            Step::Finished => panic!("the sink was never full"),
            _ => {}
        }
    }
}

#[test]
fn h07_bytes_staged_when_the_sink_breaks_can_be_read_and_the_rest_is_in_the_source() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 7);
    for routes in route_sets() {
        let source = feed(Sort::Tcp, &bytes);
        let (receiver, sink) = rig::stream(Sort::Unix);
        nonblocking(&sink, true);
        let mut transfer = Transfer::new(source.fd.as_fd(), sink).routes(routes);
        fill(&mut transfer);
        let staged = transfer.ledger().staged();
        drop(receiver);
        let error = transfer.run().unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::BrokenPipe, Some(Side::Sink)));
        assert_eq!((error.staged(), staged > 0), (staged, true));
        let given = usize::try_from(error.report().bytes()).unwrap();
        let parts = transfer.into_parts();
        assert_eq!((parts.report.bytes(), parts.undelivered.len() as u64), (given as u64, staged));
        let left = [parts.undelivered, source.rest()].concat();
        assert!(left == bytes[given..], "{given} given, {staged} staged, {} left", left.len());
    }
}

#[test]
fn h07_copy_hands_out_in_its_error_what_the_sink_did_not_take() {
    let _room = Room::enter();
    let bytes = pattern(100_000, 7);
    for from in [Sort::Tcp, Sort::Unix, Sort::Pipe, Sort::File] {
        for to in [Sort::Unix, Sort::Pipe] {
            let mut source = feed(from, &bytes);
            let (receiver, mut sink) = rig::stream(to);
            drop(receiver);
            let error = fdflow::copy(&mut source.fd, &mut sink).unwrap_err();
            if error.kind() == ErrorKind::Unsupported && !support::denied().is_empty() {
                source.rest();
                continue;
            }
            assert_eq!((error.kind(), error.report().bytes()), (ErrorKind::BrokenPipe, 0));
            assert_eq!(error.staged(), error.undelivered().len() as u64);
            let left = [error.into_undelivered(), source.rest()].concat();
            assert!(left == bytes, "{from:?} -> {to:?}: {} left", left.len());
        }
    }
}

#[test]
fn h07_a_full_device_is_an_error_of_the_sink_and_loses_nothing() {
    let _room = Room::enter();
    let bytes = pattern(100_000, 7);
    for from in Sort::ALL {
        let source = feed(from, &bytes);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut transfer = Transfer::new(source.fd.as_fd(), full).routes(Routes::all());
        let error = transfer.run().unwrap_err();
        let told = (error.cause().raw_os_error(), error.side(), error.operation());
        let errno = Some(Errno::NOSPC.raw_os_error());
        assert_eq!(told, (errno, Some(Side::Sink), Operation::Write));
        let undelivered = transfer.into_parts().undelivered;
        assert!([undelivered, source.rest()].concat() == bytes, "{from:?}");
    }
}

/// The buffer's bytes come before those of a pipe that was left behind it.
#[test]
fn h07_a_left_pipe_and_the_buffer_are_handed_out_in_order() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 77);
    let source = feed(Sort::File, &bytes);
    let (receiver, sink) = rig::stream(Sort::Unix);
    nonblocking(&sink, true);
    let routes = Routes::all().without(Route::Sendfile);
    let mut transfer = Transfer::new(source.fd.as_fd(), sink).routes(routes);
    let parts = confine::on_a_thread(|| {
        fill(&mut transfer);
        confine::refuse(&confine::MOVERS, libc::EINVAL);
        nonblocking(&receiver, true);
        let mut arrived = [0; 5000];
        File::from(receiver.try_clone().unwrap()).read_exact(&mut arrived).unwrap();
        fill(&mut transfer);
        transfer.into_parts()
    });
    let given = usize::try_from(parts.report.bytes()).unwrap();
    assert!(
        given > 0 && (parts.undelivered.len() > 300_000 || PORTABLE),
        "{}",
        parts.undelivered.len()
    );
    let left = [parts.undelivered, source.rest()].concat();
    assert!(left == bytes[given..]);
}

/// Takes a little at a time and fails again and again.
struct Fickle {
    taken: Vec<u8>,
    calls: u32,
}

impl Write for Fickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        match self.calls % 4 {
            1 => Err(ErrorKind::Interrupted.into()),
            2 => Err(ErrorKind::OutOfMemory.into()),
            _ => {
                let n = bytes.len().min(40_001);
                self.taken.extend_from_slice(&bytes[..n]);
                Ok(n)
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn h07_run_again_goes_on_where_the_error_was() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 71);
    for from in Sort::ALL {
        let source = feed(from, &bytes);
        let mut sink = Plain(Fickle { taken: Vec::new(), calls: 0 });
        let transfer = Transfer::new(source.fd.as_fd(), &mut sink);
        let mut transfer = transfer.routes(Routes::only(Route::ReadWrite));
        let mut failures = 0;
        let report = loop {
            match transfer.run() {
                Ok(report) => break report,
                Err(error) => {
                    assert_eq!(
                        (error.kind(), error.side()),
                        (ErrorKind::OutOfMemory, Some(Side::Sink))
                    );
                    failures += 1;
                }
            }
        };
        drop(transfer);
        assert!(failures > 5 && report.bytes() == LENGTH as u64 && sink.0.taken == bytes);
        source.rest();
    }
}

#[test]
fn h07_a_sink_that_was_full_gets_the_rest_by_another_run() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 72);
    for routes in route_sets() {
        let source = feed(Sort::Tcp, &bytes);
        let (receiver, sink) = rig::stream(Sort::Unix);
        nonblocking(&sink, true);
        let mut transfer = Transfer::new(source.fd.as_fd(), sink).routes(routes);
        fill(&mut transfer);
        let reader = reading(File::from(receiver));
        assert_eq!(transfer.run().unwrap().bytes(), LENGTH as u64);
        assert_eq!(transfer.run().unwrap().bytes(), LENGTH as u64, "there is nothing more");
        drop(transfer);
        assert!(reader.join().unwrap() == bytes && source.rest().is_empty());
    }
}

#[test]
fn h07_bytes_read_ahead_are_handed_out_too() {
    let _room = Room::enter();
    let bytes = pattern(60_000, 73);
    let feed = feed(Sort::Pipe, &bytes);
    let mut source = BufReader::with_capacity(5000, feed.fd.try_clone().map(File::from).unwrap());
    source.read_exact(&mut [0; 10]).unwrap();
    let (receiver, sink) = rig::stream(Sort::Unix);
    drop(receiver);
    let mut transfer = Transfer::new(source, sink).routes(Routes::all());
    transfer.run().unwrap_err();
    let parts = transfer.into_parts();
    let left = [parts.undelivered, parts.source.buffer().to_vec(), feed.rest()].concat();
    assert!(left == bytes[10..], "{} of 59990 left", left.len());
}

/// Resets the connection, and waits until the other end knows.
fn reset(client: TcpStream, server: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
    let mut fds = [PollFd::new(server, PollFlags::empty())];
    rustix::event::poll(&mut fds, None).unwrap();
    assert!(fds[0].revents().contains(PollFlags::ERR));
}

/// A connection over which `bytes` came, and then a reset.
fn reset_after(bytes: &[u8]) -> TcpStream {
    let (mut client, server) = support::tcp();
    client.write_all(bytes).unwrap();
    reset(client, &server);
    server
}

#[test]
fn h18_a_reset_is_an_error_of_the_source_and_never_an_end() {
    let _room = Room::enter();
    for routes in route_sets() {
        for to in Sort::ALL {
            let (source, sink) = (reset_after(&[]), catch(to));
            let result = Transfer::new(&source, sink.fd.as_fd()).routes(routes).run();
            let error = result.expect_err("a reset, and it says that all is well");
            let told = (error.kind(), error.side(), error.report().bytes());
            assert_eq!(told, (ErrorKind::ConnectionReset, Some(Side::Source), 0), "to {to:?}");
            assert!(sink.bytes().is_empty());
        }
    }
}

#[test]
fn h06_what_came_before_a_reset_is_given_first() {
    let _room = Room::enter();
    let bytes = pattern(40_000, 6);
    for routes in route_sets() {
        for to in Sort::ALL {
            let (source, sink) = (reset_after(&bytes), catch(to));
            let result = Transfer::new(&source, sink.fd.as_fd()).routes(routes).run();
            let error = result.expect_err("a reset, and it says that all is well");
            assert_eq!(
                (error.kind(), error.side()),
                (ErrorKind::ConnectionReset, Some(Side::Source))
            );
            assert_eq!((error.staged(), error.report().bytes()), (0, 40_000), "to {to:?}");
            assert!(sink.bytes() == bytes, "to {to:?}");
        }
    }
}

/// The reset comes while bytes are staged because the sink is full.
#[test]
fn h06_staged_bytes_are_given_although_the_source_has_been_reset() {
    let _room = Room::enter();
    let bytes = pattern(60_000, 66);
    for routes in route_sets() {
        let (mut client, source) = support::tcp();
        client.write_all(&bytes).unwrap();
        let (receiver, sink) = rig::stream(Sort::Unix);
        nonblocking(&sink, true);
        let stuffing = rig::stuff(&sink).len();
        let mut transfer = Transfer::new(&source, sink).routes(routes);
        fill(&mut transfer);
        assert!(transfer.ledger().staged() > 0);
        reset(client, &source);
        let reader = reading(File::from(receiver));
        let error = transfer.run().unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::ConnectionReset, Some(Side::Source)));
        assert_eq!((error.staged(), error.report().bytes()), (0, 60_000));
        drop(transfer);
        assert!(reader.join().unwrap()[stuffing..] == bytes);
    }
}
