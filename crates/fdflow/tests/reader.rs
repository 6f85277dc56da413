//! `reader`: the same bytes in every way, which way it takes, and what cannot be read.
#![allow(unsafe_code, clippy::unwrap_used, reason = "maps are; a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::thread::spawn;

use fdflow::map::Windows;
use fdflow::reader::{Access, Options, Reader, Way, Why};
use fdflow::{Route, Routes, Transfer, reader};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use support::{Room, all_went_by, file_of, pattern, reading, skipped, tcp};

const LENGTH: usize = 300_007;
const ACCESS: [Access; 3] = [Access::Sequential, Access::Random, Access::Few];

/// Readers of the same file, in every way.
fn every_way(file: &File) -> Vec<Reader> {
    let mut readers = Vec::new();
    for access in ACCESS {
        // SAFETY: no test changes the file while it is mapped.
        let options = unsafe { Options::new().access(access).unchanging() };
        for way in [Way::Buffered, Way::Whole, Way::Map, Way::Windows] {
            readers.push(options.way(way).read(file.try_clone().unwrap()).unwrap());
        }
    }
    readers
}

/// Lines of all lengths, some longer than the buffer; the last has no end.
fn lines() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 80, 4095, 4096, 4097, 0, 131_071, 3, 131_072, 140_000, 400_000, 7];
    let ended = lengths.iter().map(|length| [vec![b'x'; *length], b"\n".to_vec()].concat());
    ended.chain([b"the last".to_vec()]).collect()
}

#[test]
fn every_way_gives_the_same_bytes() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 41);
    let file = file_of(&bytes);
    (&file).seek(SeekFrom::Start(9)).unwrap();
    for mut reader in every_way(&file) {
        let mut all = Vec::new();
        assert_eq!(reader.read_to_end(&mut all).unwrap(), LENGTH, "{}", reader.choice());
        assert!(all == bytes, "{}", reader.choice());
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
        reader.rewind().unwrap();
        let mut pieces = Vec::new();
        for size in (1..).step_by(97) {
            let at = pieces.len();
            pieces.resize(at + size, 0);
            let n = reader.read(&mut pieces[at..]).unwrap();
            pieces.truncate(at + n);
            if n == 0 {
                break;
            }
        }
        assert!(pieces == bytes, "{}", reader.choice());
    }
    assert_eq!((&file).stream_position().unwrap(), 9, "the position is the program's");
}

#[test]
fn every_way_lends_the_same_lines() {
    let _room = Room::enter();
    let lines = lines();
    let file = file_of(&lines.concat());
    for mut reader in every_way(&file) {
        for line in &lines {
            assert!(reader.next_line().unwrap() == Some(line), "{}", reader.choice());
        }
        assert!(reader.next_line().unwrap().is_none());
        reader.rewind().unwrap();
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).unwrap();
        reader.read_until(b'\n', &mut line).unwrap();
        assert_eq!(line, b"\nx\n");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Seek(SeekFrom),
    Read(usize),
    Line,
    Consume(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let place = -20_000_i64..20_000;
    prop_oneof![
        (0_u64..24_000).prop_map(|at| Step::Seek(SeekFrom::Start(at))),
        place.clone().prop_map(|by| Step::Seek(SeekFrom::Current(by))),
        place.prop_map(|by| Step::Seek(SeekFrom::End(by))),
        (0_usize..9000).prop_map(Step::Read),
        (0_usize..70).prop_map(Step::Read),
        Just(Step::Line),
        (0_usize..200).prop_map(Step::Consume),
    ]
}

/// Makes a step of both; what a reader gives is what a cursor has there.
fn make(step: &Step, reader: &mut Reader, cursor: &mut Cursor<&[u8]>) {
    match step {
        Step::Seek(to) => {
            let (got, expected) = (reader.seek(*to), cursor.seek(*to));
            assert_eq!(got.ok(), expected.ok());
        }
        Step::Read(n) => {
            let mut got = vec![0; *n];
            let read = reader.read(&mut got).unwrap();
            let mut expected = vec![0; read];
            cursor.read_exact(&mut expected).unwrap();
            assert_eq!(got[..read], expected);
            let more = !cursor.fill_buf().unwrap().is_empty();
            assert!(read > 0 || *n == 0 || !more, "an end before the end");
        }
        Step::Line => {
            let mut expected = Vec::new();
            cursor.read_until(b'\n', &mut expected).unwrap();
            assert_eq!(reader.next_line().unwrap().unwrap_or_default(), expected);
        }
        Step::Consume(n) => {
            let lent = reader.fill_buf().unwrap();
            let n = lent.len().min(*n);
            assert_eq!(lent[..n], cursor.fill_buf().unwrap()[..n]);
            reader.consume(n);
            cursor.consume(n);
        }
    }
    assert_eq!(reader.stream_position().unwrap(), cursor.position());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_way_walks_as_a_cursor_does(steps in prop::collection::vec(step(), 1..40)) {
        let _room = Room::enter();
        let mut bytes = pattern(20_011, 42);
        bytes.iter_mut().step_by(611).for_each(|byte| *byte = b'\n');
        let file = file_of(&bytes);
        for mut reader in every_way(&file) {
            let mut cursor = Cursor::new(&bytes[..]);
            steps.iter().for_each(|step| make(step, &mut reader, &mut cursor));
        }
    }
}

#[test]
fn it_says_which_way_it_takes_and_why() {
    let _room = Room::enter();
    let (small, middle, large) = (file_of(&[1; 100]), sparse(1 << 20), sparse(64 << 20));
    let chosen = |file: &File, options: Options| {
        let choice = options.read(file.try_clone().unwrap()).unwrap().choice();
        (choice.way(), choice.why())
    };
    let careful = |access| Options::new().access(access);
    // SAFETY: no test changes these files.
    let promised = |access| unsafe { careful(access).unchanging() };
    for file in [&small, &middle, &large] {
        for options in [careful(Access::Few), promised(Access::Few)] {
            assert_eq!(chosen(file, options), (Way::Buffered, Why::FewReads));
        }
        assert_eq!(chosen(file, careful(Access::Sequential)), (Way::Buffered, Why::InOrder));
    }
    assert_eq!(chosen(&middle, promised(Access::Sequential)), (Way::Buffered, Why::InOrder));
    assert_eq!(chosen(&large, promised(Access::Sequential)), (Way::Map, Why::NoCopy));
    let [careful, promised] = [careful(Access::Random), promised(Access::Random)];
    assert_eq!(chosen(&small, careful), (Way::Whole, Why::Small));
    assert_eq!(chosen(&middle, careful), (Way::Whole, Why::Small));
    assert_eq!(chosen(&large, careful), (Way::Buffered, Why::MayChange));
    assert_eq!(chosen(&small, promised), (Way::Whole, Why::Small));
    assert_eq!(chosen(&middle, promised), (Way::Map, Why::ReadAgain));
    assert_eq!(chosen(&large, promised), (Way::Map, Why::ReadAgain));
    assert_eq!(chosen(&small, promised.way(Way::Windows)), (Way::Windows, Why::Asked));
    let said = Options::new().read(small).unwrap().choice().to_string();
    assert_eq!(said, "buffered reading: it is read in order");
}

fn sparse(length: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(length).unwrap();
    file
}

#[test]
fn nothing_that_may_change_is_mapped_without_a_promise() {
    let _room = Room::enter();
    for way in [Way::Map, Way::Windows] {
        let error = Options::new().way(way).read(file_of(b"bytes")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("sealed"), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_sealed_is_mapped_without_a_promise() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let _room = Room::enter();
    let bytes = pattern(1 << 20, 43);
    let mut file = File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
    file.write_all(&bytes).unwrap();
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::WRITE).unwrap();
    let mut reader = Options::new().access(Access::Random).read(file).unwrap();
    assert_eq!(reader.choice().way(), Way::Map);
    reader.seek(SeekFrom::Start(1000)).unwrap();
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert!(all == bytes[1000..]);
}

/// Adds all that is lent until the end.
fn lent(reader: &mut Reader, all: &mut Vec<u8>) {
    while let lent @ [_, ..] = reader.fill_buf().unwrap() {
        all.extend_from_slice(lent);
        let n = lent.len();
        reader.consume(n);
    }
}

#[test]
fn what_is_added_while_it_is_read_is_read_too() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 44);
    for access in ACCESS {
        for first in [100, 200_000] {
            let file = file_of(&bytes[..first]);
            let mut reader = Options::new().access(access).read(file.try_clone().unwrap()).unwrap();
            let mut all = Vec::new();
            lent(&mut reader, &mut all);
            file.write_all_at(&bytes[first..], first as u64).unwrap();
            lent(&mut reader, &mut all);
            assert!(all == bytes, "{access:?}, {first}");
        }
    }
}

#[test]
fn a_line_goes_on_in_what_is_added() {
    let _room = Room::enter();
    for access in ACCESS {
        let file = file_of(b"one\ntw");
        let mut reader = Options::new().access(access).read(file.try_clone().unwrap()).unwrap();
        assert_eq!(reader.next_line().unwrap().unwrap(), b"one\n");
        file.write_all_at(b"o\nthree", 6).unwrap();
        assert_eq!(reader.next_line().unwrap().unwrap(), b"two\n", "{access:?}");
        assert_eq!(reader.next_line().unwrap().unwrap(), b"three");
    }
}

#[test]
fn h14_as_a_source_it_sends_first_what_it_has_read_ahead() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 45);
    let file = file_of(&bytes);
    for mut reader in every_way(&file) {
        reader.read_exact(&mut [0; 5000]).unwrap();
        let lent = reader.fill_buf().unwrap().len() as u64;
        reader.consume(1);
        let (mut near, far) = tcp();
        let arriving = reading(far);
        let transfer = Transfer::new(&mut reader, &mut near).limit(290_000).routes(Routes::all());
        let report = { transfer }.run().unwrap();
        assert_eq!(report.bytes(), 290_000, "{}", reader.choice());
        match reader.choice().way() {
            Way::Map | Way::Windows => all_went_by(Route::Sendfile, &report),
            Way::Buffered if !support::PORTABLE => {
                assert_eq!(report.bytes_by(Route::Sendfile), 290_000 - (lent - 1));
            }
            _ => {}
        }
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        drop(near);
        let arrived = arriving.join().unwrap();
        assert!(arrived == bytes[5001..295_001], "{}", reader.choice());
        assert!(rest == bytes[295_001..], "{}", reader.choice());
    }
}

#[test]
fn h28_a_fifo_is_read_as_a_stream_and_cannot_be_sought() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let bytes = pattern(LENGTH, 46);
    for access in ACCESS {
        let (writer_path, written) = (path.clone(), bytes.clone());
        let writer = spawn(move || fs::write(writer_path, written).unwrap());
        let mut reader = Options::new().access(access).open(&path).unwrap();
        assert_eq!(reader.choice().why(), Why::Stream);
        let mut head = vec![0; 1001];
        reader.read_exact(&mut head).unwrap();
        let line = reader.next_line().unwrap().unwrap().to_vec();
        assert!(reader.seek(SeekFrom::Start(0)).is_err());
        let mut sink = fdflow::Plain(Vec::new());
        let transfer = Transfer::new(&mut reader, &mut sink).limit(2000).routes(Routes::all());
        { transfer }.run().unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        writer.join().unwrap();
        assert!([head, line, sink.0, rest].concat() == bytes, "{access:?}");
    }
}

#[test]
fn files_that_tell_no_length_or_a_wrong_one_are_read_to_their_end() {
    let _room = Room::enter();
    for path in ["/proc/version", "/proc/self/maps", "/sys/kernel/mm/transparent_hugepage/enabled"]
    {
        if support::PORTABLE && path.starts_with("/sys") {
            skipped("files_that_tell_a_wrong_length", "no such filesystem but on Linux");
            continue;
        }
        let Ok(expected) = fs::read(path) else {
            skipped("files_that_tell_no_length", &format!("no {path}"));
            continue;
        };
        for access in ACCESS {
            let mut all = Vec::new();
            let options = Options::new().access(access);
            options.open(path).unwrap().read_to_end(&mut all).unwrap();
            assert!(!all.is_empty(), "{path}");
            let mut reader = options.open(path).unwrap();
            let mut lines = 0;
            while reader.next_line().unwrap().is_some() {
                lines += 1;
            }
            if path != "/proc/self/maps" {
                assert_eq!(all, expected);
                assert_eq!(lines, 1);
            }
        }
    }
}

#[test]
fn an_empty_file_has_nothing_to_be_read() {
    let _room = Room::enter();
    for mut reader in every_way(&file_of(b"")) {
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
        assert!(reader.fill_buf().unwrap().is_empty() && reader.next_line().unwrap().is_none());
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}

#[test]
fn a_device_is_read() {
    let _room = Room::enter();
    let mut zeros = Vec::new();
    reader("/dev/zero").unwrap().take(300_000).read_to_end(&mut zeros).unwrap();
    assert!(zeros == [0; 300_000]);
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_path() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let error = reader(dir.path()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    let missing = dir.path().join("missing");
    let error = reader(&missing).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("missing"), "{error}");
    let error = Options::new().read(File::create(missing).unwrap()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn more_than_there_is_memory_for_is_an_error() {
    let _room = Room::enter();
    let promises = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if promises.trim() == "1" {
        return skipped("more_than_there_is_memory_for", "the kernel promises any amount of it");
    }
    let file = tempfile::tempfile().unwrap();
    if let Err(error) = file.set_len(8 << 40) {
        return skipped("more_than_there_is_memory_for", &error.to_string());
    }
    let errors = [
        Options::new().way(Way::Whole).read(file.try_clone().unwrap()).unwrap().fill_buf().err(),
        Options::new().read(file.try_clone().unwrap()).unwrap().read_to_end(&mut Vec::new()).err(),
        Windows::checked(file).unwrap().size(usize::MAX).next_window().err().map(io::Error::from),
    ];
    for error in errors {
        assert_eq!(error.unwrap().kind(), io::ErrorKind::OutOfMemory);
    }
}

/// Bytes that this thread has read, by any call.
fn taken() -> Option<u64> {
    let io = fs::read_to_string("/proc/thread-self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
}

#[test]
fn a_few_reads_take_what_they_ask_for_and_no_more() {
    let _room = Room::enter();
    let file = sparse(64 << 20);
    let mut reader = Options::new().access(Access::Few).read(file).unwrap();
    let Some(before) = taken() else {
        return skipped("a_few_reads_take_what_they_ask_for", "no /proc/thread-self/io");
    };
    // What reading the account itself adds to it.
    let account = taken().unwrap() - before;
    let before = taken().unwrap();
    for i in 0..1000 {
        reader.seek(SeekFrom::Start(i * 60_007)).unwrap();
        reader.read_exact(&mut [0; 64]).unwrap();
    }
    let read = taken().unwrap() - before;
    assert!(read <= 1000 * 64 + 2 * account, "{read} bytes");
}
