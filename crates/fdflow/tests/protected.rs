//! H48: files that may not be written to, or only at their end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;

use fdflow::{Errno, Operation, Routes, Side, Transfer};
use rustix::fs::IFlags;

use support::rig::{self, Sort};
use support::{Room, pattern, skipped};

/// A file with an attribute that it loses again when this is dropped.
struct Marked<'a> {
    file: &'a File,
    before: IFlags,
}

impl<'a> Marked<'a> {
    /// `None`, said loudly, where this user or this filesystem cannot.
    fn with(file: &'a File, mark: IFlags, test: &str) -> Option<Self> {
        let set = || {
            let before = rustix::fs::ioctl_getflags(file)?;
            rustix::fs::ioctl_setflags(file, before | mark)?;
            rustix::io::Result::Ok(before)
        };
        match set() {
            Ok(before) => Some(Self { file, before }),
            Err(errno) => {
                skipped(test, &format!("the attribute cannot be set: {errno}"));
                None
            }
        }
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        rustix::fs::ioctl_setflags(self.file, self.before).unwrap();
    }
}

#[test]
fn h48_an_immutable_sink_is_an_error_of_the_sink_from_every_source_and_stays_as_it_was() {
    let _room = Room::enter();
    let bytes = pattern(100_000, 48);
    let mut sink = support::file_of(b"as it was");
    let again = sink.try_clone().unwrap();
    let Some(mark) = Marked::with(&again, IFlags::IMMUTABLE, "h48, immutable") else { return };
    for from in Sort::ALL {
        let source = rig::feed(from, &bytes);
        let mut transfer = Transfer::new(source.fd.as_fd(), &sink).routes(Routes::all());
        let error = transfer.run().unwrap_err();
        let told = (error.kind(), error.side(), error.operation(), error.report().bytes());
        let denied = ErrorKind::PermissionDenied;
        assert_eq!(told, (denied, Some(Side::Sink), Operation::Write, 0), "{from:?}: {error}");
        let undelivered = transfer.into_parts().undelivered;
        assert!([undelivered, source.rest()].concat() == bytes, "{from:?}");
    }
    drop(mark);
    let mut there = String::new();
    sink.rewind().unwrap();
    sink.read_to_string(&mut there).unwrap();
    assert_eq!(there, "as it was");
}

#[test]
fn h48_an_append_only_sink_is_appended_to() {
    let _room = Room::enter();
    let bytes = pattern(100_000, 49);
    for from in Sort::ALL {
        let mut sink = support::file_of(b"head");
        rig::appending(&sink);
        let again = sink.try_clone().unwrap();
        let Some(mark) = Marked::with(&again, IFlags::APPEND, "h48, append-only") else { return };
        let source = rig::feed(from, &bytes);
        let report = Transfer::new(source.fd.as_fd(), &sink).routes(Routes::all()).run().unwrap();
        assert!(source.rest().is_empty() && report.bytes() == 100_000);
        drop(mark);
        let mut there = Vec::new();
        sink.rewind().unwrap();
        sink.read_to_end(&mut there).unwrap();
        assert!(there == [b"head", &bytes[..]].concat(), "{from:?}: {report}");
    }
}

/// A small file that is swapped to while this lives.
struct Swap<'a>(&'a Path);

impl<'a> Swap<'a> {
    fn on(path: &'a Path) -> Option<Self> {
        const PAGES: usize = 64;
        let mut image = vec![0; PAGES * 4096];
        // Version, last page, number of bad pages; then the signature at the first page's end.
        image[1024..1028].copy_from_slice(&1_u32.to_ne_bytes());
        image[1028..1032].copy_from_slice(&63_u32.to_ne_bytes());
        image[4086..4096].copy_from_slice(b"SWAPSPACE2");
        let mut file = File::create(path).unwrap();
        file.write_all(&image).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        match swap(libc::SYS_swapon, path) {
            0 => Some(Self(path)),
            _ => {
                let error = std::io::Error::last_os_error();
                skipped("h48, swap file", &format!("swapon: {error}"));
                None
            }
        }
    }
}

impl Drop for Swap<'_> {
    fn drop(&mut self) {
        assert_eq!(swap(libc::SYS_swapoff, self.0), 0, "{}", std::io::Error::last_os_error());
    }
}

#[allow(unsafe_code, reason = "rustix has no swapon")]
fn swap(call: std::ffi::c_long, path: &Path) -> std::ffi::c_long {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a C string that outlives the call.
    unsafe { libc::syscall(call, path.as_ptr(), 0) }
}

#[test]
fn h48_a_swap_file_as_a_sink_is_an_error_of_the_sink() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swap");
    let bytes = pattern(100_000, 50);
    let Some(swap) = Swap::on(&path) else { return };
    let sink = File::options().write(true).open(&path).unwrap();
    for from in Sort::ALL {
        let source = rig::feed(from, &bytes);
        let mut transfer = Transfer::new(source.fd.as_fd(), &sink).routes(Routes::all());
        let error = transfer.run().unwrap_err();
        let told = (error.cause().raw_os_error(), error.side(), error.report().bytes());
        let busy = Some(Errno::TXTBSY.raw_os_error());
        assert_eq!(told, (busy, Some(Side::Sink), 0), "{from:?}: {error}");
        let undelivered = transfer.into_parts().undelivered;
        assert!([undelivered, source.rest()].concat() == bytes, "{from:?}");
    }
    drop((swap, sink));
}
