//! What is refused as sealed memory, by name, and comes back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "a mapping that is still written to after it was sealed")]

#[path = "support/seals.rs"]
mod seals;
mod support;

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use fdflow::share::{Flaw, NotSealed, Sealed};
use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, SealFlags};

use seals::{all_seals, memfd, opened_again, with_seals};
use support::{Room, file_of, skipped};

fn refused(fd: OwnedFd) -> NotSealed {
    Sealed::try_from(fd).map(|_| ()).expect_err("it can still change")
}

#[test]
fn each_missing_seal_is_named_and_the_descriptor_comes_back() {
    let _room = Room::enter();
    for (seal, name) in [
        (SealFlags::WRITE, "F_SEAL_WRITE"),
        (SealFlags::SHRINK, "F_SEAL_SHRINK"),
        (SealFlags::GROW, "F_SEAL_GROW"),
        (SealFlags::SEAL, "F_SEAL_SEAL"),
    ] {
        let refused = refused(with_seals(all_seals() - seal));
        let message = refused.to_string();
        assert!(message.contains(&format!("lacks {name},")), "{message}");
        let fd = refused.into_fd();
        let mut bytes = [0; 9];
        assert_eq!(rustix::io::pread(&fd, &mut bytes, 0), Ok(8), "it is open");
        // F_SEAL_SEAL keeps the others from being added later.
        assert_eq!(rustix::fs::fcntl_add_seals(&fd, seal).is_ok(), seal == SealFlags::SEAL);
        assert_eq!(Sealed::try_from(fd).is_ok(), seal == SealFlags::SEAL);
    }
}

#[test]
fn a_seal_against_writes_to_come_leaves_mappings_and_is_not_enough() {
    let _room = Room::enter();
    let fd = memfd(MemfdFlags::ALLOW_SEALING);
    rustix::io::write(&fd, b"contents").unwrap();
    // SAFETY: nobody cuts the file while the mapping lives.
    let mut mapped = unsafe { MmapMut::map_mut(fd.as_raw_fd()) }.unwrap();
    rustix::fs::fcntl_add_seals(&fd, (all_seals() - SealFlags::WRITE) | SealFlags::FUTURE_WRITE)
        .unwrap();
    let refused = refused(fd);
    assert!(matches!(refused.flaw(), Flaw::Unsealed { write: true, future_write: true, .. }));
    assert!(refused.to_string().contains("F_SEAL_FUTURE_WRITE leaves mappings"), "{refused}");
    mapped[0] = b'C';
    let mut bytes = [0; 8];
    rustix::io::pread(refused.into_fd(), &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"Contents", "which is why");
}

#[test]
fn what_is_no_sealed_memfd_is_refused_by_name() {
    let _room = Room::enter();
    let sealed = Sealed::from_bytes(b"contents").unwrap();
    let path_only = format!("/proc/self/fd/{}", sealed.as_fd().as_raw_fd());
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let path_only = rustix::fs::open(path_only, flags, rustix::fs::Mode::empty()).unwrap();
    let write_only = opened_again(&sealed, File::options().write(true));
    let (pipe, _writer) = std::io::pipe().unwrap();
    for (fd, expected) in [
        (OwnedFd::from(file_of(b"an ordinary file")), "not a memfd"),
        (pipe.into(), "not a memfd"),
        (support::unix().0.into(), "not a memfd"),
        (with_seals(SealFlags::empty()), "lacks F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL"),
        (memfd(MemfdFlags::empty()), "lacks F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW,"),
        (path_only, "O_PATH"),
        (write_only.into(), "not open for reading"),
    ] {
        let refused = refused(fd);
        assert!(refused.to_string().contains(expected), "{refused}, not {expected}");
        let error = std::io::Error::from(refused);
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.get_ref().is_some_and(|cause| cause.is::<NotSealed>()));
    }
}

#[test]
fn a_file_in_shared_memory_is_refused_although_it_has_seals() {
    let _room = Room::enter();
    let Ok(file) = tempfile::tempfile_in("/dev/shm") else {
        return skipped("a_file_in_shared_memory", "no /dev/shm");
    };
    let fd = OwnedFd::from(file);
    let Ok(seals) = rustix::fs::fcntl_get_seals(&fd) else {
        return skipped("a_file_in_shared_memory", "/dev/shm is no tmpfs");
    };
    assert_eq!(seals, SealFlags::SEAL);
    assert!(matches!(refused(fd).flaw(), Flaw::Unsealed { write: true, seal: false, .. }));
}

#[test]
fn huge_pages_are_refused_though_sealed() {
    let _room = Room::enter();
    let huge = MemfdFlags::HUGETLB | MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let fd = match rustix::fs::memfd_create("huge", huge) {
        Ok(fd) => fd,
        Err(errno) => return skipped("huge_pages", &format!("no memfd of huge pages: {errno}")),
    };
    rustix::fs::fcntl_add_seals(&fd, all_seals()).unwrap();
    let refused = refused(fd);
    assert!(matches!(refused.flaw(), Flaw::HugePages), "{refused}");
}

#[test]
fn a_length_that_cannot_be_mapped_is_an_error() {
    let _room = Room::enter();
    let fd = memfd(MemfdFlags::ALLOW_SEALING);
    // More than any process has addresses for, of nothing but holes.
    rustix::fs::ftruncate(&fd, 1 << 60).unwrap();
    rustix::fs::fcntl_add_seals(&fd, all_seals()).unwrap();
    let refused = refused(fd);
    assert!(matches!(refused.flaw(), Flaw::Io(_)), "{refused}");
    assert_eq!(std::io::Error::from(refused).kind(), ErrorKind::OutOfMemory);
}
