//! What carries no stream of bytes is refused, before a byte moves, with an error that says which
//! end it is and why.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test binary: panics are its failures")]

mod support;

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};

use fdflow::{Operation, Side, TransferError};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fs::{Mode, OFlags, fcntl_getfl, open};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use support::{Room, file_of};

/// What is refused at either end, and words of the reason.
fn misfits() -> Vec<(&'static str, OwnedFd, &'static str)> {
    let (none, dir) = (Mode::empty(), std::env::temp_dir());
    let (datagram, _) = UnixDatagram::pair().unwrap();
    let (seqpacket, _) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let socket_dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket_dir.path().join("socket")).unwrap();
    let path_only = open(&dir, OFlags::PATH | OFlags::CLOEXEC, none).unwrap();
    vec![
        ("unix datagram", datagram.into(), "message boundaries"),
        ("udp", UdpSocket::bind("127.0.0.1:0").unwrap().into(), "message boundaries"),
        ("seqpacket", seqpacket, "message boundaries"),
        ("eventfd", eventfd(1, EventfdFlags::CLOEXEC).unwrap(), "no byte stream"),
        ("epoll", epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(), "no byte stream"),
        ("directory", File::open(&dir).unwrap().into(), "is a directory"),
        ("O_PATH", path_only, "O_PATH"),
        ("tcp listener", TcpListener::bind("127.0.0.1:0").unwrap().into(), "listen"),
        ("unix listener", listener.into(), "listen"),
    ]
}

#[test]
fn what_has_no_stream_is_no_source() {
    let _room = Room::enter();
    for (name, source, why) in misfits() {
        let flags = fcntl_getfl(&source).unwrap();
        let mut sink = file_of(b"as it was");
        let error = fdflow::copy(&mut &source, &mut sink).unwrap_err();
        clear(name, error, Side::Source, why);
        assert_eq!(kept(&sink), b"as it was", "{name}");
        assert_eq!(fcntl_getfl(&source).unwrap(), flags, "{name}");
    }
}

#[test]
fn what_has_no_stream_is_no_sink() {
    let _room = Room::enter();
    for (name, mut sink, why) in misfits() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"not taken").unwrap();
        drop(writer);
        let error = fdflow::copy(&mut reader, &mut sink).unwrap_err();
        clear(name, error, Side::Sink, why);
        assert_eq!(io::read_to_string(reader).unwrap(), "not taken", "{name}");
    }
}

#[test]
fn an_end_that_is_open_for_the_other_direction_only_is_refused() {
    let _room = Room::enter();
    let named = tempfile::NamedTempFile::new().unwrap();
    let read = || OwnedFd::from(File::open(named.path()).unwrap());
    let write = || OwnedFd::from(File::options().write(true).open(named.path()).unwrap());
    let (reader, writer) = io::pipe().unwrap();
    for (name, source) in [("file", write()), ("pipe", writer.into())] {
        let error = fdflow::copy(&mut &source, &mut file_of(b"")).unwrap_err();
        clear(name, error, Side::Source, "not open for reading");
    }
    for (name, sink) in [("file", read()), ("pipe", reader.into())] {
        let error = fdflow::copy(&mut file_of(b"bytes"), &mut &sink).unwrap_err();
        clear(name, error, Side::Sink, "not open for writing");
    }
}

#[test]
fn h13_a_file_onto_itself_is_refused_by_whatever_descriptors() {
    let _room = Room::enter();
    let named = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(named.path(), b"once").unwrap();
    let open =
        |append: bool| File::options().write(!append).append(append).open(named.path()).unwrap();
    for append in [false, true] {
        let mut source = File::open(named.path()).unwrap();
        let error = fdflow::copy(&mut source, &mut open(append)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("the same file"), "{error}");
        assert_eq!(kept(&source), b"once");
    }
}

/// The error names its side, in words too, and its reason, and nothing has been moved.
fn clear(name: &str, error: TransferError, side: Side, why: &str) {
    let text = error.to_string();
    assert_eq!((error.kind(), error.side()), (ErrorKind::InvalidInput, Some(side)), "{name}");
    assert_eq!(error.operation(), Operation::Probe, "{name}");
    assert!(text.contains(&format!("the {side} ")) && text.contains(why), "{name}: {text}");
    assert!(error.source().is_some(), "{name}");
    assert_eq!((error.report().bytes(), error.staged()), (0, 0), "{name}");
    assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput, "{name}");
}

fn kept(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    let n = rustix::io::pread(file.as_fd(), &mut bytes, 0).unwrap();
    bytes.truncate(n);
    bytes
}
