//! Maps: windows at any offset, copies, writing, advice, growth, and what cannot be mapped.
#![allow(unsafe_code, clippy::unwrap_used, reason = "maps are; a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;

use fdflow::map::{Advice, Map, MapError, MapMut, MapOptions};
use rustix::fs::{CWD, FileType, Mode, OFlags, SealFlags, mknodat, open};
use support::{Room, child, file_of, pattern, skipped};

const PAGE: usize = 4096;

/// What a test promises of the files that it has made.
fn whole(file: &File) -> Map {
    // SAFETY: no test changes the file while it has the map.
    unsafe { Map::new(file) }.unwrap()
}

fn part(file: &File, offset: u64, length: usize) -> Map {
    // SAFETY: no test changes the file while it has the map.
    unsafe { MapOptions::new().offset(offset).length(length).map(file) }.unwrap()
}

fn refused(file: &File) -> MapError {
    // SAFETY: nothing is to be mapped.
    unsafe { Map::new(file) }.unwrap_err()
}

/// How many mappings this process has.
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

#[test]
fn h66_a_window_may_begin_anywhere_and_ends_where_the_file_does() {
    let _room = Room::enter();
    let bytes = pattern(3 * PAGE + 17, 1);
    let file = file_of(&bytes);
    assert_eq!(&*whole(&file), bytes);
    let borders = [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 5, bytes.len() - 1, bytes.len()];
    for offset in borders {
        for length in [0, 1, 2, PAGE, PAGE + 1, bytes.len(), usize::MAX] {
            let map = part(&file, offset as u64, length);
            let end = bytes.len().min(offset.saturating_add(length));
            assert_eq!(&*map, &bytes[offset..end], "{length} bytes at {offset}");
            assert_eq!(map.offset(), offset as u64);
        }
    }
    let beyond = MapOptions::new().offset(bytes.len() as u64 + 1);
    // SAFETY: nothing is to be mapped.
    let error = unsafe { beyond.map(&file) }.unwrap_err();
    assert!(matches!(error, MapError::Beyond { .. }), "{error}");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn h65_an_empty_file_is_an_empty_map_and_no_mapping() {
    // In a process of its own: other tests map too.
    if !child::alone("h65_an_empty_file_is_an_empty_map_and_no_mapping") {
        return;
    }
    let (empty, full) = (file_of(b""), file_of(b"12345"));
    let before = mappings();
    let maps = [whole(&empty), part(&full, 5, 10), part(&full, 2, 0)];
    let memory = MapMut::anonymous(0).unwrap();
    assert_eq!(mappings(), before);
    for map in &maps {
        assert!(map.is_empty() && map.find(b"1").is_none() && map.find_byte(0).is_none());
        map.advise(Advice::Populate).unwrap();
        map.lock().unwrap();
        map.unlock().unwrap();
    }
    memory.flush().unwrap();
    assert!(memory.is_empty());
    let one = part(&full, 2, 1);
    assert_eq!(mappings(), before + 1);
    drop(one);
    assert_eq!(mappings(), before);
}

#[test]
fn a_map_outlives_its_descriptor() {
    let _room = Room::enter();
    let map = whole(&file_of(b"still there"));
    assert_eq!(&*map, b"still there");
}

#[test]
fn what_is_written_to_a_file_reaches_it_and_what_is_written_to_a_copy_does_not() {
    let _room = Room::enter();
    let bytes = pattern(2 * PAGE + 100, 2);
    let file = file_of(&bytes);
    // SAFETY: nothing else looks at the file while this writes.
    let mut copy = unsafe { MapMut::copy_on_write(&file) }.unwrap();
    copy[5] ^= 0xff;
    copy.flush().unwrap();
    assert_eq!(read(&file), bytes);
    assert_ne!(&*copy, bytes);
    drop(copy);

    let options = MapOptions::new().offset(PAGE as u64 + 50).length(20);
    // SAFETY: nothing else looks at the file while this writes.
    let mut part = unsafe { options.map_mut(&file) }.unwrap();
    part.copy_from_slice(&[7; 20]);
    part.flush_range(3..5).unwrap();
    part.flush_async_range(..).unwrap();
    part.flush_async().unwrap();
    part.flush().unwrap();
    drop(part);
    let mut expected = bytes.clone();
    expected[PAGE + 50..PAGE + 70].fill(7);
    assert_eq!(read(&file), expected);
}

#[test]
fn a_part_outside_of_a_map_is_an_error() {
    let _room = Room::enter();
    let memory = MapMut::anonymous(100).unwrap();
    for error in [
        memory.flush_range(99..101).unwrap_err(),
        memory.flush_async_range(101..).unwrap_err(),
        memory.advise_range(Advice::Random, ..=100).unwrap_err(),
    ] {
        assert!(matches!(error, MapError::Outside { length: 100, .. }), "{error}");
    }
}

#[test]
fn memory_without_a_file_is_zeroed_and_can_be_written_to() {
    let _room = Room::enter();
    let options = MapOptions::new().offset(77).length(PAGE + 1).populate();
    for mut memory in [MapMut::anonymous(PAGE + 1).unwrap(), options.anonymous().unwrap()] {
        assert_eq!((memory.offset(), memory.len()), (0, PAGE + 1));
        assert!(memory.iter().all(|byte| *byte == 0));
        memory[PAGE] = 1;
        assert_eq!(memory.iter().filter(|byte| **byte == 1).count(), 1);
    }
    assert!(matches!(MapMut::anonymous(usize::MAX), Err(MapError::TooLong { .. })));
    let error = MapMut::anonymous(isize::MAX as usize).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");
}

#[test]
fn every_advice_is_taken_and_changes_no_byte() {
    let _room = Room::enter();
    let bytes = pattern(5 * PAGE + 3, 3);
    let file = file_of(&bytes);
    let map = part(&file, 10, usize::MAX);
    for advice in
        [Advice::Sequential, Advice::Random, Advice::WillNeed, Advice::Populate, Advice::Normal]
    {
        map.advise(advice).unwrap();
        map.advise_range(advice, 1..PAGE * 2).unwrap();
        assert_eq!(&*map, &bytes[10..]);
    }
    match map.advise(Advice::HugePages) {
        Ok(()) => assert_eq!(&*map, &bytes[10..]),
        Err(error) => skipped("huge pages", &error.to_string()),
    }
    match map.lock() {
        Ok(()) => map.unlock().unwrap(),
        Err(error) => skipped("locking", &error.to_string()),
    }
    // SAFETY: nobody changes the file.
    let populated = unsafe { MapOptions::new().populate().map(&file) }.unwrap();
    assert_eq!(&*populated, bytes);
}

#[cfg(all(target_os = "linux", not(fdflow_portable)))]
#[test]
fn to_populate_what_the_file_has_lost_is_an_error() {
    let _room = Room::enter();
    let file = file_of(&pattern(8 * PAGE, 4));
    // SAFETY: what the file loses is not looked at.
    let map = unsafe { Map::new(&file) }.unwrap();
    file.set_len(PAGE as u64).unwrap();
    let error = map.advise(Advice::Populate).unwrap_err();
    let MapError::System { call: "madvise", cause } = &error else { panic!("{error}") };
    assert_eq!(cause.raw_os_error(), Some(libc::EFAULT));
    map.advise_range(Advice::Populate, ..PAGE).unwrap();
}

#[test]
fn a_map_keeps_the_length_that_the_file_had() {
    let _room = Room::enter();
    let file = file_of(b"before");
    let map = whole(&file);
    file.write_all_at(b" and after", 6).unwrap();
    assert_eq!(&*map, b"before");
    assert_eq!(&*whole(&file), b"before and after");
}

#[test]
fn permissions_are_told_before_the_kernel_is_asked() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "bytes").unwrap();
    let (reading, writing) = (File::open(&path).unwrap(), File::options().write(true).open(&path));
    assert!(matches!(refused(&writing.unwrap()), MapError::NotReadable));
    // SAFETY: nothing is to be mapped.
    let shared = unsafe { MapMut::new(&reading) };
    // SAFETY: nobody changes the file.
    let private = unsafe { MapMut::copy_on_write(&reading) };
    let error = shared.unwrap_err();
    assert!(matches!(error, MapError::NotWritable), "{error}");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(&*private.unwrap(), b"bytes");
}

#[test]
fn what_is_no_regular_file_is_refused_by_name() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let fifo = File::options().read(true).write(true).open(fifo).unwrap();
    let path_only = open(dir.path().join("fifo"), OFlags::PATH, Mode::empty()).unwrap();
    for (file, said) in [
        (fifo, "FIFO"),
        (File::open(dir.path()).unwrap(), "directory"),
        (File::open("/dev/zero").unwrap(), "device"),
        (File::open("/dev/null").unwrap(), "device"),
        (File::from(path_only), "O_PATH"),
    ] {
        let error = refused(&file);
        assert!(matches!(error, MapError::Kind(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        let error = io::Error::from(error);
        assert!(matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory));
    }
}

#[test]
fn a_file_that_only_says_it_is_empty_is_no_empty_map() {
    let _room = Room::enter();
    for path in ["/proc/self/status", "/proc/version"] {
        let error = refused(&File::open(path).unwrap());
        assert!(matches!(error, MapError::FalseLength), "{error}");
        assert!(error.to_string().contains("read"), "{error}");
    }
}

#[test]
fn matches_in_a_map_do_not_overlap() {
    let _room = Room::enter();
    let map = whole(&file_of(b"aaaaa banana"));
    let all = |pattern| map.matches(pattern).collect::<Vec<_>>();
    assert_eq!(all(b"aa"), [0, 2]);
    assert_eq!(all(b"ana"), [7]);
    assert_eq!(all(b"a"), [0, 1, 2, 3, 4, 7, 9, 11]);
    assert!(all(b"").is_empty() && all(b"bananas").is_empty());
    assert_eq!((map.find(b"nan"), map.find(b""), map.find_byte(b'n')), (Some(8), None, Some(8)));
}

#[cfg(target_os = "linux")]
#[test]
fn without_unsafe_only_what_is_sealed_is_mapped() {
    let _room = Room::enter();
    let sealed = |seals| {
        let flags = rustix::fs::MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("test", flags).unwrap());
        file.write_all(b"bytes").unwrap();
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        Map::sealed(&file)
    };
    assert_eq!(&*sealed(SealFlags::SHRINK | SealFlags::WRITE).unwrap(), b"bytes");
    for too_few in [SealFlags::empty(), SealFlags::SHRINK, SealFlags::WRITE | SealFlags::GROW] {
        let error = sealed(too_few).unwrap_err();
        assert!(matches!(error, MapError::Unsealed), "{error}");
    }
    assert!(matches!(Map::sealed(file_of(b"bytes")), Err(MapError::Unsealed)));
    assert!(Map::sealed(file_of(b"")).unwrap().is_empty());
}

/// The hazard that the rest is built against: without it the other tests could not fail.
#[test]
fn h64_a_load_of_what_the_file_has_lost_kills() {
    const NAME: &str = "h64_a_load_of_what_the_file_has_lost_kills";
    if child::is_child() {
        let file = file_of(&pattern(2 * PAGE, 5));
        // SAFETY: that the promise is broken is what is tested; this process ends of it.
        let map = unsafe { Map::new(&file) }.unwrap();
        file.set_len(1).unwrap();
        println!("{}", std::hint::black_box(&map)[PAGE]);
        return;
    }
    let _room = Room::enter();
    let output = child::command(NAME).output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
}

fn read(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}
