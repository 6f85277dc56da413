//! Routes that the kernel refuses: at once, late, with every answer it may give.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::ffi::c_long;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;

use fdflow::{
    Errno, Operation, Reason, Refusal, Report, Route, Routes, Side, Sink, Source, Step, Transfer,
};
use rustix::event::PollFlags;

use support::confine::{self, MOVERS};
use support::rig::{self, Catch, Feed, Sort, catch, feed, nonblocking};
use support::{PORTABLE, Room, moved, pattern, skipped, watch};

const LENGTH: u64 = 900_001;

fn bytes() -> Vec<u8> {
    pattern(900_001, 1)
}

fn refused(report: &Report, route: Route, operation: Operation, errno: Errno) -> bool {
    let expected = Reason::Errno { operation, errno };
    PORTABLE
        || report
            .refused()
            .iter()
            .any(|Refusal { route: left, reason, .. }| (*left, *reason) == (route, expected))
}

fn legs(report: &Report) -> Vec<Route> {
    report.legs().iter().map(|leg| leg.route).collect()
}

/// Steps, waiting where told to, until the sink has some bytes.
fn begin<F: AsFd + Source + Sink>(transfer: &mut Transfer<F, F>, source: &F, sink: &F) {
    while transfer.report().bytes() == 0 {
        match transfer.step().unwrap() {
            Step::Finished => panic!("finished without a byte"),
            Step::Moved(_) => {}
            Step::Wait(Side::Source) => watch::until_ready(source, PollFlags::IN),
            Step::Wait(Side::Sink) => watch::until_ready(sink, PollFlags::OUT),
        }
    }
}

/// Everything has arrived, once, and the numbers agree (H10).
fn is_whole(source: Feed, sink: Catch, report: &Report) {
    assert_eq!(report.bytes(), LENGTH, "{report}");
    assert_eq!(report.legs().iter().map(|leg| leg.bytes).sum::<u64>(), LENGTH, "{report}");
    assert!(source.rest().is_empty());
    assert!(sink.bytes() == bytes(), "{report}");
}

#[test]
fn h01_what_was_drained_into_a_pipe_reaches_a_sink_that_takes_no_splice() {
    let _room = Room::enter();
    for from in [Sort::Tcp, Sort::Unix] {
        let (source, sink) = (feed(from, &bytes()), catch(Sort::File));
        rig::appending(&sink.fd);
        let transfer = Transfer::new(&source.fd, &sink.fd);
        let report = transfer.routes(Routes::all()).run().unwrap();
        assert!(refused(&report, Route::Splice, Operation::Splice, Errno::INVAL), "{report}");
        is_whole(source, sink, &report);
    }
}

#[test]
fn h01_a_pipe_that_was_drained_in_part_is_emptied_through_user_space() {
    let _room = Room::enter();
    let source = feed(Sort::File, &bytes());
    let (receiver, sink) = rig::stream(Sort::Unix);
    nonblocking(&sink, true);
    let routes = Routes::all().without(Route::Sendfile);
    let mut transfer = Transfer::new(&source.fd, sink).routes(routes);
    while !matches!(transfer.step().unwrap(), Step::Wait(_)) {}
    let ledger = transfer.ledger();
    assert!(ledger.given() > 0 && ledger.staged() > 0, "{ledger:?}");
    let reader = support::reading(File::from(receiver));
    let report = confine::on_a_thread(|| {
        confine::refuse(&MOVERS, libc::EINVAL);
        transfer.run().unwrap()
    });
    if !PORTABLE {
        assert_eq!(legs(&report), [Route::Splice, Route::ReadWrite]);
    }
    assert_eq!((report.bytes(), transfer.ledger().given()), (LENGTH, LENGTH));
    drop(transfer);
    assert!(reader.join().unwrap() == bytes());
}

#[test]
fn h40_a_sink_that_appends_is_written_to_from_every_source() {
    let _room = Room::enter();
    for from in Sort::ALL {
        for to in [Sort::File, Sort::Memory] {
            let (source, sink) = (feed(from, &bytes()), catch(to));
            rig::appending(&sink.fd);
            if let Some(report) = moved(Transfer::new(&source.fd, &sink.fd).run()) {
                is_whole(source, sink, &report);
            } else {
                source.rest();
            }
        }
    }
}

/// The sink starts to append once the first bytes are there: told to by another descriptor of the
/// same description, as by a parent or a child of the program.
#[test]
fn h40_h10_a_sink_that_starts_to_append_midway_gets_the_rest_and_the_legs_add_up() {
    let _room = Room::enter();
    for from in [Sort::File, Sort::Pipe, Sort::Tcp, Sort::Tcp6, Sort::Unix] {
        let (source, sink) = (feed(from, &bytes()), catch(Sort::File));
        let inherited = sink.fd.try_clone().unwrap();
        let transfer = Transfer::new(&source.fd, &sink.fd).routes(Routes::all()).chunk(50_000);
        let mut transfer = transfer.observe(move |_| rig::appending(&inherited));
        let report = transfer.run().unwrap();
        drop(transfer);
        if !PORTABLE {
            assert_eq!(legs(&report).last(), Some(&Route::ReadWrite), "{report}");
            assert_eq!(report.legs().len(), 2, "{report}");
        }
        is_whole(source, sink, &report);
    }
}

#[test]
fn h40_copy_file_range_into_an_appending_sink_is_refused_with_ebadf() {
    let _room = Room::enter();
    let (source, sink) = (feed(Sort::File, &bytes()), catch(Sort::File));
    rig::appending(&sink.fd);
    let report = Transfer::new(&source.fd, &sink.fd).routes(Routes::all()).run().unwrap();
    let (route, operation) = (Route::CopyFileRange, Operation::CopyFileRange);
    assert!(refused(&report, route, operation, Errno::BADF), "{report}");
    is_whole(source, sink, &report);
}

#[test]
fn h41_files_on_two_filesystems_are_copied_and_the_refusal_is_named() {
    let _room = Room::enter();
    for (from, to) in [(Sort::File, Sort::Memory), (Sort::Memory, Sort::File)] {
        let (source, sink) = (feed(from, &bytes()), catch(to));
        let report = Transfer::new(&source.fd, &sink.fd).routes(Routes::all()).run().unwrap();
        let refusals = report.refused().iter();
        let mut errnos = refusals.filter(|left| left.route == Route::CopyFileRange);
        let errno = errnos.next().and_then(|left| left.reason.errno());
        // From 5.3 to 5.18 it crossed filesystems: then nothing is refused.
        assert!(
            report.bytes_by(Route::CopyFileRange) > 0
                || PORTABLE
                || matches!(errno, Some(Errno::XDEV | Errno::OPNOTSUPP)),
            "{report}"
        );
        is_whole(source, sink, &report);
    }
}

/// Copies where these calls answer `errno`, from the first one or from the second step on.
fn copy_refused(from: Sort, to: Sort, calls: &[c_long], errno: i32, late: bool) -> (Report, bool) {
    let (source, sink) = (feed(from, &bytes()), catch(to));
    let report = confine::on_a_thread(|| {
        let mut transfer = Transfer::new(&source.fd, &sink.fd).routes(Routes::all()).chunk(50_000);
        if late {
            begin(&mut transfer, &&source.fd, &&sink.fd);
        }
        confine::refuse(calls, errno);
        transfer.run().unwrap()
    });
    let whole = source.rest().is_empty() && sink.bytes() == bytes();
    let whole = whole && report.bytes() == LENGTH;
    (report, whole)
}

#[test]
fn h42_calls_that_a_sandbox_forbids_are_left_and_named() {
    let _room = Room::enter();
    for errno in [Errno::NOSYS, Errno::PERM] {
        for (from, to, route, operation) in [
            (Sort::File, Sort::Tcp, Route::Sendfile, Operation::Sendfile),
            (Sort::File, Sort::Tcp, Route::Splice, Operation::Splice),
            (Sort::File, Sort::File, Route::CopyFileRange, Operation::CopyFileRange),
            (Sort::File, Sort::File, Route::Reflink, Operation::Reflink),
            (Sort::Pipe, Sort::Unix, Route::Splice, Operation::Splice),
            (Sort::Tcp, Sort::File, Route::Splice, Operation::Splice),
        ] {
            let (report, whole) = copy_refused(from, to, &MOVERS, errno.raw_os_error(), false);
            assert!(whole && refused(&report, route, operation, errno), "{report}");
            assert_eq!(report.bytes_by(Route::ReadWrite), LENGTH, "{report}");
        }
    }
}

#[test]
fn h42_h08_one_forbidden_call_leaves_the_next_best_route_where_it_stopped() {
    let _room = Room::enter();
    if PORTABLE {
        return skipped("h42_h08", "no kernel routes in this build");
    }
    let call = [libc::SYS_sendfile];
    let (report, whole) = copy_refused(Sort::File, Sort::Tcp, &call, libc::ENOSYS, true);
    assert!(whole && legs(&report) == [Route::Sendfile, Route::Splice], "{report}");
    let call = [libc::SYS_splice];
    let (report, whole) = copy_refused(Sort::Pipe, Sort::Tcp, &call, libc::EPERM, true);
    assert!(whole && legs(&report) == [Route::Splice, Route::ReadWrite], "{report}");
    let call = [libc::SYS_copy_file_range];
    let (report, whole) = copy_refused(Sort::File, Sort::File, &call, libc::EPERM, true);
    assert!(whole && legs(&report) == [Route::CopyFileRange, Route::Splice], "{report}");
}

/// The fallback begins where the refused route stopped, with offsets of the caller's too.
#[test]
fn h08_a_late_fallback_goes_on_at_the_ledgers_offsets() {
    let _room = Room::enter();
    let bytes = bytes();
    for explicit in [false, true] {
        let mut source = support::file_of(&bytes);
        let mut sink = support::file_of(&[b'-'; 500]);
        source.seek(SeekFrom::Start(100)).unwrap();
        sink.seek(SeekFrom::Start(30)).unwrap();
        let report = confine::on_a_thread(|| {
            let mut transfer = Transfer::new(&source, &sink).routes(Routes::all()).chunk(50_000);
            if explicit {
                transfer = transfer.source_offset(1000).sink_offset(500);
            }
            begin(&mut transfer, &&source, &&sink);
            confine::refuse(&MOVERS, libc::EOPNOTSUPP);
            transfer.run().unwrap()
        });
        let (from, to) = if explicit { (1000, 500) } else { (100, 30) };
        let positions = (source.stream_position().unwrap(), sink.stream_position().unwrap());
        let n = LENGTH - from as u64;
        let expected = if explicit { (100, 30) } else { (LENGTH, 30 + n) };
        assert_eq!((report.bytes(), positions), (n, expected));
        let mut written = Vec::new();
        sink.rewind().unwrap();
        sink.read_to_end(&mut written).unwrap();
        assert!(written[..to] == [b'-'; 500][..to] && written[to..] == bytes[from..]);
    }
}

const CALLS: [(c_long, Sort, Sort); 6] = [
    (libc::SYS_sendfile, Sort::File, Sort::Tcp),
    (libc::SYS_splice, Sort::Tcp, Sort::File),
    (libc::SYS_splice, Sort::File, Sort::Pipe),
    (libc::SYS_splice, Sort::Pipe, Sort::Unix),
    (libc::SYS_copy_file_range, Sort::File, Sort::File),
    (libc::SYS_ioctl, Sort::File, Sort::File),
];

/// Whatever a call answers and whenever: the bytes arrive, or an error tells exactly how many did.
#[test]
fn h17_any_answer_at_any_time_is_survived() {
    let _room = Room::enter();
    for (call, from, to) in CALLS {
        for errno in (1..=40).chain([61, 75, 90, 95, 104, 107, 110, 122]) {
            for late in [false, true] {
                if ![libc::EINTR, libc::EAGAIN].contains(&errno) {
                    survives(call, from, to, errno, late);
                }
            }
        }
    }
}

fn survives(call: c_long, from: Sort, to: Sort, errno: i32, late: bool) {
    let bytes = &bytes()[..200_001];
    let (source, sink) = (feed(from, bytes), catch(to));
    let (result, undelivered) = confine::on_a_thread(|| {
        let transfer = Transfer::new(&source.fd, &sink.fd).routes(Routes::all());
        let mut transfer = transfer.chunk(40_000);
        if late {
            begin(&mut transfer, &&source.fd, &&sink.fd);
        }
        confine::refuse(&[call], errno);
        (transfer.run(), transfer.into_parts().undelivered)
    });
    let (rest, arrived) = (source.rest(), sink.bytes());
    let report = result.as_ref().unwrap_or_else(|error| error.report());
    assert_eq!(report.bytes(), arrived.len() as u64, "{errno}: {result:?}");
    assert_eq!(report.bytes() == bytes.len() as u64, result.is_ok(), "{errno}: {result:?}");
    assert!([arrived, undelivered, rest].concat() == bytes, "{errno}: {result:?}");
}

#[test]
fn h44_h09_eio_and_zero_before_the_first_byte_are_refusals() {
    let _room = Room::enter();
    let call = [libc::SYS_copy_file_range];
    for (errno, late) in [(libc::EIO, false), (libc::EOPNOTSUPP, true), (0, false), (0, true)] {
        let (report, whole) = copy_refused(Sort::File, Sort::File, &call, errno, late);
        let next = if PORTABLE { Route::ReadWrite } else { Route::Splice };
        assert!(whole && report.bytes_by(next) > 0, "{errno} {late}: {report}");
    }
    for (call, from, to) in CALLS {
        if call != libc::SYS_ioctl {
            let (report, whole) = copy_refused(from, to, &[call], 0, false);
            assert!(whole, "zero from call {call}, {from:?} -> {to:?}: {report}");
        }
    }
}

/// Files that claim to be empty, or that take no splice.
const VIRTUAL: [&str; 5] = [
    "/proc/filesystems",
    "/proc/kallsyms",
    "/proc/self/environ",
    "/sys/kernel/notes",
    "/sys/kernel/uevent_seqnum",
];

#[test]
fn h09_h45_virtual_files_are_copied_whole_by_whichever_route_is_tried_first() {
    let _room = Room::enter();
    let firsts = [Route::Sendfile, Route::Splice, Route::CopyFileRange, Route::ReadWrite];
    for path in VIRTUAL {
        let Ok(expected) = std::fs::read(path) else {
            skipped("h45", path);
            continue;
        };
        for to in [Sort::File, Sort::Pipe, Sort::Tcp, Sort::Unix] {
            for routes in firsts.map(Routes::only) {
                let sink = catch(to);
                let routes = routes.with(Route::ReadWrite);
                let source = File::open(path).unwrap();
                let report = Transfer::new(source, sink.fd.as_fd()).routes(routes).run().unwrap();
                let arrived = sink.bytes();
                assert_eq!(report.bytes(), expected.len() as u64, "{path} -> {to:?}: {report}");
                assert!(arrived == expected, "{path} -> {to:?}: {report}");
            }
        }
    }
}

#[test]
fn h45_devices_give_as_much_as_the_limit_says() {
    let _room = Room::enter();
    for path in ["/dev/zero", "/dev/urandom"] {
        for to in Sort::ALL {
            for routes in [Routes::all(), Routes::only(Route::ReadWrite)] {
                let (source, sink) = (File::open(path).unwrap(), catch(to));
                let transfer = Transfer::new(source, sink.fd.as_fd()).limit(300_001);
                let report = transfer.routes(routes).run().unwrap();
                let arrived = sink.bytes();
                assert_eq!((arrived.len(), report.bytes()), (300_001, 300_001), "{path} {to:?}");
                assert!((path == "/dev/zero") == arrived.iter().all(|byte| *byte == 0));
            }
        }
    }
}

#[test]
fn h45_a_terminal_is_read_and_written() {
    let _room = Room::enter();
    let (screen, tty) = rig::terminal();
    let bytes = pattern(3000, 45);
    let report = moved(Transfer::new(support::file_of(&bytes), &tty).run());
    if report.is_some() {
        let (mut screen, mut shown) = (File::from(screen.try_clone().unwrap()), vec![0; 3000]);
        screen.read_exact(&mut shown).unwrap();
        assert!(shown == bytes);
        assert_eq!(rustix::io::write(&screen, &bytes[..1000]).unwrap(), 1000);
        let sink = catch(Sort::Pipe);
        moved(Transfer::new(&tty, &sink.fd).limit(1000).run());
        assert!(sink.bytes() == bytes[..1000]);
    }
}
