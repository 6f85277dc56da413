//! Pipes, descriptors and signals: what is short is done without, and nothing is left over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "signal dispositions are libc's alone")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, spawn};

use fdflow::{Errno, Operation, Reason, Route, Routes, Side, Step, Transfer};
use rustix::event::PollFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use support::rig::{self, Sort, catch, feed, nonblocking};
use support::{PORTABLE, Room, all_went_by, child, confine, pattern, skipped, watch};

fn spliced() -> Routes {
    if PORTABLE { Routes::all() } else { Routes::only(Route::Splice) }
}

/// A transfer of `bytes` through a private pipe, whole and checked.
fn whole(bytes: &[u8]) {
    let (source, sink) = (feed(Sort::Tcp, bytes), catch(Sort::Unix));
    let report = Transfer::new(&source.fd, &sink.fd).routes(spliced()).run().unwrap();
    assert_eq!(report.bytes(), bytes.len() as u64);
    assert!(source.rest().is_empty() && sink.bytes() == bytes);
}

/// A transfer that holds bytes in its pipe because its sink is full.
fn stopped_with_bytes_staged(bytes: &[u8]) -> (Transfer<OwnedFd, File>, OwnedFd) {
    let source = OwnedFd::from(support::file_of(bytes));
    let (receiver, sink) = rig::stream(Sort::Unix);
    nonblocking(&sink, true);
    rig::stuff(&sink);
    let mut transfer = Transfer::new(source, sink).routes(spliced());
    while !matches!(transfer.step().unwrap(), Step::Wait(Side::Sink)) {}
    assert!(transfer.ledger().staged() > 0);
    (transfer, receiver)
}

#[test]
fn h12_a_pipe_that_held_bytes_never_reaches_another_transfer() {
    let _room = Room::enter();
    let old = vec![b'!'; 300_000];
    for round in 0..20 {
        drop(stopped_with_bytes_staged(&old));
        whole(&pattern(100_000, round));
        let (transfer, _receiver) = stopped_with_bytes_staged(&old);
        assert!(transfer.into_parts().undelivered.iter().all(|byte| *byte == b'!'));
        whole(&pattern(100_000, round));
    }
}

#[test]
fn h60_no_descriptor_is_left_by_transfers_that_end_in_any_way() {
    let room = Room::enter();
    let before = support::descriptors().len();
    for round in 0..40 {
        whole(&pattern(50_000, round));
        let (mut transfer, receiver) = stopped_with_bytes_staged(&[1; 200_000]);
        transfer.cancel_handle().unwrap().cancel();
        assert!(transfer.run().unwrap_err().is_cancelled());
        drop(receiver);
        assert_eq!(transfer.run().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
    whole(&[1; 100]);
    let pooled = fdflow::clear_pool();
    assert!(pooled <= 8 && (pooled > 0 || PORTABLE), "{pooled} pipes kept");
    assert_eq!(support::descriptors().len(), before, "{:?}", support::descriptors());
    drop(room);
}

#[test]
fn pipes_are_counted_while_a_transfer_has_them_and_while_they_are_kept() {
    let _room = Room::enter();
    if PORTABLE {
        return skipped("counted pipes", "there are none on the portable backend");
    }
    let numbers = |pipes: fdflow::Pipes| (pipes.in_use, pipes.pooled);
    assert_eq!(numbers(fdflow::pipes()), (0, 0));
    let (transfer, _receiver) = stopped_with_bytes_staged(&[1; 200_000]);
    assert_eq!(numbers(fdflow::pipes()), (1, 0));
    // It had bytes, and so is closed.
    drop(transfer);
    assert_eq!(numbers(fdflow::pipes()), (0, 0));
    whole(&pattern(100_000, 1));
    assert_eq!(numbers(fdflow::pipes()), (0, 1));
}

/// Steps until so many bytes are given and the source is dry.
fn drain(transfer: &mut Transfer<&OwnedFd, &File>, source: &OwnedFd, all: u64) {
    loop {
        match transfer.step().unwrap() {
            Step::Wait(Side::Source) if transfer.ledger().given() == all => break,
            Step::Wait(Side::Source) => watch::until_ready(source, PollFlags::IN),
            _ => {}
        }
    }
}

#[test]
fn h60_an_idle_transfer_owns_no_pipe_before_a_stream_or_after_it() {
    let _room = Room::enter();
    let (source, mut writer) = rig::stream(Sort::Tcp);
    let (receiver, sink) = rig::stream(Sort::Tcp);
    let reader = support::reading(File::from(receiver));
    nonblocking(&source, true);
    let before = support::descriptors().len();
    for routes in [Routes::all(), spliced()] {
        let mut transfer = Transfer::new(&source, &sink).routes(routes);
        for (message, all) in [(10, 10), (500_000, 500_010)] {
            scope(|scope| {
                scope.spawn(|| writer.write_all(&vec![7; message]).unwrap());
                drain(&mut transfer, &source, all);
            });
            fdflow::clear_pool();
            assert_eq!(support::descriptors().len(), before, "after {message} bytes");
        }
    }
    drop(sink);
    assert_eq!(reader.join().unwrap().len(), 2 * 500_010);
}

/// Lowers the limit of this process's descriptors to those that are open.
fn no_more_descriptors() -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    let open = rustix::io::dup(std::io::stdin()).unwrap();
    let next = std::os::fd::AsRawFd::as_raw_fd(&open).unsigned_abs().into();
    drop(open);
    setrlimit(Resource::Nofile, Rlimit { current: Some(next), maximum: before.maximum }).unwrap();
    before
}

#[test]
fn h47_without_descriptors_for_a_pipe_user_space_is_taken_and_the_report_says_why() {
    if !child::alone(
        "h47_without_descriptors_for_a_pipe_user_space_is_taken_and_the_report_says_why",
    ) {
        return;
    }
    let _room = Room::enter();
    let bytes = pattern(1_000_000, 47);
    for (from, to) in [(Sort::Tcp, Sort::File), (Sort::Unix, Sort::Tcp), (Sort::Tcp, Sort::Unix)] {
        let (source, sink) = (feed(from, &bytes), catch(to));
        let mut transfer = Transfer::new(&source.fd, &sink.fd).routes(Routes::all());
        let before = no_more_descriptors();
        let report = transfer.run();
        setrlimit(Resource::Nofile, before).unwrap();
        let report = report.unwrap();
        let wanted = Reason::Errno { operation: Operation::Pipe, errno: Errno::MFILE };
        let told = report.refused().iter().any(|left| left.reason == wanted);
        assert!(told || PORTABLE || report.bytes_by(Route::Splice) == 0 && from != Sort::Tcp);
        all_went_by(Route::ReadWrite, &report);
        assert!(source.rest().is_empty() && sink.bytes() == bytes, "{report}");
    }
}

/// Transfers that all hold a pipe at once, more than the quota of a user without privileges has
/// room for at full size.
fn many_pipes(user: Option<u32>) {
    const MANY: usize = 90;
    let bytes = pattern(600_000, 61);
    let ends: Vec<_> = (0..MANY).map(|_| rig::stream(Sort::Unix)).collect();
    let sources: Vec<_> = (0..MANY).map(|_| support::file_of(&bytes)).collect();
    if let Some(user) = user {
        let user = rustix::process::Uid::from_raw(user);
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
    }
    let mut running: Vec<_> = ends
        .into_iter()
        .zip(&sources)
        .map(|((receiver, sink), source)| {
            nonblocking(&sink, true);
            (Transfer::new(source, sink).routes(spliced()), receiver)
        })
        .collect();
    let mut taken = Vec::new();
    for (transfer, _) in &mut running {
        while !matches!(transfer.step().unwrap(), Step::Wait(Side::Sink)) {}
        taken.push(transfer.ledger().taken());
    }
    let (most, least) = (taken.iter().max(), taken.iter().min());
    assert!(PORTABLE || most > least, "no pipe was smaller than the others: {taken:?}");
    for (mut transfer, receiver) in running {
        let reader = support::reading(File::from(receiver));
        assert_eq!(transfer.run().unwrap().bytes(), 600_000);
        drop(transfer);
        assert!(reader.join().unwrap() == bytes);
    }
}

#[test]
fn h61_past_the_quota_of_pipe_pages_smaller_pipes_are_made_do_with() {
    let _room = Room::enter();
    let root = rustix::process::geteuid().is_root();
    let soft = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").unwrap();
    if soft.trim() != "16384" {
        return skipped("h61", &format!("pipe-user-pages-soft is {soft}"));
    }
    // The pages count against a thread's user: one that nobody else is.
    confine::on_a_thread(|| many_pipes(root.then_some(61_061)));
}

/// Gives SIGPIPE back its deadly default.
fn sigpipe_kills() {
    // SAFETY: no handler is installed; the default needs none.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_ne!(before, libc::SIG_ERR);
}

#[test]
fn h62_a_closed_sink_is_an_error_and_no_signal_on_every_route() {
    if !child::alone("h62_a_closed_sink_is_an_error_and_no_signal_on_every_route") {
        return;
    }
    let _room = Room::enter();
    let bytes = pattern(100_000, 62);
    sigpipe_kills();
    for from in Sort::ALL {
        for to in [Sort::Unix, Sort::Pipe] {
            for routes in [Routes::all(), Routes::only(Route::ReadWrite), spliced()] {
                let source = feed(from, &bytes);
                let (receiver, sink) = rig::stream(to);
                drop(receiver);
                let result = Transfer::new(source.fd.as_fd(), sink).routes(routes).run();
                let error = result.expect_err("nobody reads, and it says that all is well");
                let told = (error.kind(), error.side());
                assert_eq!(told, (ErrorKind::BrokenPipe, Some(Side::Sink)), "{from:?} -> {to:?}");
                source.rest();
            }
        }
    }
    assert!(!blocks_sigpipe(), "the mask is as it was");
}

#[test]
fn a_message_between_sockets_needs_no_guard_against_the_signal() {
    let _room = Room::enter();
    let ((mut far, source), (sink, _reader)) =
        (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    far.write_all(&[7; 64]).unwrap();
    let messages = Routes::only(Route::ReadWrite);
    let mut transfer = Transfer::new(&source, &sink).routes(messages);
    assert!(transfer.may_signal(), "nothing is known of the two ends yet");
    transfer.prepare().unwrap();
    for moved in [0, 64] {
        assert_eq!(transfer.step().unwrap(), Step::Moved(moved));
        assert_eq!(transfer.may_signal(), PORTABLE && moved == 0);
    }

    let (_pipe_reader, pipe) = std::io::pipe().unwrap();
    far.write_all(&[7; 64]).unwrap();
    let mut transfer = Transfer::new(&source, pipe).routes(messages);
    assert_eq!(transfer.step().unwrap(), Step::Moved(0));
    assert!(transfer.may_signal(), "a pipe cannot be told");
}

fn blocks_sigpipe() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & 1 << (libc::SIGPIPE - 1) != 0
}

extern "C" fn nothing(_: libc::c_int) {}

/// Has a signal interrupt system calls rather than restart them.
fn signal_interrupts(signal: libc::c_int) {
    // SAFETY: all-zero bytes are a valid sigaction: no flags, so no SA_RESTART.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the action is valid, and its handler does nothing.
    let answer = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    assert_eq!(answer, 0);
}

/// Runs `work` while signals rain on its thread.
fn in_a_storm(work: impl FnOnce()) {
    static OVER: AtomicBool = AtomicBool::new(false);
    OVER.store(false, Ordering::Release);
    let (process, thread) = (rustix::process::getpid(), rustix::thread::gettid());
    let storm = spawn(move || {
        while !OVER.load(Ordering::Acquire) {
            let (process, thread) = (process.as_raw_nonzero(), thread.as_raw_nonzero());
            // SAFETY: signals a thread that lives until this one has been joined.
            let sent = unsafe {
                libc::syscall(libc::SYS_tgkill, process.get(), thread.get(), libc::SIGUSR1)
            };
            assert_eq!(sent, 0);
            std::thread::yield_now();
        }
    });
    work();
    OVER.store(true, Ordering::Release);
    storm.join().unwrap();
}

#[test]
fn h63_a_storm_of_signals_interrupts_no_transfer() {
    if !child::alone("h63_a_storm_of_signals_interrupts_no_transfer") {
        return;
    }
    let _room = Room::enter();
    signal_interrupts(libc::SIGUSR1);
    let bytes = pattern(400_000, 63);
    for (from, to) in Sort::ALL.into_iter().flat_map(|from| Sort::ALL.map(|to| (from, to))) {
        for routes in [Routes::all(), Routes::only(Route::ReadWrite), spliced()] {
            for handle in [false, true] {
                // Pieces that come slowly, so that calls and polls wait.
                let source = rig::feed_in_pieces(from, &bytes, &[5000]);
                let sink = catch(to);
                let mut transfer = Transfer::new(&source.fd, &sink.fd).routes(routes);
                let handle = handle.then(|| transfer.cancel_handle().unwrap());
                let mut result = None;
                in_a_storm(|| result = Some(transfer.run()));
                let report = result.unwrap().unwrap();
                assert_eq!(report.bytes(), 400_000, "{from:?} -> {to:?} {handle:?}");
                drop(transfer);
                assert!(source.rest().is_empty() && sink.bytes() == bytes);
            }
        }
    }
}
