//! Sealed memfds: filled, sealed, read, and what is refused as one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "writable mappings of files, to see that they are refused")]

mod support;

use std::fs::File;
use std::io::{BufRead, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use fdflow::share::{Flaw, NotSealed, Sealed, SealedBuilder};
use fdflow::{Errno, Plain};
use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::FdFlags;

use support::{Room, denied, file_of, pattern, skipped};

const LENGTHS: [usize; 5] = [0, 1, 4096, 100_003, 3_000_000];

fn all_seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

fn memfd(flags: MemfdFlags) -> OwnedFd {
    rustix::fs::memfd_create("test", flags | MemfdFlags::CLOEXEC).unwrap()
}

/// A memfd with eight bytes and these seals.
fn with_seals(seals: SealFlags) -> OwnedFd {
    let fd = memfd(MemfdFlags::ALLOW_SEALING);
    rustix::io::write(&fd, b"contents").unwrap();
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

/// The same memory through another open file.
fn opened_again(fd: impl AsFd, options: &std::fs::OpenOptions) -> File {
    options.open(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())).unwrap()
}

/// `None` where the environment denies every route that works for the pair.
fn filled(result: std::io::Result<Sealed>) -> Option<Sealed> {
    match result {
        Err(error) if error.kind() == ErrorKind::Unsupported && !denied().is_empty() => None,
        result => Some(result.unwrap()),
    }
}

fn refused(fd: OwnedFd) -> NotSealed {
    Sealed::try_from(fd).map(|_| ()).expect_err("it can still change")
}

#[test]
fn what_is_filled_in_is_read_back_whichever_way_it_came() {
    let _room = Room::enter();
    for length in LENGTHS {
        let bytes = pattern(length, 1);
        assert!(Sealed::from_bytes(&bytes).unwrap()[..] == bytes);
        assert!(Sealed::from_reader(&bytes[..]).unwrap()[..] == bytes);
        assert!(Sealed::from_reader(file_of(&bytes)).unwrap()[..] == bytes);
        for sealed in [
            filled(Sealed::from_source(Plain(&bytes[..]))),
            filled(Sealed::from_source(file_of(&bytes))),
            filled(Sealed::from_source(Sealed::from_bytes(&bytes).unwrap().reader())),
        ] {
            assert!(sealed.is_none_or(|sealed| sealed[..] == bytes), "{length}");
        }
        let mut builder = SealedBuilder::new().unwrap();
        for piece in bytes.chunks(1000) {
            builder.write_all(piece).unwrap();
        }
        assert!(builder.seal().unwrap()[..] == bytes);
    }
}

#[test]
fn nobody_can_change_what_is_sealed_by_whatever_descriptor() {
    let _room = Room::enter();
    let sealed = Sealed::from_bytes(b"contents").unwrap();
    let seals = rustix::fs::fcntl_get_seals(&sealed).unwrap();
    assert!(seals.contains(all_seals()), "{seals:?}");
    let again = opened_again(&sealed, File::options().read(true).write(true));
    for fd in [sealed.as_fd(), again.as_fd()] {
        assert_eq!(rustix::io::pwrite(fd, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::io::pwrite(fd, b"x", 8), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(fd, 4), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(fd, 16), Err(Errno::PERM));
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::fallocate(fd, punch, 0, 8), Err(Errno::PERM));
        let more = rustix::fs::fcntl_add_seals(fd, SealFlags::FUTURE_WRITE);
        assert_eq!(more, Err(Errno::PERM));
        // SAFETY: it is refused; were it not, nobody would use it.
        let mapped = unsafe { MmapMut::map_mut(fd.as_raw_fd()) };
        assert_eq!(mapped.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    assert_eq!(&sealed[..], b"contents");
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
fn what_is_mapped_for_writing_cannot_be_sealed_until_it_is_unmapped() {
    let _room = Room::enter();
    let mut builder = SealedBuilder::new().unwrap();
    builder.write_all(b"contents").unwrap();
    // SAFETY: nobody cuts the file while the mapping lives.
    let mut mapped = unsafe { MmapMut::map_mut(builder.as_fd().as_raw_fd()) }.unwrap();
    let error = builder.seal().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(error.to_string().contains("mapped for writing"), "{error}");
    let builder = error.into_builder();
    assert_eq!(rustix::fs::fcntl_get_seals(&builder).unwrap() & all_seals(), SealFlags::empty());
    mapped[0] = b'C';
    drop(mapped);
    assert_eq!(&builder.seal().unwrap()[..], b"Contents");
}

#[test]
fn a_builder_that_its_user_has_sealed_is_sealed_if_it_has_all_seals() {
    let _room = Room::enter();
    for (seals, enough) in [(all_seals(), true), (all_seals() - SealFlags::WRITE, false)] {
        let builder = SealedBuilder::new().unwrap();
        rustix::fs::fcntl_add_seals(&builder, seals).unwrap();
        match builder.seal() {
            Ok(_) => assert!(enough),
            Err(error) => {
                assert!(!enough && error.to_string().contains("lacks F_SEAL_WRITE,"), "{error}");
            }
        }
    }
}

#[test]
fn a_builder_is_a_file_with_a_position() {
    let _room = Room::enter();
    let mut builder = SealedBuilder::new().unwrap();
    builder.write_all(b"....").unwrap();
    builder.seek(SeekFrom::Start(8)).unwrap();
    builder.write_all(b"end").unwrap();
    builder.rewind().unwrap();
    builder.write_all(b"head").unwrap();
    assert_eq!(&builder.seal().unwrap()[..], b"head\0\0\0\0end");
}

#[test]
fn its_name_is_seen_in_proc_and_one_that_cannot_be_is_refused() {
    let _room = Room::enter();
    let sealed = SealedBuilder::named("film, reel 1").unwrap().seal().unwrap();
    let names = support::descriptors();
    assert!(names.iter().any(|name| name.starts_with("/memfd:film, reel 1")), "{names:?}");
    let mut builder = SealedBuilder::named("mapped").unwrap();
    builder.write_all(b"x").unwrap();
    let mapped = builder.seal().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("/memfd:mapped")).unwrap();
    assert!(line.contains(" r--p "), "{line}");
    assert!(SealedBuilder::named(&"n".repeat(249)).is_ok());
    for name in ["n".repeat(250), "with\0inside".to_owned()] {
        let error = SealedBuilder::named(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("at most 249 bytes"), "{error}");
    }
    drop((sealed, mapped));
}

#[test]
fn clones_are_one_mapping_and_the_descriptor_outlives_them() {
    fn goes_between_threads<T: Send + Sync + Clone + 'static>(_: &T) {}
    let _room = Room::enter();
    let sealed = Sealed::from_bytes(b"contents").unwrap();
    goes_between_threads(&sealed);
    let clone = sealed.clone();
    assert_eq!(clone.as_ptr(), sealed.as_ptr());
    let flags = rustix::io::fcntl_getfd(&sealed).unwrap();
    assert!(flags.contains(FdFlags::CLOEXEC));
    let number = sealed.as_fd().as_raw_fd();
    let duplicate = sealed.into_fd().unwrap();
    assert_ne!(duplicate.as_raw_fd(), number, "the clone keeps its own");
    let own = clone.into_fd().unwrap();
    assert_eq!(own.as_raw_fd(), number);
    for fd in [duplicate, own] {
        assert_eq!(&Sealed::try_from(fd).unwrap()[..], b"contents");
    }
}

#[test]
fn a_reader_does_what_a_cursor_does() {
    let _room = Room::enter();
    let bytes = pattern(10_000, 7);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    let (mut ours, mut theirs) = (sealed.reader(), Cursor::new(&bytes[..]));
    let dice = pattern(3000, 8);
    for roll in dice.chunks_exact(3) {
        let by = i64::from(i16::from_le_bytes([roll[1], roll[2]]));
        match roll[0] % 6 {
            0 => {
                let (mut a, mut b) = (vec![0; roll[1].into()], vec![0; roll[1].into()]);
                assert_eq!(ours.read(&mut a).unwrap(), theirs.read(&mut b).unwrap());
                assert_eq!(a, b);
            }
            1 => {
                let (a, b) = (ours.fill_buf().unwrap(), theirs.fill_buf().unwrap());
                assert_eq!(a, b);
                let n = a.len().min(roll[1].into());
                ours.consume(n);
                theirs.consume(n);
            }
            kind => {
                let to = match kind {
                    2 => SeekFrom::Start(by.unsigned_abs()),
                    3 => SeekFrom::End(by),
                    _ => SeekFrom::Current(by),
                };
                assert_eq!(ours.seek(to).ok(), theirs.seek(to).ok(), "{to:?}");
            }
        }
        assert_eq!(ours.stream_position().unwrap(), theirs.position());
    }
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

#[test]
fn holes_read_as_zeros() {
    let _room = Room::enter();
    let mut builder = SealedBuilder::new().unwrap();
    builder.seek(SeekFrom::Start(1 << 20)).unwrap();
    builder.write_all(b"end").unwrap();
    let sealed = builder.seal().unwrap();
    assert_eq!(sealed.len(), (1 << 20) + 3);
    assert!(sealed[..1 << 20].iter().all(|byte| *byte == 0) && sealed.ends_with(b"end"));
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_are_the_same_memory() {
    let _room = Room::enter();
    let sealed = Sealed::from_bytes(b"contents").unwrap();
    let at = sealed.as_ptr();
    let mut bytes = bytes::Bytes::from(sealed);
    let tail = bytes.split_off(3);
    drop(bytes);
    assert_eq!((&tail[..], tail.as_ptr()), (&b"tents"[..], at.wrapping_add(3)));
}
