//! Descriptors over Unix sockets: what arrives, in which order, with which bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/passing.rs"]
mod passing;
mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use fdflow::share::{NotSealed, Sealed, receive, send};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::FdFlags;
use rustix::net::SocketType;

use passing::{TYPES, count, pair, times};
use support::rig::nonblocking;
use support::{Room, child, file_of, pattern};

#[test]
fn descriptors_of_every_kind_arrive_in_order_and_are_not_inherited() {
    let _room = Room::enter();
    for kind in TYPES {
        let (here, there) = pair(kind);
        let (mut pipe, pipe_writer) = std::io::pipe().unwrap();
        let (mut far, near) = support::tcp();
        let file = file_of(b"a file");
        // One that is inherited here is not where it arrives.
        rustix::io::fcntl_setfd(&file, FdFlags::empty()).unwrap();
        let sent = [file.as_fd(), pipe_writer.as_fd(), near.as_fd()];
        assert_eq!(send(&here, b"three", &sent).unwrap(), 5);
        drop((file, pipe_writer, near));

        let mut buffer = [0; 64];
        let received = receive(&there, &mut buffer).unwrap();
        assert_eq!(&buffer[..received.bytes], b"three");
        for fd in &received.descriptors {
            assert_eq!(rustix::io::fcntl_getfd(fd), Ok(FdFlags::CLOEXEC));
        }
        let [file, writer, near] = received.descriptors.try_into().unwrap();
        let mut bytes = [0; 6];
        File::from(file).read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"a file");
        File::from(writer).write_all(b"a pipe").unwrap();
        assert_eq!(std::io::read_to_string(&mut pipe).unwrap(), "a pipe");
        File::from(near).write_all(b"a socket").unwrap();
        let mut bytes = String::new();
        far.read_to_string(&mut bytes).unwrap();
        assert_eq!(bytes, "a socket");
    }
}

#[test]
fn a_message_without_descriptors_is_one_and_a_closed_peer_is_the_end() {
    let _room = Room::enter();
    for kind in TYPES {
        let (here, there) = pair(kind);
        assert_eq!(send(&here, b"words", &[]).unwrap(), 5);
        let mut buffer = [0; 64];
        let received = receive(&there, &mut buffer).unwrap();
        assert_eq!((&buffer[..received.bytes], received.descriptors.len()), (&b"words"[..], 0));
        drop(here);
        if kind != SocketType::DGRAM {
            assert_eq!(receive(&there, &mut buffer).unwrap().bytes, 0);
        }
    }
}

#[test]
fn descriptors_come_with_the_first_byte_that_they_were_sent_with() {
    let _room = Room::enter();
    let (here, there) = pair(SocketType::STREAM);
    let (one, two) = (file_of(b"1"), file_of(b"2"));
    send(&here, b"before", &[]).unwrap();
    send(&here, b"first", &[one.as_fd()]).unwrap();
    send(&here, b"second", &[two.as_fd(), two.as_fd()]).unwrap();
    send(&here, b"after", &[]).unwrap();

    // Read in pieces: the descriptors of "first" come with its f.
    let mut buffer = [0; 4];
    let mut told = Vec::new();
    let mut all = Vec::new();
    while all.len() < 22 {
        let received = receive(&there, &mut buffer).unwrap();
        all.extend_from_slice(&buffer[..received.bytes]);
        told.push((all.len(), received.descriptors.len()));
    }
    assert_eq!(all, b"beforefirstsecondafter");
    let with: Vec<_> = told.iter().filter(|(_, fds)| *fds > 0).collect();
    assert_eq!(with.len(), 2, "{told:?}");
    // Up to where the piece reached, that had them: one that has the byte they were sent with.
    assert!((7..=10).contains(&with[0].0) && with[0].1 == 1, "{told:?}");
    assert!((12..=15).contains(&with[1].0) && with[1].1 == 2, "{told:?}");
}

#[test]
fn descriptors_of_two_sends_never_come_together() {
    let _room = Room::enter();
    let (here, there) = pair(SocketType::STREAM);
    let file = file_of(b"x");
    for n in 1..=3 {
        send(&here, b"message", &times(&file, n)).unwrap();
    }
    for n in 1..=3 {
        let received = receive(&there, &mut [0; 4096]).unwrap();
        assert_eq!((received.bytes, received.descriptors.len()), (7, n));
    }
}

#[test]
fn a_large_message_carries_its_descriptors_once() {
    let _room = Room::enter();
    let (here, there) = pair(SocketType::STREAM);
    let (bytes, file) = (pattern(3_000_000, 1), file_of(b"x"));
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || {
        assert_eq!(send(&here, &sent, &[file.as_fd()]).unwrap(), sent.len());
    });
    let (mut all, mut descriptors, mut buffer) = (Vec::new(), 0, vec![0; 50_000]);
    loop {
        let received = receive(&there, &mut buffer).unwrap();
        if received.bytes == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..received.bytes]);
        descriptors += received.descriptors.len();
    }
    sending.join().unwrap();
    assert!(all == bytes && descriptors == 1);
}

#[test]
fn a_socket_that_is_full_takes_a_part_or_says_so() {
    let _room = Room::enter();
    let (here, there) = pair(SocketType::STREAM);
    nonblocking(&here, true);
    let file = file_of(b"x");
    let bytes = pattern(4_000_000, 2);
    let taken = send(&here, &bytes, &[file.as_fd()]).unwrap();
    assert!(taken > 0 && taken < bytes.len(), "{taken}");
    let error = send(&here, &bytes[taken..], &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(here);
    let mut buffer = vec![0; 1 << 20];
    let received = receive(&there, &mut buffer).unwrap();
    assert_eq!(received.descriptors.len(), 1);
    let mut all = buffer[..received.bytes].to_vec();
    File::from(there).read_to_end(&mut all).unwrap();
    assert!(all == bytes[..taken]);
}

#[test]
fn one_sealed_memfd_is_one_and_nothing_else_is() {
    let _room = Room::enter();
    let (here, there) = pair(SocketType::STREAM);
    let sealed = Sealed::from_bytes(b"contents").unwrap();
    send(&here, b"x", &[sealed.as_fd()]).unwrap();
    let received = receive(&there, &mut [0; 1]).unwrap().into_sealed().unwrap();
    assert_eq!(&received[..], b"contents");
    assert_ne!(received.as_ptr(), sealed.as_ptr(), "a mapping of its own, of the same pages");

    for n in [0, 2] {
        send(&here, b"x", &times(&sealed, n)).unwrap();
        let before = count();
        let error = receive(&there, &mut [0; 1]).unwrap().into_sealed().unwrap_err();
        assert!(error.to_string().contains(&format!("{n} descriptors came")), "{error}");
        assert_eq!(count(), before);
    }
}

const SECRET: &[u8] = b"what the other process has filled in";

/// The other process: sends what it is not to send, then what it is, and then tries to change it.
#[test]
fn other_process_sends_memory() {
    if !child::is_child() {
        return;
    }
    let socket = UnixStream::from(rustix::io::dup(std::io::stdin()).unwrap());
    let mut answer = [0; 1];
    for seals in [
        SealFlags::empty(),
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SEAL,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    ] {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("theirs", flags).unwrap();
        rustix::io::write(&fd, SECRET).unwrap();
        rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
        send(&socket, b"m", &[fd.as_fd()]).unwrap();
        (&socket).read_exact(&mut answer).unwrap();
        if answer == *b"+" {
            assert!(rustix::io::pwrite(&fd, b"changed", 0).is_err());
            assert!(rustix::fs::ftruncate(&fd, 0).is_err());
        }
    }
    (&socket).write_all(b"!").unwrap();
}

#[test]
fn memory_of_another_process_is_handed_out_only_once_it_cannot_change() {
    let _room = Room::enter();
    let (here, there) = UnixStream::pair().unwrap();
    let mut command = child::command("other_process_sends_memory");
    let child = command
        .stdin(Stdio::from(OwnedFd::from(there)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command has the other end of the pair, which has to close with the process.
    drop(command);
    let mut byte = [0; 1];
    let no = |byte: &mut [u8; 1], missing: &str| {
        let error = receive(&here, byte).unwrap().into_sealed().unwrap_err();
        assert!(error.get_ref().is_some_and(|cause| cause.is::<NotSealed>()), "{error}");
        assert!(error.to_string().contains(missing), "{error}, not {missing}");
        (&here).write_all(b"-").unwrap();
    };
    no(&mut byte, "lacks F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL,");
    no(&mut byte, "lacks F_SEAL_WRITE,");
    no(&mut byte, "F_SEAL_FUTURE_WRITE leaves mappings that exist writable");
    no(&mut byte, "lacks F_SEAL_SHRINK,");
    let sealed = receive(&here, &mut byte).unwrap().into_sealed().unwrap();
    (&here).write_all(b"+").unwrap();
    assert_eq!(receive(&here, &mut byte).unwrap().bytes, 1, "it has tried to change it");
    assert_eq!(&sealed[..], SECRET);
    child::passed(&child.wait_with_output().unwrap());
}
