//! A file that is written from its beginning to its end, and the memory that it is written from.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// What the system may ask of direct writes: places in memory and in the file that are multiples
/// of this.
const BLOCK: usize = 4 << 10;
/// So much at once is worth a write past the page cache, which costs a third of one into it.
const BULK: usize = 64 << 10;
/// What is read from a pipe at a time.
const MEMORY: usize = 1 << 20;

/// A new file.
#[derive(Debug)]
pub(super) struct Out {
    file: File,
    length: u64,
    /// The filesystem may take direct writes.
    direct: bool,
    /// The file is set to them.
    is_direct: bool,
}

impl Out {
    /// Makes one, for its owner alone.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, length: 0, direct: true, is_direct: false })
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Writes some bytes, at least one. Many at once go past the page cache, where they would
    /// crowd out what is needed there; few go into it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = self.part(bytes.len());
        match self.file.write(&bytes[..part]) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                self.length += n as u64;
                Ok(n)
            }
            Err(error) if self.is_direct && Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                self.direct = false;
                self.write(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.write(bytes),
            Err(error) => Err(error),
        }
    }

    /// How many of `n` bytes are written next, for which the file is set to direct writes or not.
    fn part(&mut self, n: usize) -> usize {
        let direct = self.direct && n >= BULK;
        let part = match (direct, past_block(self.length)) {
            (false, _) => n,
            (true, 0) => n - n % BLOCK,
            (true, past) => BLOCK - past,
        };
        let asks = direct && part >= BLOCK;
        if asks == self.is_direct {
            return part;
        }
        let set = fcntl_getfl(&self.file).and_then(|flags| {
            let direct = if asks { OFlags::DIRECT } else { OFlags::empty() };
            fcntl_setfl(&self.file, flags.difference(OFlags::DIRECT) | direct)
        });
        // One that cannot be set is not asked again.
        (self.is_direct, self.direct) = (asks && set.is_ok(), self.direct && set.is_ok());
        part
    }
}

fn past_block(length: u64) -> usize {
    usize::try_from(length % BLOCK as u64).unwrap_or(0)
}

/// Memory that direct writes are made from.
#[derive(Debug)]
pub(super) struct Memory(Vec<u8>);

impl Memory {
    pub(super) fn new() -> Self {
        Self(vec![0; MEMORY + 2 * BLOCK])
    }

    /// Room for at most `most` bytes that go to the end of a file of `length` bytes: whole blocks
    /// of the file are whole blocks of it.
    pub(super) fn room(&mut self, length: u64, most: u64) -> &mut [u8] {
        let whole = self.0.as_ptr().align_offset(BLOCK);
        let from = whole.min(BLOCK) + past_block(length);
        let size = usize::try_from(most).unwrap_or(MEMORY).min(MEMORY - past_block(length));
        &mut self.0[from..from + size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_was_written_in_whatever_pieces_it_came() {
        // A disk takes direct writes, memory may not.
        for dir in [".", "/dev/shm"] {
            let Ok(dir) = tempfile::tempdir_in(dir) else { continue };
            let path = dir.path().join("file");
            let (mut out, mut memory) = (Out::create(&path).unwrap(), Memory::new());
            let mut expected = Vec::new();
            for n in [1_usize, 70_000, 65_536, 1 << 20, 4096, 3, 300_000, 0, 8 << 20] {
                let mut left: Vec<u8> =
                    (0..n).map(|i| ((i * 31 + n) % 256).to_le_bytes()[0]).collect();
                expected.extend_from_slice(&left);
                while !left.is_empty() {
                    let room = memory.room(out.length(), left.len() as u64);
                    let size = room.len();
                    room.copy_from_slice(&left[..size]);
                    let written = out.write(room).unwrap();
                    left.drain(..written);
                }
            }
            assert_eq!(out.length(), expected.len() as u64);
            assert!(std::fs::read(&path).unwrap() == expected);
            assert!(Out::create(&path).is_err(), "another may have its name");
        }
    }
}
