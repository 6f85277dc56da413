//! A mapped file as `Read`, `BufRead`, `Seek` and as the source of a transfer.
#![allow(unsafe_code, clippy::unwrap_used, reason = "maps are; a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use fdflow::map::{MapError, MapReader};
use fdflow::{Counted, Plain, Route, Routes, Source, Transfer};
use support::{Room, all_went_by, file_of, pattern, reading, tcp, unix};

const PAGE: usize = 4096;
const LENGTH: usize = 20 * PAGE + 123;

fn mapped(file: &File) -> MapReader<&File> {
    // SAFETY: no test changes the file while it has the reader.
    unsafe { MapReader::new(file) }.unwrap()
}

/// The whole at once, and by windows.
fn sizes(file: &File) -> [MapReader<&File>; 4] {
    [mapped(file), mapped(file).window(PAGE), mapped(file).window(1000), mapped(file).window(7)]
}

#[test]
fn it_reads_what_a_file_reads() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 31);
    let file = file_of(&bytes);
    for mut reader in sizes(&file) {
        let mut all = Vec::new();
        assert_eq!(reader.read_to_end(&mut all).unwrap(), LENGTH);
        assert_eq!(all, bytes);
        assert_eq!(reader.read(&mut [0; 5]).unwrap(), 0);
        reader.rewind().unwrap();
        let mut pieces = Vec::new();
        let mut block = [0; 613];
        while let n @ 1.. = reader.read(&mut block).unwrap() {
            pieces.extend_from_slice(&block[..n]);
        }
        assert_eq!(pieces, bytes);
    }
}

/// The same walk through a mapping and through a cursor.
#[test]
fn it_seeks_as_a_cursor_does() {
    let _room = Room::enter();
    let bytes = pattern(3 * PAGE, 32);
    let file = file_of(&bytes);
    let steps = [
        SeekFrom::Start(5),
        SeekFrom::End(-1),
        SeekFrom::Current(-100),
        SeekFrom::Current(0),
        SeekFrom::Start(PAGE as u64 - 1),
        SeekFrom::End(10),
        SeekFrom::Current(-20),
        SeekFrom::Start(u64::MAX),
        SeekFrom::Current(1),
        SeekFrom::Current(-1),
        SeekFrom::End(i64::MIN),
        SeekFrom::Start(0),
        SeekFrom::Current(-1),
    ];
    for mut reader in sizes(&file) {
        let mut cursor = io::Cursor::new(&bytes);
        for step in steps {
            let (got, expected) = (reader.seek(step), cursor.seek(step));
            assert_eq!(got.is_ok(), expected.is_ok(), "{step:?}");
            assert_eq!(reader.position(), cursor.position(), "{step:?}");
            let (mut got, mut expected) = ([0; 64], [0; 64]);
            // A mapping gives no more than lies in its window.
            let n = reader.read(&mut got).unwrap();
            let all = cursor.read(&mut expected).unwrap();
            assert!(n <= all && (n > 0) == (all > 0), "{step:?}");
            assert_eq!(got[..n], expected[..n]);
            cursor.set_position(cursor.position() - (all - n) as u64);
        }
    }
}

#[test]
fn a_range_is_a_file_of_its_own() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 33);
    let file = file_of(&bytes);
    for reader in sizes(&file) {
        let mut reader = reader.range(100..9000).unwrap();
        assert_eq!(reader.seek(SeekFrom::End(-3)).unwrap(), 8897);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, bytes[8997..9000]);
        reader.rewind().unwrap();
        let mut socket = Vec::new();
        let transfer = Transfer::new(&mut reader, Plain(&mut socket)).routes(Routes::all());
        { transfer }.run().unwrap();
        assert_eq!(socket, bytes[100..9000]);
    }
    let beyond = mapped(&file).range(LENGTH as u64 + 1..u64::MAX);
    assert!(matches!(beyond, Err(MapError::Beyond { .. })));
}

#[test]
fn lines_are_lent_whole_wherever_a_window_ends() {
    let _room = Room::enter();
    let lines: Vec<Vec<u8>> = [0, 1, 5, 6, 7, 8, 300, 0, PAGE, 5000, 3 * PAGE, 2, 20]
        .iter()
        .map(|length| [vec![b'x'; *length], b"\n".to_vec()].concat())
        .chain([b"the last has no end".to_vec()])
        .collect();
    let file = file_of(&lines.concat());
    for mut reader in sizes(&file) {
        for line in &lines {
            assert_eq!(reader.next_line().unwrap().unwrap(), line);
        }
        assert!(reader.next_line().unwrap().is_none());
        reader.rewind().unwrap();
        assert_eq!(reader.next_until(b'z').unwrap().unwrap().len(), lines.concat().len());
        // The standard library's way gives the same.
        reader.rewind().unwrap();
        assert_eq!(BufRead::split(reader, b'\n').count(), lines.len());
    }
    assert!(mapped(&file_of(b"")).next_line().unwrap().is_none());
}

#[test]
fn a_line_lies_in_the_mapping() {
    let _room = Room::enter();
    let file = file_of(b"one\ntwo\n");
    let mut reader = mapped(&file);
    let start = reader.fill_buf().unwrap().as_ptr();
    assert_eq!(reader.next_line().unwrap().unwrap().as_ptr(), start);
    assert_eq!(reader.next_line().unwrap().unwrap().as_ptr(), start.wrapping_add(4));
}

#[test]
fn what_is_added_is_read_once_it_is_asked_for() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 34);
    let file = file_of(&bytes[..PAGE + 5]);
    let mut all = Vec::new();
    let mut reader = mapped(&file);
    reader.read_to_end(&mut all).unwrap();
    file.write_all_at(&bytes[PAGE + 5..], PAGE as u64 + 5).unwrap();
    assert!(reader.fill_buf().unwrap().is_empty());
    assert_eq!(reader.refresh().unwrap(), LENGTH as u64);
    reader.read_to_end(&mut all).unwrap();
    assert_eq!(all, bytes);
}

#[test]
fn h14_a_transfer_goes_on_where_the_reader_stands_and_the_reader_behind_it() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 35);
    let file = file_of(&bytes);
    for mut reader in sizes(&file) {
        (&file).seek(SeekFrom::Start(77)).unwrap();
        reader.read_exact(&mut [0; 1000]).unwrap();
        // Lent, and one byte of it consumed: the others are still to come.
        assert!(!reader.fill_buf().unwrap().is_empty());
        reader.consume(1);
        let (mut near, far) = tcp();
        let arriving = reading(far);
        let mut transfer = Transfer::new(&mut reader, &mut near).limit(5000).routes(Routes::all());
        let report = transfer.run().unwrap();
        drop(transfer);
        all_went_by(Route::Sendfile, &report);
        assert_eq!((report.bytes(), reader.position()), (5000, 6001));
        // The reader reads on, then the next transfer takes the rest.
        let mut block = [0; 10];
        reader.read_exact(&mut block).unwrap();
        assert_eq!(block, bytes[6001..6011]);
        let report = fdflow::copy(&mut reader, &mut near);
        let rest = support::moved(report).map(|report| report.bytes());
        drop(near);
        let arrived = arriving.join().unwrap();
        if rest.is_some() {
            assert_eq!(reader.position(), LENGTH as u64);
            assert_eq!(arrived, [&bytes[1001..6001], &bytes[6011..]].concat());
            assert_eq!(reader.read(&mut block).unwrap(), 0);
        }
        assert_eq!((&file).stream_position().unwrap(), 77, "the position is the program's");
    }
}

#[test]
fn one_transfer_run_again_follows_the_reader() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 36);
    let file = file_of(&bytes);
    let mut reader = mapped(&file);
    let (mut near, far) = unix();
    let arriving = reading(far);
    let mut transfer = Transfer::new(&mut reader, &mut near).limit(3000).routes(Routes::all());
    transfer.run().unwrap();
    transfer.source_mut().seek(SeekFrom::Current(500)).unwrap();
    transfer.set_limit(7000);
    assert_eq!(transfer.run().unwrap().bytes(), 7000);
    drop(transfer);
    drop(near);
    assert_eq!(reader.position(), 7500);
    assert_eq!(arriving.join().unwrap(), [&bytes[..3000], &bytes[3500..7500]].concat());
}

#[test]
fn wrappers_keep_the_offset_and_send_first_what_they_have_read() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 37);
    let file = file_of(&bytes);
    let (mut near, far) = tcp();
    let arriving = reading(far);
    let counted = Counted::new(mapped(&file));
    let count = counted.count();
    let mut buffered = BufReader::with_capacity(100, Box::new(counted)).take(9000);
    buffered.read_exact(&mut [0; 42]).unwrap();
    let transfer = Transfer::new(&mut buffered, &mut near).routes(Routes::all());
    let report = { transfer }.run().unwrap();
    assert_eq!(report.bytes(), 9000 - 42);
    if !support::PORTABLE {
        assert_eq!(report.bytes_by(Route::Sendfile), 9000 - 100);
    }
    assert_eq!(buffered.get_ref().get_ref().get_ref().position(), 9000);
    drop(near);
    assert_eq!(arriving.join().unwrap(), bytes[42..9000]);
    assert_eq!(count.get(), 9000);
}

#[test]
fn a_file_takes_it_by_copy_file_range_holes_and_all() {
    let _room = Room::enter();
    let file = tempfile::tempfile().unwrap();
    file.set_len(40 * PAGE as u64).unwrap();
    file.write_all_at(&[7; PAGE], 20 * PAGE as u64).unwrap();
    let mut reader = mapped(&file);
    reader.seek(SeekFrom::Start(PAGE as u64 + 1)).unwrap();
    let mut to = tempfile::tempfile().unwrap();
    let routes = Routes::only(Route::CopyFileRange).with(Route::ReadWrite);
    let report = Transfer::new(&mut reader, &mut to).routes(routes).run().unwrap();
    assert_eq!(report.bytes(), 39 * PAGE as u64 - 1);
    let mut copied = Vec::new();
    to.rewind().unwrap();
    to.read_to_end(&mut copied).unwrap();
    let mut expected = vec![0; 39 * PAGE - 1];
    expected[19 * PAGE - 1..20 * PAGE - 1].fill(7);
    assert!(copied == expected);
    assert_eq!((&file).stream_position().unwrap(), 0);
}

/// An offset that the caller gives is about the file: what the reader stands at plays no part.
#[test]
fn the_offset_of_a_transfer_comes_before_the_readers_own() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 38);
    let file = file_of(&bytes);
    let mut reader = mapped(&file);
    reader.seek(SeekFrom::Start(10)).unwrap();
    let mut sink = Plain(Vec::new());
    let transfer = Transfer::new(&mut reader, &mut sink).routes(Routes::all());
    assert_eq!(transfer.source_offset(5000).limit(100).run().unwrap().bytes(), 100);
    assert_eq!(sink.0, bytes[5000..5100]);
}

#[test]
fn a_source_tells_its_offset_and_what_is_left() {
    let _room = Room::enter();
    let file = file_of(b"0123456789");
    let mut reader = mapped(&file).range(2..8).unwrap();
    reader.read_exact(&mut [0; 3]).unwrap();
    assert_eq!((Source::offset(&reader), Source::limit(&reader)), (Some(5), Some(3)));
    assert_eq!(Source::offset(&&mut reader), Some(5));
    reader.seek(SeekFrom::Start(100)).unwrap();
    assert_eq!(Source::limit(&reader), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_sealed_needs_no_promise() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let _room = Room::enter();
    let mut file = File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
    file.write_all(b"a line\nand more").unwrap();
    let error = MapReader::sealed(&file).unwrap().fill_buf().unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    assert!(matches!(inner, Some(MapError::Unsealed)), "{error}");
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::WRITE).unwrap();
    let mut reader = MapReader::sealed(&file).unwrap();
    assert_eq!(reader.next_line().unwrap().unwrap(), b"a line\n");
    let mut sink = Plain(Vec::new());
    Transfer::new(&mut reader, &mut sink).routes(Routes::all()).run().unwrap();
    assert_eq!(sink.0, b"and more");
}
