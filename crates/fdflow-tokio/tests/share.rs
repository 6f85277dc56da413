//! Descriptors over tokio's Unix sockets, and sealed memory as a source.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "a descriptor is registered with the runtime by hand")]

mod support;

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use fdflow::share::{NotSealed, Sealed};
use fdflow::{Route, Stability};
use fdflow_tokio::share::{MAX_DESCRIPTORS, PassError, UnixSocket, receive, send};
use fdflow_tokio::{Transfer, copy};
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::{UnixDatagram, UnixStream};

use support::socket::{PAIRS, pair};
use support::{denied, moved, on_each_runtime, pattern, reading};

/// A packet socket, which tokio has no type for.
fn packets() -> (AsyncFd<OwnedFd>, AsyncFd<OwnedFd>) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (registered(a), registered(b))
}

fn registered(socket: OwnedFd) -> AsyncFd<OwnedFd> {
    // SAFETY: the descriptor is the owner's, and stays the same as long as it lives.
    unsafe { AsyncFd::register(socket) }.unwrap()
}

fn file_of(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn times<'fd>(fd: &'fd impl AsFd, n: usize) -> Vec<BorrowedFd<'fd>> {
    vec![fd.as_fd(); n]
}

/// What kept descriptors from being passed.
fn why(error: &std::io::Error) -> PassError {
    *error.get_ref().and_then(|cause| cause.downcast_ref()).unwrap_or_else(|| panic!("{error}"))
}

/// The receiver waits first; a message of two descriptors, one of as many as fit, one too many.
async fn passes<S: UnixSocket + Sync + Send + 'static>((here, there): (S, S)) {
    let waiting = tokio::spawn(async move {
        let mut buffer = [0; 64];
        let first = receive(&there, &mut buffer).await.unwrap();
        let most = receive(&there, &mut [0; 8]).await.unwrap();
        (first, buffer, most.descriptors.len(), there)
    });
    tokio::task::yield_now().await;
    let (one, two) = (file_of(b"one"), file_of(b"two"));
    let sent = send(&here, b"both", &[one.as_fd(), two.as_fd()]).await;
    assert_eq!(sent.unwrap(), 4);
    let error = send(&here, b"x", &times(&one, MAX_DESCRIPTORS + 1)).await.unwrap_err();
    assert_eq!(why(&error), PassError::TooMany(254));
    assert_eq!(send(&here, b"x", &times(&one, 253)).await.unwrap(), 1);

    let (first, buffer, most, there) = waiting.await.unwrap();
    assert_eq!((&buffer[..first.bytes], first.descriptors.len(), most), (&b"both"[..], 2, 253));
    for (fd, name) in first.descriptors.into_iter().zip([b"one", b"two"]) {
        assert_eq!(rustix::io::fcntl_getfd(&fd), Ok(FdFlags::CLOEXEC));
        let mut bytes = [0; 3];
        File::from(fd).read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, name);
    }
    drop((here, there));
}

#[test]
fn descriptors_pass_and_whoever_waits_for_them_is_woken() {
    on_each_runtime(|| async {
        passes(UnixStream::pair().unwrap()).await;
        passes(UnixDatagram::pair().unwrap()).await;
        passes(packets()).await;
    });
}

#[test]
fn what_is_cut_is_an_error_and_its_descriptors_are_closed() {
    on_each_runtime(|| async {
        let (here, there) = UnixDatagram::pair().unwrap();
        let file = file_of(b"x");
        send(&here, b"nine byte", &times(&file, 3)).await.unwrap();
        let before = support::descriptors().len();
        let error = receive(&there, &mut [0; 8]).await.unwrap_err();
        assert_eq!(why(&error), PassError::Truncated { room: 8 });
        assert_eq!(support::descriptors().len(), before);
    });
}

#[test]
fn a_receive_that_is_dropped_has_taken_nothing() {
    on_each_runtime(|| async {
        let (here, there) = UnixStream::pair().unwrap();
        for n in 1..=3 {
            let mut buffer = [0; 8];
            tokio::select! {
                biased;
                _ = receive(&there, &mut buffer) => panic!("nothing was sent"),
                () = tokio::task::yield_now() => {}
            }
            send(&here, b"message", &times(&here, n)).await.unwrap();
            let received = receive(&there, &mut buffer).await.unwrap();
            assert_eq!((received.bytes, received.descriptors.len()), (7, n));
        }
    });
}

#[test]
fn a_socket_that_is_full_is_waited_for_and_takes_a_part() {
    on_each_runtime(|| async {
        let (here, mut there) = UnixStream::pair().unwrap();
        let bytes = pattern(3_000_000, 1);
        let (sent, file) = (bytes.clone(), file_of(b"x"));
        let sending = tokio::spawn(async move {
            let mut at = send(&here, &sent, &[file.as_fd()]).await.unwrap();
            let first = at;
            while at < sent.len() {
                at += send(&here, &sent[at..], &[]).await.unwrap();
            }
            first
        });
        let mut all = vec![0; 1000];
        let received = receive(&there, &mut all).await.unwrap();
        assert_eq!((received.bytes, received.descriptors.len()), (1000, 1));
        there.read_to_end(&mut all).await.unwrap();
        assert!(sending.await.unwrap() < bytes.len(), "all of it fitted at once");
        assert!(all == bytes);
    });
}

#[test]
fn memory_that_can_still_change_is_refused_by_name() {
    on_each_runtime(|| async {
        let (here, there) = UnixStream::pair().unwrap();
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let open = rustix::fs::memfd_create("open", flags).unwrap();
        send(&here, b"x", &[open.as_fd()]).await.unwrap();
        let error = receive(&there, &mut [0]).await.unwrap().into_sealed().unwrap_err();
        assert!(error.get_ref().is_some_and(|cause| cause.is::<NotSealed>()), "{error}");
        assert!(error.to_string().contains("lacks F_SEAL_WRITE"), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn a_snapshot_of_sealed_memory_goes_to_many_at_once_by_sendfile() {
    on_each_runtime(|| async {
        let bytes = pattern(2_000_000, 2);
        let sealed = Sealed::from_bytes(&bytes).unwrap();
        let mut sending = Vec::new();
        for (sort, _) in PAIRS {
            let (near, far) = pair(sort).await;
            let (sealed, caught) = (sealed.clone(), reading(far));
            sending.push((
                caught,
                tokio::spawn(async move {
                    let transfer = Transfer::new(sealed, near).stability(Stability::Snapshot);
                    { transfer }.run().await
                }),
            ));
        }
        for (caught, sent) in sending {
            let sent = moved(sent.await.unwrap());
            let caught = caught.await.unwrap();
            let Some(report) = sent else { continue };
            assert!(caught == bytes, "{report}");
            if !denied().contains(Route::Sendfile) {
                assert_eq!(report.bytes_by(Route::Sendfile), 2_000_000, "{report}");
            }
        }
        assert_eq!(rustix::fs::tell(&sealed), Ok(2_000_000), "as it was filled");
    });
}

#[test]
fn a_transfer_goes_on_where_it_was_behind_its_prefix() {
    on_each_runtime(|| async {
        let bytes = pattern(500_000, 3);
        let sealed = Sealed::from_bytes(&bytes).unwrap();
        let mut reader = sealed.reader();
        std::io::Seek::seek(&mut reader, std::io::SeekFrom::Start(2)).unwrap();
        for (sort, _) in PAIRS {
            let (near, far) = pair(sort).await;
            let caught = reading(far);
            let mut transfer = Transfer::new(&reader, near).prefix(b"a prefix".to_vec()).limit(3);
            let mut last = moved(transfer.run().await);
            for limit in [4, 9, 100_000, u64::MAX] {
                transfer.set_limit(limit);
                last = moved(transfer.run().await);
            }
            drop(transfer);
            let caught = caught.await.unwrap();
            assert!(last.is_none() || caught == [b"a prefix", &bytes[2..]].concat(), "{sort:?}");
        }
        assert_eq!(reader.position(), 2);
    });
}

#[test]
fn a_copy_begins_at_the_beginning_every_time() {
    on_each_runtime(|| async {
        let sealed = Sealed::from_bytes(b"contents").unwrap();
        for _ in 0..2 {
            let (mut near, far) = UnixStream::pair().unwrap();
            let mut far = far;
            if moved(copy(&mut sealed.clone(), &mut near).await).is_none() {
                return;
            }
            drop(near);
            let mut caught = Vec::new();
            far.read_to_end(&mut caught).await.unwrap();
            assert_eq!(caught, b"contents");
        }
    });
}
