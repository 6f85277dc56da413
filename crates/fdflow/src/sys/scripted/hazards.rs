//! The hazards that a kernel's answers make, one by one.

use std::fs::File;
use std::io::{self, BufRead};

use rustix::io::Errno;

use super::{Answer, Fault, Scripted, ScriptedSink, ScriptedSource, Setup, Told};
use crate::error::TransferError;
use crate::kind::Kind;
use crate::operation::{Operation, Side};
use crate::report::{Reason, Report};
use crate::route::{Route, Routes};
use crate::transfer::Transfer;
use crate::wrap::Plain;

type Run<'k> = Transfer<ScriptedSource<'k>, ScriptedSink<'k>, &'k Scripted>;

const MOVERS: [Operation; 5] = [
    Operation::Read,
    Operation::Write,
    Operation::Splice,
    Operation::Sendfile,
    Operation::CopyFileRange,
];
const SIZE: u64 = 40_000;

fn between(source: Kind, sink: Kind) -> Setup {
    Setup { source, sink, size: SIZE, ..Setup::default() }
}

fn kernel(setup: Setup) -> Scripted {
    Scripted::new(setup, &[]).unwrap()
}

/// By any route, whatever the environment denies.
fn transfer(kernel: &Scripted) -> Run<'_> {
    Transfer::on(kernel, kernel.source(), kernel.sink()).routes(Routes::all())
}

/// Checks that the sink has exactly the first `n` bytes and that nothing was done wrong.
#[track_caller]
fn assert_given(kernel: &Scripted, n: u64) {
    assert_eq!(kernel.violations(), Vec::<String>::new());
    assert!(kernel.holds(n), "{} bytes given, not {n}", kernel.given());
}

/// Runs to the end, which is to be after `n` bytes.
#[track_caller]
fn finish(kernel: &Scripted, mut transfer: Run<'_>, n: u64) -> Report {
    let report =
        transfer.run().unwrap_or_else(|error| panic!("{error}: {:?}", kernel.violations()));
    assert_given(kernel, n);
    assert_eq!(report.bytes(), n);
    report
}

/// Runs into the failure of `operation` that the script has.
#[track_caller]
fn fail(kernel: &Scripted, transfer: &mut Run<'_>, operation: Operation) -> TransferError {
    let error = transfer.run().unwrap_err();
    let Fault { errno, .. } = kernel.take_fault().unwrap();
    assert_eq!(error.cause().raw_os_error(), Some(errno.raw_os_error()));
    assert_eq!(error.operation(), operation);
    assert_given(kernel, error.report().bytes());
    error
}

#[test]
fn h01_a_sink_that_refuses_midway_gets_what_is_staged_before_anything_else() {
    let kernel = kernel(between(Kind::Tcp, Kind::File));
    kernel.rule(Operation::Splice, 1, Answer::Short(1000));
    kernel.rule(Operation::Splice, 2, Answer::Errno(Errno::INVAL));
    let report = finish(&kernel, transfer(&kernel), SIZE);
    assert_eq!(report.bytes_by(Route::Splice), 1000);
    assert_eq!(report.bytes_by(Route::ReadWrite), SIZE - 1000);
}

#[test]
fn h04_a_limit_counts_each_byte_once() {
    for (source, sink) in
        [(Kind::Tcp, Kind::File), (Kind::File, Kind::Tcp), (Kind::Pipe, Kind::Tcp)]
    {
        let kernel = kernel(between(source, sink));
        kernel.rule(Operation::Splice, 2, Answer::Short(100));
        finish(&kernel, transfer(&kernel).limit(SIZE / 2), SIZE / 2);
        assert_eq!(kernel.taken(), SIZE / 2, "{source:?} -> {sink:?}");
    }
}

#[test]
fn h07_what_an_error_leaves_staged_is_handed_out_or_goes_out_first() {
    for again in [false, true] {
        let kernel = kernel(between(Kind::Tcp, Kind::Unix));
        let mut transfer = transfer(&kernel).deny(Route::ReadWrite);
        kernel.rule(Operation::Splice, 1, Answer::Short(500));
        kernel.rule(Operation::Splice, 2, Answer::Errno(Errno::PIPE));
        let error = fail(&kernel, &mut transfer, Operation::Splice);
        assert_eq!((error.side(), error.report().bytes()), (Some(Side::Sink), 500));
        assert!(error.staged() > 0);
        if again {
            finish(&kernel, transfer, SIZE);
        } else {
            let undelivered = transfer.into_parts().undelivered;
            assert_eq!(undelivered.len() as u64, error.staged());
            assert!(kernel.is(500, &undelivered));
        }
    }
}

#[test]
fn h07_what_a_cancel_leaves_staged_goes_out_first() {
    for call in 1..60 {
        let kernel = kernel(between(Kind::Tcp, Kind::File));
        let mut transfer = transfer(&kernel);
        kernel.cancel_at(call, transfer.cancel_handle().unwrap());
        if let Err(error) = transfer.run() {
            assert!(error.is_cancelled(), "{error}");
            assert_given(&kernel, error.report().bytes());
        }
        finish(&kernel, transfer, SIZE);
    }
}

#[test]
fn h08_a_fallback_goes_on_where_the_ledger_is() {
    let offsets = Setup {
        source_offset: Some(5000),
        sink_offset: Some(300),
        sink_length: 10_000,
        position: 77,
        sink_position: 88,
        ..between(Kind::File, Kind::File)
    };
    let kernel = kernel(offsets);
    kernel.rule(Operation::CopyFileRange, 0, Answer::Short(1000));
    kernel.rule(Operation::CopyFileRange, 1, Answer::Errno(Errno::XDEV));
    kernel.rule(Operation::Write, 0, Answer::Short(10));
    let transfer = transfer(&kernel).source_offset(5000).sink_offset(300);
    finish(&kernel, transfer, SIZE - 5000);
    assert_eq!(kernel.positions(), (Some(77), Some(88)));
}

#[test]
fn h09_a_zero_with_bytes_left_is_no_end() {
    let pairs = [
        (Kind::File, Kind::File, Operation::CopyFileRange),
        (Kind::File, Kind::Tcp, Operation::Sendfile),
        (Kind::File, Kind::Pipe, Operation::Splice),
        (Kind::Tcp, Kind::File, Operation::Splice),
    ];
    for (source, sink, operation) in pairs {
        for nth in 0..3 {
            let kernel = kernel(between(source, sink));
            for before in 0..nth {
                kernel.rule(operation, before, Answer::Short(1000));
            }
            kernel.rule(operation, nth, Answer::Zero);
            let report = finish(&kernel, transfer(&kernel), SIZE);
            let zero = Reason::ZeroBeforeEnd(operation);
            assert!(report.refused().iter().any(|refusal| refusal.reason == zero), "{report}");
        }
    }
}

#[test]
fn h09_a_file_that_says_it_is_empty_is_read_to_its_end() {
    for sink in [Kind::File, Kind::Tcp, Kind::Pipe] {
        let kernel = kernel(Setup { told: Told::Zero, ..between(Kind::File, sink) });
        finish(&kernel, transfer(&kernel), SIZE);
    }
}

#[test]
fn h10_legs_add_up_to_the_total_after_a_late_fallback() {
    let kernel = kernel(between(Kind::File, Kind::File));
    kernel.rule(Operation::CopyFileRange, 0, Answer::Short(3000));
    kernel.rule(Operation::CopyFileRange, 1, Answer::Short(4000));
    kernel.rule(Operation::CopyFileRange, 2, Answer::Errno(Errno::OPNOTSUPP));
    let report = finish(&kernel, transfer(&kernel), SIZE);
    assert_eq!(report.bytes_by(Route::CopyFileRange), 7000);
    assert_eq!(report.bytes_by(Route::Splice), SIZE - 7000);
    assert_eq!(report.legs().len(), 2);
}

#[test]
fn h14_what_was_read_ahead_goes_before_what_the_kernel_moves() {
    for sink in [Kind::File, Kind::Tcp, Kind::Pipe] {
        let setup = Setup { head: 3000, position: 8000, ..between(Kind::File, sink) };
        let kernel = kernel(setup);
        kernel.rule(Operation::Buffered, 0, Answer::Short(1000));
        let report = finish(&kernel, transfer(&kernel), SIZE - 5000);
        assert_eq!(report.bytes_by(Route::ReadWrite), 3000);
        assert_eq!(kernel.positions().0, Some(SIZE));
    }
}

#[test]
fn h17_a_refusal_at_any_call_is_survived() {
    let refusals =
        [Errno::INVAL, Errno::NOSYS, Errno::XDEV, Errno::OPNOTSUPP, Errno::PERM, Errno::OVERFLOW];
    let pairs = [
        (Kind::File, Kind::File),
        (Kind::File, Kind::Tcp),
        (Kind::Tcp, Kind::File),
        (Kind::Pipe, Kind::Tcp),
        (Kind::Unix, Kind::Pipe),
    ];
    for (source, sink) in pairs {
        for errno in refusals {
            for nth in 0..6 {
                let kernel = kernel(between(source, sink));
                for operation in &MOVERS[2..] {
                    for before in 0..nth {
                        kernel.rule(*operation, before, Answer::Short(700));
                    }
                    kernel.rule(*operation, nth, Answer::Errno(errno));
                }
                finish(&kernel, transfer(&kernel), SIZE);
            }
        }
    }
}

#[test]
fn h18_an_error_of_an_end_is_told_and_not_asked_again() {
    let cases = [
        (Kind::Tcp, Kind::File, Operation::Splice, 2, Errno::CONNRESET, Side::Source),
        (Kind::Tcp, Kind::Pipe, Operation::Splice, 1, Errno::CONNRESET, Side::Source),
        (Kind::Tcp, Kind::Tcp, Operation::Read, 1, Errno::CONNRESET, Side::Source),
        (Kind::File, Kind::Tcp, Operation::Sendfile, 0, Errno::CONNRESET, Side::Sink),
        (Kind::File, Kind::Tcp, Operation::Sendfile, 0, Errno::PIPE, Side::Sink),
        (Kind::File, Kind::File, Operation::CopyFileRange, 0, Errno::NOSPC, Side::Sink),
        (Kind::Pipe, Kind::File, Operation::Splice, 0, Errno::IO, Side::Sink),
        (Kind::Tcp, Kind::File, Operation::Splice, 1, Errno::NOSPC, Side::Sink),
    ];
    for (source, sink, operation, nth, errno, side) in cases {
        let kernel = kernel(between(source, sink));
        kernel.rule(operation, nth, Answer::Errno(errno));
        let mut transfer = transfer(&kernel);
        let error = fail(&kernel, &mut transfer, operation);
        assert_eq!(error.side(), Some(side), "{error}");
        finish(&kernel, transfer, SIZE);
    }
}

#[test]
fn h20_a_pipe_whose_slots_are_full_is_not_a_dry_source() {
    for sink in [Kind::Unix, Kind::Pipe, Kind::File] {
        let setup = Setup {
            segments: vec![100],
            source_nonblocking: true,
            sink_nonblocking: true,
            window: 500,
            // The connection stays open: a tail that is held back is held back for ever.
            open: true,
            ..between(Kind::Tcp, sink)
        };
        let kernel = kernel(setup);
        // Much arrives before it is taken: many small pieces are there at once.
        while kernel.world.borrow_mut().supply.progress() {}
        let mut transfer = transfer(&kernel).deny(Route::ReadWrite);
        transfer.run().unwrap_err();
        assert_given(&kernel, SIZE);
        assert!(kernel.is_silent());
        assert!(sink == Kind::Pipe || kernel.most_slots() == 16, "the pipe was never full");
    }
}

#[test]
fn h21_a_full_sink_is_waited_for_and_not_the_source_that_is_ready() {
    let setup = Setup {
        source_nonblocking: true,
        sink_nonblocking: true,
        slots: 2,
        ..between(Kind::Pipe, Kind::Pipe)
    };
    let kernel = kernel(setup);
    while kernel.world.borrow_mut().supply.progress() {}
    finish(&kernel, transfer(&kernel), SIZE);
}

#[test]
fn h21_a_splice_that_would_block_with_both_ends_ready_is_given_up() {
    let kernel = kernel(Setup { source_nonblocking: true, ..between(Kind::Pipe, Kind::Tcp) });
    for nth in 1..200 {
        kernel.rule(Operation::Splice, nth, Answer::Errno(Errno::AGAIN));
    }
    let report = finish(&kernel, transfer(&kernel), SIZE);
    assert!(
        report.refused().iter().any(|refusal| refusal.reason == Reason::Stuck(Operation::Splice))
    );
}

#[test]
fn h23_no_count_goes_beyond_what_the_file_has() {
    for (sink, deny) in [
        (Kind::Tcp, Route::Reflink),
        (Kind::Tcp, Route::Sendfile),
        (Kind::Pipe, Route::Sendfile),
        (Kind::Device, Route::Sendfile),
    ] {
        let kernel = kernel(Setup { position: 123, ..between(Kind::File, sink) });
        // The violation that a larger count would be is what this is about.
        finish(&kernel, transfer(&kernel).deny(deny), SIZE - 123);
    }
}

#[test]
fn h43_a_length_beyond_two_to_the_31_is_moved_in_bounded_calls() {
    const HUGE: u64 = 5 << 30;
    for (sink, operation) in
        [(Kind::File, Operation::CopyFileRange), (Kind::Tcp, Operation::Sendfile)]
    {
        let setup = Setup { size: HUGE, window: 1 << 40, ..between(Kind::File, sink) };
        let kernel = kernel(setup);
        finish(&kernel, transfer(&kernel).chunk(usize::MAX), HUGE);
        let log = kernel.log();
        let asked: Vec<_> = log
            .iter()
            .filter(|entry| entry.operation == operation)
            .map(|entry| entry.asked)
            .collect();
        assert_eq!(asked, [0x7fff_f000, 0x7fff_f000, HUGE - 2 * 0x7fff_f000]);
    }
}

#[test]
fn h44_eio_of_the_first_copy_file_range_is_a_refusal_also_after_a_head() {
    for head in [0, 100] {
        let kernel = kernel(Setup { head, position: head, ..between(Kind::File, Kind::File) });
        kernel.rule(Operation::CopyFileRange, 0, Answer::Errno(Errno::IO));
        // A refused clone would begin a new leg between the head and the call.
        finish(&kernel, transfer(&kernel).deny(Route::Reflink), SIZE);
    }
}

#[test]
fn h63_signals_are_no_answers() {
    let others = [Operation::Flush, Operation::Buffered, Operation::Wait, Operation::Hole];
    let pairs = [
        (Kind::File, Kind::File),
        (Kind::File, Kind::Unix),
        (Kind::Tcp, Kind::File),
        (Kind::Tcp, Kind::Tcp),
        (Kind::Pipe, Kind::Tty),
        (Kind::User, Kind::User),
    ];
    for (source, sink) in pairs {
        let kernel = kernel(Setup {
            head: 100,
            position: 100,
            source_nonblocking: source != Kind::User,
            sink_nonblocking: sink != Kind::User,
            window: 5000,
            ..between(source, sink)
        });
        for operation in MOVERS.into_iter().chain(others) {
            for nth in (0..30).filter(|nth| nth % 3 != 2) {
                kernel.rule(operation, nth, Answer::Errno(Errno::INTR));
            }
        }
        // What the refused drain leaves in the pipe is read out of it, through signals too.
        kernel.rule(Operation::Splice, 5, Answer::Errno(Errno::INVAL));
        finish(&kernel, transfer(&kernel), SIZE);
    }
}

#[test]
fn the_end_of_a_blocking_pipe_is_found_although_each_call_is_polled_for() {
    for sink in [Kind::File, Kind::Tcp, Kind::Pipe] {
        let kernel = kernel(between(Kind::Pipe, sink));
        let mut transfer = transfer(&kernel);
        let _cancel = transfer.cancel_handle().unwrap();
        finish(&kernel, transfer, SIZE);
    }
}

#[test]
fn a_file_that_grows_is_moved_to_its_new_end_by_the_same_route() {
    for sink in [Kind::File, Kind::Tcp, Kind::Pipe] {
        let kernel = kernel(Setup { grows: 5000, ..between(Kind::File, sink) });
        let report = finish(&kernel, transfer(&kernel).deny(Route::Reflink), SIZE + 5000);
        let told = report.refused().iter().any(|refusal| refusal.reason != Reason::Denied);
        assert!(!told && report.bytes_by(Route::ReadWrite) <= 1024, "{report}");
    }
}

#[test]
fn holes_stay_holes_and_only_they() {
    let holes = vec![0..8192, 12_288..16_384, 20_480..SIZE];
    let sum = holes.iter().map(|hole| hole.end - hole.start).sum::<u64>();
    let kernel = kernel(Setup { holes, sink_length: 30_000, ..between(Kind::File, Kind::File) });
    // Several calls an extent: the last of them must end with it.
    let report = finish(&kernel, transfer(&kernel).chunk(1000), SIZE);
    assert_eq!(report.legs().iter().map(|leg| leg.holes).sum::<u64>(), sum);
    assert_eq!(report.bytes_by(Route::CopyFileRange), SIZE);
}

#[test]
fn a_file_that_ftruncate_cannot_grow_is_given_zeros() {
    let holes = vec![0..8192, 20_480..SIZE];
    let kernel = kernel(Setup { holes, ..between(Kind::File, Kind::File) });
    kernel.rule(Operation::Hole, 1, Answer::Errno(Errno::PERM));
    let report = finish(&kernel, transfer(&kernel), SIZE);
    assert_eq!(report.legs().iter().map(|leg| leg.holes).sum::<u64>(), 8192);
}

/// Claims to have moved one byte more than it was given.
struct Liar;

impl io::Read for Liar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(buffer.len() + 1)
    }
}

impl io::Write for Liar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len() + 1)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn h17_an_end_that_claims_more_than_it_was_asked_for_is_an_error() {
    let mut transfer = Transfer::new(Plain(Liar), Plain(io::sink())).routes(Routes::all());
    let error = transfer.run().unwrap_err();
    assert_eq!((error.kind(), error.staged()), (io::ErrorKind::InvalidData, 0));
    // More is staged than one call writes: the byte too many would be taken for another one.
    let mut head = io::BufReader::new(File::open("/dev/zero").unwrap());
    head.fill_buf().unwrap();
    let mut transfer = Transfer::new(head, Plain(Liar)).routes(Routes::all()).chunk(1000);
    let error = transfer.run().unwrap_err();
    assert_eq!((error.kind(), error.staged()), (io::ErrorKind::InvalidData, 8192));
}
