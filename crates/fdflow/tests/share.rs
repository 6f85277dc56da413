//! Sealed memfds: filled, sealed, read, and changed by nobody.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "writable mappings of files, to see that they are refused")]

#[path = "support/seals.rs"]
mod seals;
mod support;

use std::fs::File;
use std::io::{BufRead, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};

use fdflow::share::{Sealed, SealedBuilder};
use fdflow::{Errno, Plain};
use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, SealFlags};
use rustix::io::FdFlags;

use seals::{all_seals, opened_again};
use support::{Room, denied, file_of, pattern};

const LENGTHS: [usize; 5] = [0, 1, 4096, 100_003, 3_000_000];

/// `None` where the environment denies every route that works for the pair.
fn filled(result: std::io::Result<Sealed>) -> Option<Sealed> {
    match result {
        Err(error) if error.kind() == ErrorKind::Unsupported && !denied().is_empty() => None,
        result => Some(result.unwrap()),
    }
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
