//! Descriptors that cannot be passed: what is refused, what is cut, and that nothing is left over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "signal dispositions are libc's alone")]

#[path = "support/passing.rs"]
mod passing;
mod support;

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};

use fdflow::share::{MAX_DESCRIPTORS, PassError, receive, send};
use rustix::net::SocketType;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use passing::{TYPES, count, nothing_arrived, pair, times, why};
use support::{Room, child, confine, file_of, skipped};

#[test]
fn as_many_as_fit_arrive_and_one_more_is_refused_before_anything_is_sent() {
    let _room = Room::enter();
    let file = file_of(b"x");
    for kind in TYPES {
        let (here, there) = pair(kind);
        let error = send(&here, b"x", &times(&file, MAX_DESCRIPTORS + 1)).unwrap_err();
        assert_eq!((error.kind(), why(&error)), (ErrorKind::InvalidInput, PassError::TooMany(254)));
        assert!(error.to_string().starts_with("254 descriptors, and one message carries 253"));
        nothing_arrived(&there);
        assert_eq!(send(&here, b"x", &times(&file, 253)).unwrap(), 1);
        let before = count();
        let received = receive(&there, &mut [0; 8]).unwrap();
        assert_eq!((received.bytes, received.descriptors.len()), (1, 253));
        assert_eq!(count(), before + 253);
    }
}

#[test]
fn the_kernel_carries_no_more_than_that() {
    let _room = Room::enter();
    let (file, (here, _there)) = (file_of(b"x"), pair(SocketType::STREAM));
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(254))];
    let many = times(&file, 254);
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&many)));
    let parts = [std::io::IoSlice::new(b"x")];
    let flags = rustix::net::SendFlags::empty();
    let sent = rustix::net::sendmsg(&here, &parts, &mut control, flags);
    assert_eq!(sent, Err(rustix::io::Errno::INVAL));
}

#[test]
fn without_a_byte_descriptors_travel_on_sockets_that_keep_messages_alone() {
    let _room = Room::enter();
    let file = file_of(b"x");
    for kind in TYPES {
        let (here, there) = pair(kind);
        let sent = send(&here, b"", &[file.as_fd()]);
        if kind == SocketType::STREAM {
            let error = sent.unwrap_err();
            assert_eq!((error.kind(), why(&error)), (ErrorKind::InvalidInput, PassError::NoByte));
            nothing_arrived(&there);
        } else {
            assert_eq!(sent.unwrap(), 0);
            let received = receive(&there, &mut [0; 8]).unwrap();
            assert_eq!((received.bytes, received.descriptors.len()), (0, 1));
        }
        let error = receive(&there, &mut []).unwrap_err();
        assert_eq!((error.kind(), why(&error)), (ErrorKind::InvalidInput, PassError::NoBuffer));
    }
}

#[test]
fn other_sockets_would_lose_them_and_are_refused() {
    let _room = Room::enter();
    let (here, there) = support::tcp();
    let error = send(&here, b"x", &[here.as_fd()]).unwrap_err();
    assert_eq!((error.kind(), why(&error)), (ErrorKind::InvalidInput, PassError::NotUnix));
    nothing_arrived(&there.into());
    let file = file_of(b"x");
    let error = send(&file, b"x", &[file.as_fd()]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
}

#[test]
fn a_message_that_is_cut_is_an_error_and_its_descriptors_are_closed() {
    let _room = Room::enter();
    let file = file_of(b"x");
    for kind in [SocketType::DGRAM, SocketType::SEQPACKET] {
        let (here, there) = pair(kind);
        send(&here, b"nine byte", &times(&file, 3)).unwrap();
        send(&here, b"fits", &times(&file, 2)).unwrap();
        let (before, mut buffer) = (count(), [0; 8]);
        let error = receive(&there, &mut buffer).unwrap_err();
        let cut = PassError::Truncated { room: 8 };
        assert_eq!((error.kind(), why(&error)), (ErrorKind::InvalidData, cut));
        assert_eq!((count(), &buffer), (before, b"nine byt"));
        let next = receive(&there, &mut buffer).unwrap();
        assert_eq!((next.bytes, next.descriptors.len()), (4, 2));
    }
}

/// Lowers the limit of this process's descriptors so that `more` can still be opened.
fn only(more: usize) -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    let open: Vec<_> = (0..=more).map(|_| rustix::io::dup(std::io::stdin()).unwrap()).collect();
    let next = open.last().unwrap().as_raw_fd().unsigned_abs().into();
    setrlimit(Resource::Nofile, Rlimit { current: Some(next), maximum: before.maximum }).unwrap();
    before
}

#[test]
fn descriptors_that_find_no_room_are_an_error_and_the_others_are_closed() {
    if !child::alone("descriptors_that_find_no_room_are_an_error_and_the_others_are_closed") {
        return;
    }
    let _room = Room::enter();
    let file = file_of(b"x");
    for kind in TYPES {
        let (here, there) = pair(kind);
        send(&here, b"five of them", &times(&file, 5)).unwrap();
        let open = count();
        let before = only(2);
        let (mut buffer, got) = ([0; 64], ());
        let error = receive(&there, &mut buffer).map(|_| got).unwrap_err();
        setrlimit(Resource::Nofile, before).unwrap();
        let lost = PassError::Lost { received: 2, bytes: 12 };
        assert_eq!((error.kind(), why(&error)), (ErrorKind::InvalidData, lost));
        assert_eq!((count(), &buffer[..12]), (open, &b"five of them"[..]));
    }
}

#[test]
fn a_user_with_too_many_under_way_is_told_so() {
    if !child::alone("a_user_with_too_many_under_way_is_told_so") {
        return;
    }
    let _room = Room::enter();
    if !rustix::process::geteuid().is_root() {
        return skipped("too_many_under_way", "needs root, to become a user without privileges");
    }
    let (file, (here, there)) = (file_of(b"x"), pair(SocketType::STREAM));
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum: before.maximum }).unwrap();
    confine::on_a_thread(|| {
        // Descriptors under way count against a thread's user: one that nobody else is.
        let user = rustix::process::Uid::from_raw(61_062);
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        let errors = (0..20).filter_map(|_| send(&here, b"x", &times(&file, 50)).err());
        let error = errors.take(1).next().expect("a thousand were under way");
        assert_eq!((error.kind(), why(&error)), (ErrorKind::QuotaExceeded, PassError::InFlight));
    });
    let received = receive(&there, &mut [0; 1]).unwrap();
    assert_eq!(received.descriptors.len(), 50, "what was sent before is there");
    setrlimit(Resource::Nofile, before).unwrap();
}

#[test]
fn a_peer_that_is_gone_is_an_error_and_no_signal() {
    if !child::alone("a_peer_that_is_gone_is_an_error_and_no_signal") {
        return;
    }
    // SAFETY: no handler is installed; the default needs none.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_ne!(before, libc::SIG_ERR);
    let (here, there) = pair(SocketType::STREAM);
    drop(there);
    let error = send(&here, b"x", &[here.as_fd()]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}
