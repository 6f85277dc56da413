//! The files that are measured, and what there is to be found in them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rustix::fs::Advice;

use crate::pattern::{PIECE, Pattern};

/// The byte that is counted.
pub(super) const BYTE: u8 = b'\n';
/// What is looked for: nowhere but where it was put.
pub(super) const NEEDLE: &[u8] = b"--- what is looked for ---";
/// What a file is read in by.
const READ_IN: usize = 128 << 10;
/// The length of a random read.
pub(super) const BLOCK: usize = 4096;

/// How a file came into the page cache, which decides how large the pieces are that it lies there in,
/// and so how many of its pages one fault enters into the page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Cached {
    /// Written 1 MiB at a time, and there since then
    Written,
    /// Read from the disk, 128 KiB at a time
    Read,
}

impl fmt::Display for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Written => "written",
            Self::Read => "read in",
        })
    }
}

/// A file with the pattern, and the needle near its end.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) path: PathBuf,
    /// How often the byte is in it.
    pub(super) count: u64,
    /// Where the needle is.
    pub(super) needle: u64,
}

impl Site {
    /// Writes a file of so many bytes, which is in the page cache then.
    pub(super) fn make(home: &Path, bytes: u64) -> io::Result<Self> {
        let needle = bytes.saturating_sub((bytes / 16).max(NEEDLE.len() as u64));
        if bytes < BLOCK as u64 {
            let message = format!("a file of {bytes} bytes is too small to be read here and there");
            return Err(io::Error::other(message));
        }
        let path = patterned(home, "read", bytes)?;
        let file = File::options().read(true).write(true).open(&path)?;
        file.write_all_at(NEEDLE, needle)?;
        file.sync_all()?;
        Ok(Self { count: count_by(&file, PIECE)?, path, needle })
    }

    /// Has the file leave the page cache and come back from the disk.
    pub(super) fn read_in(&self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let bytes = file.metadata()?.len();
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        let last = bytes.saturating_sub(BLOCK as u64)..bytes;
        if fdflow::sys::is_cached(file.as_fd(), last) {
            return Err(io::Error::other("its filesystem keeps it in memory whatever it is told"));
        }
        if count_by(&file, READ_IN)? != self.count {
            return Err(io::Error::other("the file is not what was written"));
        }
        Ok(())
    }

    /// How often the byte is in the blocks of a random pass.
    pub(super) fn count_at(&self, offsets: &[u64]) -> io::Result<u64> {
        let (file, mut block, mut count) = (File::open(&self.path)?, [0; BLOCK], 0);
        for at in offsets {
            file.read_exact_at(&mut block, *at)?;
            count += count_in(&block);
        }
        Ok(count)
    }
}

/// A file of so many bytes of the pattern, flushed, so that nothing is written to the disk later.
pub(super) fn patterned(home: &Path, name: &str, bytes: u64) -> io::Result<PathBuf> {
    let path = home.join(name);
    let mut file = File::create_new(&path)?;
    Pattern::new().write(&mut file, bytes, PIECE)?;
    file.flush()?;
    file.sync_all()?;
    Ok(path)
}

/// How often the byte is in `bytes`: by the same code for all contenders.
pub(super) fn count_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(BYTE, bytes).count() as u64
}

fn count_by(mut file: &File, piece: usize) -> io::Result<u64> {
    let (mut block, mut count) = (vec![0; piece], 0);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(count),
            n => count += count_in(&block[..n]),
        }
    }
}

/// Where the blocks of a random pass lie: always the same, each at a multiple of its length.
pub(super) fn offsets(bytes: u64, reads: u32) -> Vec<u64> {
    let blocks = (bytes / BLOCK as u64).max(1);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % blocks * BLOCK as u64
    };
    (0..reads).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_to_be_found_is_found() {
        let home = tempfile::tempdir().unwrap();
        let site = Site::make(home.path(), 3_000_000).unwrap();
        let bytes = std::fs::read(&site.path).unwrap();
        assert_eq!(bytes.len(), 3_000_000);
        let count = bytes.iter().filter(|byte| **byte == BYTE).count() as u64;
        assert_eq!(site.count, count);
        let places = memchr::memmem::find_iter(&bytes, NEEDLE).collect::<Vec<_>>();
        assert_eq!(places, [usize::try_from(site.needle).unwrap()]);
        let offsets = offsets(3_000_000, 100);
        assert!(offsets.iter().all(|at| at % 4096 == 0 && at + 4096 <= 3_000_000));
        let all: u64 = offsets
            .iter()
            .map(|at| usize::try_from(*at).unwrap())
            .map(|at| bytes[at..at + BLOCK].iter().filter(|byte| **byte == BYTE).count() as u64)
            .sum();
        assert_eq!(site.count_at(&offsets).unwrap(), all);
    }
}
