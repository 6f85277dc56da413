//! The program under a kernel that fails: each of its calls, first and later, with each errno.
//!
//! `strace` makes the kernel answer. Whatever it answers, the output is whole, or an error says
//! exactly how much arrived, and that is what is there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread::{JoinHandle, scope, spawn};

use support::{Folder, arrived, stderr};

/// What the kernel is made to answer.
const ERRNOS: [&str; 9] =
    ["EAGAIN", "EINTR", "EINVAL", "ENOSYS", "EPERM", "EIO", "ENOSPC", "EPIPE", "ECONNRESET"];
/// Answers that a transfer is right to ask again after: only ever for a while.
const PASSING: [&str; 2] = ["EAGAIN", "EINTR"];
/// Once at the first, second or fourth call; from the second on.
const WHEN: [&str; 4] = ["1", "2", "4", "2+"];

/// One call to be made fail in one way.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    errno: &'static str,
    when: &'static str,
}

fn faults(calls: &[&'static str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    // With routes denied the same faults meet another path: a part of them is enough.
    let denied = std::env::var_os("FDFLOW_DENY").is_some_and(|names| !names.is_empty());
    let whens = if denied { &WHEN[1..2] } else { &WHEN[..] };
    for call in calls {
        for errno in ERRNOS {
            for when in whens {
                if !(when.ends_with('+') && PASSING.contains(&errno)) {
                    faults.push(Fault { call, errno, when });
                }
            }
        }
    }
    faults
}

/// Whether `strace` can be used here; says so loudly if not.
fn can_trace(test: &str) -> bool {
    let answer = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    let works = answer.is_ok_and(|status| status.success());
    if !works {
        eprintln!("SKIPPED {test}: strace is not installed or may not trace (apt install strace)");
    }
    works
}

/// Runs `fdflow copy` with one fault. Calls that a process makes while it starts are told apart
/// by the paths that they touch.
fn copy(fault: Fault, paths: &[PathBuf], args: &[&str]) -> Output {
    let Fault { call, errno, when } = fault;
    let mut command = Command::new("timeout");
    command.args(["20", "strace", "-qq", "-o", "/dev/null"]);
    command.arg(format!("--trace={call}"));
    command.arg(format!("--inject={call}:error={errno}:when={when}"));
    for path in paths {
        command.arg("-P").arg(path);
    }
    command.args([env!("CARGO_BIN_EXE_fdflow"), "copy"]).args(args);
    command.output().unwrap()
}

/// What the receiver has is what the program says.
fn check(fault: Fault, output: &Output, sent: &[u8], got: &[u8]) {
    let errors = stderr(output);
    let context = format!("{fault:?}: {:?} {errors}", output.status);
    assert!(!errors.contains("panicked"), "{context}");
    match output.status.code() {
        Some(0) => assert!(got == sent, "{context}: {} of {} bytes", got.len(), sent.len()),
        Some(1) => {
            assert_eq!(errors.lines().count(), 1, "{context}");
            if !errors.contains("not known whether") {
                assert_eq!(arrived(&errors), Some(got.len() as u64), "{context}");
            }
            assert!(sent.starts_with(got), "{context}: not a prefix");
        }
        Some(2) => assert!(got.is_empty(), "{context}: {} bytes", got.len()),
        _ => panic!("{context}: hung or died"),
    }
}

/// Tries all faults, two at a time.
fn try_all(faults: &[Fault], try_one: impl Fn(Fault) + Sync) {
    let (even, odd): (Vec<_>, Vec<_>) = faults.iter().enumerate().partition(|(i, _)| i % 2 == 0);
    scope(|threads| {
        for half in [even, odd] {
            let try_one = &try_one;
            threads.spawn(move || half.into_iter().for_each(|(_, fault)| try_one(*fault)));
        }
    });
}

fn file_to_file(test: &str, size: usize, calls: &[&'static str], flags: &[&str]) {
    if !can_trace(test) {
        return;
    }
    let source = Folder::with(size);
    let from = source.path("from");
    try_all(&faults(calls), |fault| {
        let sink = Folder::with(0);
        let to = sink.path("to");
        let mut args = vec![from.to_str().unwrap(), to.to_str().unwrap()];
        args.extend(flags);
        let output = copy(fault, &[from.clone(), to.clone()], &args);
        let got = std::fs::read(&to).unwrap_or_default();
        check(fault, &output, &source.bytes, &got);
    });
}

#[test]
fn file_to_file_by_copy_file_range() {
    let calls =
        ["copy_file_range", "ioctl", "fcntl", "fstat", "openat", "lseek", "ftruncate", "pread64"];
    file_to_file("file_to_file_by_copy_file_range", 36 << 20, &calls, &[]);
}

#[test]
fn file_to_file_by_read_and_write() {
    let flags = ["--deny", "copy_file_range", "--limit", "1200000"];
    file_to_file("file_to_file_by_read_and_write", 1_200_000, &["read", "write"], &flags);
}

#[test]
fn file_to_file_by_a_private_pipe() {
    let calls = ["splice"];
    let flags = ["--deny", "copy_file_range,read_write"];
    file_to_file("file_to_file_by_a_private_pipe", 3_000_000, &calls, &flags);
}

#[test]
fn a_sparse_file_to_a_file() {
    if !can_trace("a_sparse_file_to_a_file") {
        return;
    }
    let source = Folder::with(100_000);
    let from = source.path("from");
    std::fs::File::options().write(true).open(&from).unwrap().set_len(1 << 20).unwrap();
    let sent = source.read("from");
    try_all(&faults(&["lseek", "ftruncate", "copy_file_range"]), |fault| {
        let sink = Folder::with(0);
        let to = sink.path("to");
        let args = [from.to_str().unwrap(), to.to_str().unwrap()];
        let output = copy(fault, &[from.clone(), to.clone()], &args);
        check(fault, &output, &sent, &std::fs::read(&to).unwrap_or_default());
    });
}

/// Accepts one connection and hands out what it was sent.
fn receiver(listener: TcpListener) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let mut got = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        // A reset ends what there is to receive, as the end does.
        stream.read_to_end(&mut got).ok();
        got
    })
}

/// Lets a receiver go that nobody connected to.
fn release(address: std::net::SocketAddr) {
    drop(std::net::TcpStream::connect(address));
}

#[test]
fn file_to_tcp() {
    if !can_trace("file_to_tcp") {
        return;
    }
    let source = Folder::with(20 << 20);
    let from = source.path("from");
    try_all(&faults(&["sendfile", "ppoll", "connect", "getsockopt", "shutdown"]), |fault| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = receiver(listener);
        let to = format!("tcp://{address}");
        let output = copy(fault, &[], &[from.to_str().unwrap(), &to]);
        release(address);
        let got = receiver.join().unwrap();
        check(fault, &output, &source.bytes, &got);
    });
}

#[test]
fn tcp_to_file_and_tcp_to_unix() {
    if !can_trace("tcp_to_file_and_tcp_to_unix") {
        return;
    }
    let sent = support::pattern(3_000_000);
    let calls = ["splice", "pipe2", "recvfrom", "sendto", "ppoll"];
    try_all(&faults(&calls), |fault| {
        for to_file in [true, false] {
            let folder = Folder::with(0);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let bytes = sent.clone();
            let sender = spawn(move || listener.accept().unwrap().0.write_all(&bytes).ok());
            let (to, receiver) = sink(&folder, to_file);
            let output = copy(fault, &[], &[&format!("tcp://{address}"), &to]);
            release(address);
            sender.join().unwrap();
            let got = match receiver {
                Some(receiver) => {
                    drop(std::os::unix::net::UnixStream::connect(folder.path("socket")));
                    receiver.join().unwrap()
                }
                None => std::fs::read(folder.path("to")).unwrap_or_default(),
            };
            check(fault, &output, &sent, &got);
        }
    });
}

/// A file, or a Unix socket whose receiver hands out what it was sent.
fn sink(folder: &Folder, file: bool) -> (String, Option<JoinHandle<Vec<u8>>>) {
    if file {
        return (folder.path("to").display().to_string(), None);
    }
    let path = folder.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let receiver = spawn(move || {
        let mut got = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut got).ok();
        got
    });
    (format!("unix://{}", path.display()), Some(receiver))
}
