//! Disks that are full, or cannot be written, or fail.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use fdflow_files::UploadOptions;
use tempfile::TempDir;

use crate::drop_box::{DropBox, noise};

/// A filesystem of a test's own, unmounted when it is dropped.
struct Mounted {
    path: PathBuf,
    _kept: TempDir,
}

impl Mounted {
    /// `None`, and said so, where nothing may be mounted.
    fn new(arguments: &[&str]) -> Option<Self> {
        let kept = TempDir::new().expect("a folder");
        let mounted = run(Command::new("mount").args(arguments).arg(kept.path()));
        mounted.then(|| Self { path: kept.path().to_owned(), _kept: kept })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.path));
    }
}

fn run(command: &mut Command) -> bool {
    match command.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            eprintln!("SKIPPED: {command:?}: {}", why.trim());
            false
        }
        Err(error) => {
            eprintln!("SKIPPED: {command:?}: {error}");
            false
        }
    }
}

fn names(path: &Path) -> Vec<String> {
    crate::drop_box::names(path)
}

#[test]
fn a_full_disk_is_told_before_and_in_the_middle() {
    for unnamed in [true, false] {
        let Some(small) = Mounted::new(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
        let mut drop_box = DropBox::at(&small.path, UploadOptions::new().unnamed(unnamed));
        let mut client = drop_box.connect();
        client.request("PUT /a\nExpect: 100-continue", Some(2 << 20));
        assert_eq!(client.answer().status, 507);
        let mut client = drop_box.connect();
        client.request("PUT /b\nTransfer-Encoding: chunked", None);
        client.chunk(&noise((1 << 20) + 65_536, 1));
        // The answer may be there before the end is sent.
        let _closed = client.stream.write_all(b"0\r\n\r\n");
        assert_eq!(client.answer().status, 507);
        assert!(drop_box.names().is_empty(), "{:?}", drop_box.names());
        assert_eq!(
            drop_box.ask("PUT /c", &noise(900_000, 1)).status,
            201,
            "all room is free again"
        );
        let at = drop_box.ask("PUT /d\nUpload-Complete: ?0\nUpload-Length: 900000", b"");
        assert_eq!(at.status, 507);
        assert_eq!(drop_box.left(), ["c"]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_forbidden() {
    let Some(fixed) = Mounted::new(&["-t", "tmpfs", "-o", "ro", "none"]) else { return };
    let drop_box = DropBox::at(&fixed.path, UploadOptions::new());
    assert_eq!(drop_box.ask("PUT /a", b"x").status, 403);
    let named = DropBox::at(&fixed.path, UploadOptions::new().unnamed(false));
    assert_eq!(named.ask("PUT /a", b"x").status, 403);
    assert_eq!(named.ask("PUT /a\nUpload-Complete: ?0", b"x").status, 403);
}

/// A disk that promises 64 MiB and has 8: what is written to it is lost when it is synced.
#[test]
fn a_file_that_cannot_be_synced_is_not_stored() {
    let Some(short) = Mounted::new(&["-t", "tmpfs", "-o", "size=8m", "none"]) else { return };
    let image = short.path.join("image");
    std::fs::File::create(&image).and_then(|file| file.set_len(64 << 20)).expect("an image");
    if !run(Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal"]).arg(&image)) {
        return;
    }
    let image = image.to_str().expect("text");
    let Some(failing) = Mounted::new(&["-o", "loop,errors=continue", image]) else { return };
    let before = names(&failing.path);
    let mut drop_box = DropBox::at(&failing.path, UploadOptions::new());
    let answer = drop_box.ask("PUT /a", &noise(30 << 20, 1));
    assert_eq!(answer.status, 507, "{answer:?}");
    assert_eq!(drop_box.left(), before);
}

/// A write that meets the end of the disk writes what fits, and says how much that was.
#[test]
fn a_write_that_was_cut_short_is_neither_a_file_nor_lost() {
    let bytes = noise(1_000_003, 1);
    let Some(small) = Mounted::new(&["-t", "tmpfs", "-o", "size=1m", "none"]) else { return };
    let filler = small.path.join("filler");
    std::fs::write(&filler, vec![0; 400_000]).expect("room");
    let mut drop_box = DropBox::at(&small.path, UploadOptions::new());
    // The last byte is in the write that does not fit: if that counted as a whole one, all would
    // seem to be there.
    let sent_until_full = |head: &str, bytes: &[u8]| {
        let mut client = drop_box.connect();
        client.request(&format!("{head}\nTransfer-Encoding: chunked"), None);
        client.chunk(bytes);
        let _closed = client.stream.write_all(b"0\r\n\r\n");
        client.answer()
    };
    assert_eq!(sent_until_full("PUT /a", &bytes[..650_000]).status, 507);
    assert_eq!(drop_box.names(), ["filler"]);
    // Of an upload that can go on, what fitted is there, and the rest can follow.
    let begun = drop_box.ask("PUT /a\nUpload-Complete: ?0", &bytes[..1000]);
    let at = format!("/{}", begun.field("location").expect("a place"));
    let part = |from: usize| {
        format!(
            "PATCH {at}\nContent-Type: application/partial-upload\nUpload-Offset: {from}\n\
             Upload-Complete: ?1"
        )
    };
    assert_eq!(sent_until_full(&part(1000), &bytes[1000..650_000]).status, 507);
    std::fs::remove_file(&filler).expect("the filler");
    let told = drop_box.ask(&format!("HEAD {at}"), b"");
    let from = told.field("upload-offset").and_then(|offset| offset.parse().ok());
    let from: usize = from.expect("an offset");
    assert!(from > 600_000 && from < 650_000, "{from}");
    assert_eq!(drop_box.ask(&part(from), &bytes[from..]).status, 201);
    assert!(drop_box.read("a") == bytes);
    drop_box.stop();
}
