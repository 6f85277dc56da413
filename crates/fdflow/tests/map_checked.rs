//! Files that another process cuts while they are read: an error, never SIGBUS (H64).
#![allow(unsafe_code, clippy::unwrap_used, reason = "maps are; a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fdflow::map::{Checked, MapError, MapReader, Windows};
use fdflow::reader::{Access, Options, Way};
use support::{Room, child, pattern};

const PAGE: usize = 4096;
const LENGTH: usize = 64 * PAGE + 11;

/// A file with a name, for other processes.
struct Named {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Named {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bytes = pattern(LENGTH, 21);
        std::fs::write(dir.path().join("f"), &bytes).unwrap();
        Self { dir, bytes }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("f")
    }

    fn open(&self) -> File {
        File::open(self.path()).unwrap()
    }

    /// Has another process cut it, and waits until it is done.
    fn cut(&self, length: usize) {
        let mut command = Command::new("truncate");
        let done = command.arg("-s").arg(length.to_string()).arg(self.path()).status().unwrap();
        assert!(done.success());
    }

    fn grow_again(&self) {
        std::fs::write(self.path(), &self.bytes).unwrap();
    }
}

/// Whether it says that the file was cut to `now` bytes, as the file's length was `LENGTH`.
fn says_cut(error: &MapError, from: usize, to: usize) -> bool {
    matches!(error, MapError::Shrunk { at, before, now }
        if *before == LENGTH as u64 && *now == to as u64 && *at >= from.min(to) as u64)
}

fn is_cut(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<MapError>());
    error.kind() == io::ErrorKind::UnexpectedEof && matches!(inner, Some(MapError::Shrunk { .. }))
}

/// What a file that was cut and grew again at that moment may have been taken for.
fn is_false_length(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<MapError>());
    matches!(inner, Some(MapError::FalseLength))
}

#[test]
fn h64_a_cut_during_a_scan_is_an_error_with_what_is_left_and_what_is_gone() {
    let _room = Room::enter();
    for to in [0, 1, PAGE, 20 * PAGE + 5] {
        let file = Named::new();
        let checked = Checked::new(file.open()).unwrap();
        let mut buffer = vec![0; 10 * PAGE];
        assert_eq!(checked.read_at(&mut buffer, 0).unwrap(), 10 * PAGE);
        file.cut(to);
        let mut at = 10 * PAGE;
        let error = loop {
            match checked.read_at(&mut buffer, at as u64) {
                Ok(n) => {
                    assert_eq!(buffer[..n], file.bytes[at..at + n], "right until it is gone");
                    at += n;
                }
                Err(error) => break error,
            }
        };
        assert!(says_cut(&error, at, to), "cut to {to}: {error}");
        assert!(at <= to.max(10 * PAGE), "read {at} of {to}");
        let error = checked.read_exact_at(&mut buffer[..1], LENGTH as u64 - 1).unwrap_err();
        assert!(error.to_string().contains(&format!("from {LENGTH} to {to} bytes")), "{error}");
    }
}

#[test]
fn what_is_read_is_what_the_file_has() {
    let _room = Room::enter();
    let file = Named::new();
    let mut checked = Checked::new(file.open()).unwrap();
    assert_eq!((checked.len(), checked.is_empty()), (LENGTH as u64, false));
    let mut buffer = [0; 100];
    for at in [0, 1, PAGE - 50, LENGTH - 100, LENGTH - 99, LENGTH, LENGTH + 5] {
        let n = checked.read_at(&mut buffer, at as u64).unwrap();
        assert_eq!(n, LENGTH.saturating_sub(at).min(100));
        assert_eq!(buffer[..n], file.bytes[at.min(LENGTH)..][..n]);
        let exact = checked.read_exact_at(&mut buffer, at as u64);
        assert_eq!(exact.is_err(), at + 100 > LENGTH);
    }
    assert_eq!(checked.read_at(&mut buffer, u64::MAX).unwrap(), 0);
    assert!(checked.read_exact_at(&mut buffer, u64::MAX).is_err());
    file.cut(LENGTH + 1);
    assert_eq!(checked.read_at(&mut buffer, LENGTH as u64).unwrap(), 0, "not asked again");
    assert_eq!(checked.refresh().unwrap(), LENGTH as u64 + 1);
    assert_eq!(checked.read_at(&mut buffer, LENGTH as u64).unwrap(), 1);
}

#[test]
fn h64_windows_and_matches_end_with_an_error() {
    let _room = Room::enter();
    let file = Named::new();
    let mut windows = Windows::checked(file.open()).unwrap().size(PAGE);
    for _ in 0..3 {
        windows.next_window().unwrap().unwrap();
    }
    file.cut(5 * PAGE + 1);
    windows.next_window().unwrap().unwrap();
    windows.next_window().unwrap().unwrap();
    for _ in 0..2 {
        let error = windows.next_window().unwrap_err();
        assert!(says_cut(&error, 5 * PAGE + 1, 5 * PAGE + 1), "{error}");
    }
    let last = windows.matches(b"no such bytes").last();
    assert!(matches!(last, Some(Err(MapError::Shrunk { .. }))));
    file.grow_again();
    let window = windows.next_window().unwrap().unwrap();
    let at = usize::try_from(window.offset()).unwrap();
    assert_eq!(*window, file.bytes[at..at + window.len()], "no byte of the failed window is kept");
}

/// A mapped window that the file has lost before it is mapped is never shown.
#[test]
fn h64_a_window_that_is_gone_is_not_mapped() {
    let _room = Room::enter();
    let file = Named::new();
    // SAFETY: nothing is looked at after the cut but what was mapped after it.
    let mut windows = unsafe { Windows::new(file.open()) }.unwrap().size(PAGE);
    // SAFETY: as above.
    let mut reader = unsafe { MapReader::new(file.open()) }.unwrap().window(PAGE);
    windows.next_window().unwrap().unwrap();
    reader.consume_all();
    file.cut(PAGE + 5);
    assert!(says_cut(&windows.next_window().unwrap_err(), PAGE, PAGE + 5));
    assert!(is_cut(&reader.fill_buf().unwrap_err()));
    assert!(reader.next_line().is_err());
}

trait ConsumeAll {
    fn consume_all(&mut self);
}

impl ConsumeAll for MapReader<File> {
    fn consume_all(&mut self) {
        let n = self.fill_buf().unwrap().len();
        self.consume(n);
    }
}

#[test]
fn h64_a_reader_of_a_file_that_is_cut_says_so_on_every_safe_way() {
    let _room = Room::enter();
    for (access, way) in [
        (Access::Sequential, Way::Buffered),
        (Access::Few, Way::Buffered),
        (Access::Random, Way::Whole),
    ] {
        let file = Named::new();
        let mut reader = Options::new().access(access).open(file.path()).unwrap();
        assert_eq!(reader.choice().way(), way);
        if way == Way::Buffered {
            reader.read_exact(&mut [0; 10]).unwrap();
        }
        file.cut(100);
        let mut rest = Vec::new();
        let error = reader.read_to_end(&mut rest).unwrap_err();
        assert!(is_cut(&error), "{access:?}: {error}");
        reader.seek(SeekFrom::Start(LENGTH as u64 / 2)).unwrap();
        // In a buffer of 128 KiB it may be still.
        if reader.fill_buf().is_ok() {
            assert_eq!(access, Access::Sequential);
        }
        let error = std::iter::repeat_with(|| reader.next_line().map(|line| line.is_some()))
            .find(|line| !matches!(line, Ok(true)));
        assert!(is_cut(&error.unwrap().unwrap_err()), "{access:?}");
        file.grow_again();
        reader.rewind().unwrap();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, file.bytes, "{access:?}: nothing of the failure is kept");
    }
}

/// Cuts the file and makes it long again until it is told to end.
struct Cutter(Child);

impl Cutter {
    fn start(path: &Path) -> Self {
        let mut command = child::command("cuts_and_grows");
        command.env("FDFLOW_TEST_CUT", path).stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn stop(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

/// The other process of the test below; on its own it does nothing.
#[test]
fn cuts_and_grows() {
    let Some(path) = std::env::var_os("FDFLOW_TEST_CUT") else { return };
    let file = File::options().write(true).open(path).unwrap();
    let told = std::thread::spawn(|| io::stdin().read(&mut [0]).unwrap());
    while !told.is_finished() {
        file.set_len(0).unwrap();
        file.set_len(LENGTH as u64).unwrap();
    }
}

/// Scans again and again; how often the file was cut meanwhile.
fn cuts(what: &str, mut scan: impl FnMut() -> io::Result<()>) -> usize {
    let answers = std::iter::repeat_with(|| match scan() {
        Ok(()) => false,
        Err(error) if is_cut(&error) => true,
        Err(error) if is_false_length(&error) => false,
        Err(error) => panic!("{what}: {error}"),
    });
    answers.take(100).filter(|cut| *cut).count()
}

#[test]
fn h64_a_file_that_is_cut_and_grows_all_the_time_kills_no_safe_reader() {
    let _room = Room::enter();
    let file = Named::new();
    let cutter = Cutter::start(&file.path());
    let path = file.path();
    let mut cut = 0;
    support::watch::until("the file was cut during some scans", || {
        cut += cuts("checked reads", || {
            let checked = Checked::new(file.open())?;
            let mut buffer = [0; PAGE];
            for at in (0..checked.len()).step_by(PAGE) {
                checked.read_at(&mut buffer, at)?;
            }
            Ok(())
        });
        cut += cuts("windows", || {
            let mut windows = Windows::checked(file.open())?.size(3 * PAGE);
            windows.matches(b"x").try_for_each(|found| found.map(drop)).map_err(io::Error::from)
        });
        for access in [Access::Sequential, Access::Few, Access::Random] {
            cut += cuts("readers", || {
                let mut reader = Options::new().access(access).open(&path)?;
                let mut block = [0; 1000];
                while reader.read(&mut block)? > 0 {}
                Ok(())
            });
        }
        cut >= 3
    });
    cutter.stop();
}
