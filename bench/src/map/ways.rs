//! The ways to read a file: mapped, by windows, and through buffers.
#![allow(unsafe_code, reason = "the contenders map files")]

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use clap::ValueEnum;
use fdflow::map::{Map, Windows};
use fdflow::reader::{Access, Options, Reader};
use memmap2::Mmap;

use super::peruse::Task;
use super::pieces::Across;
use super::site::{BLOCK, NEEDLE, count_in};

/// What plain reads of all of a file ask for at a time.
const BUFFER: usize = 128 << 10;

/// A way to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// `fdflow::map::Map`
    Map,
    /// `fdflow::map::Windows`, as they are
    Windows,
    /// `fdflow::reader`, told how the file is read and that it does not change
    Reader,
    /// memmap2, used directly
    Memmap2,
    /// `pread`, 128 KiB at a time where all is read
    Pread,
    /// `read`, 128 KiB at a time where all is read, behind a `seek` where a part is
    Read,
    /// `BufReader` as it is
    BufReader,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Map => "map",
            Self::Windows => "windows",
            Self::Reader => "reader",
            Self::Memmap2 => "memmap2",
            Self::Pread => "pread",
            Self::Read => "read",
            Self::BufReader => "buf-reader",
        })
    }
}

/// A file of this measurement, mapped by memmap2.
pub(super) fn mapped(file: &File) -> io::Result<Mmap> {
    // SAFETY: the file is in a folder of this run's own, and nobody changes it any more.
    unsafe { Mmap::map(file) }
}

fn map(file: &File) -> io::Result<Map> {
    // SAFETY: as above.
    Ok(unsafe { Map::new(file) }?)
}

fn windows(file: &File) -> io::Result<Windows<&File>> {
    // SAFETY: as above.
    Ok(unsafe { Windows::new(file) }?)
}

fn reader(file: &File, access: Access) -> io::Result<Reader> {
    // SAFETY: as above.
    let options = unsafe { Options::new().access(access).unchanging() };
    options.read(file.try_clone()?)
}

/// What counts the byte in the block at an offset.
type Counting<'a> = Box<dyn FnMut(u64) -> io::Result<u64> + 'a>;

impl Way {
    /// Whether it takes part in a work.
    pub(super) fn does(self, task: Task) -> bool {
        // They go from the start to the end.
        self != Self::Windows || matches!(task, Task::Scan | Task::Search)
    }

    /// Makes ready to read blocks here and there.
    pub(super) fn blocks(self, file: &File, access: Access) -> io::Result<Counting<'_>> {
        Ok(match self {
            Self::Map => in_memory(map(file)?),
            Self::Reader => seeking(reader(file, access)?),
            Self::Windows => return Err(io::Error::other("windows do not go here and there")),
            Self::Memmap2 => in_memory(mapped(file)?),
            Self::Pread => {
                let mut block = [0; BLOCK];
                Box::new(move |at| {
                    file.read_exact_at(&mut block, at)?;
                    Ok(count_in(&block))
                })
            }
            Self::Read => seeking(file),
            Self::BufReader => seeking(BufReader::new(file)),
        })
    }

    /// Counts the byte in all of the file.
    pub(super) fn scan(self, file: &File) -> io::Result<u64> {
        let mut count = 0;
        self.visit(file, &mut |piece| {
            count += count_in(piece);
            false
        })?;
        Ok(count)
    }

    /// Where the needle first is.
    pub(super) fn search(self, file: &File) -> io::Result<Option<u64>> {
        match self {
            Self::Map => return Ok(map(file)?.find(NEEDLE).map(|at| at as u64)),
            Self::Windows => return Ok(windows(file)?.matches(NEEDLE).next().transpose()?),
            _ => {}
        }
        let (mut across, mut found) = (Across::new(NEEDLE), None);
        self.visit(file, &mut |piece| {
            found = across.look(piece);
            found.is_some()
        })?;
        Ok(found)
    }

    /// Shows `look` the file from its beginning, piece by piece, until it says that it has seen enough.
    fn visit(self, mut file: &File, look: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        match self {
            Self::Map => {
                look(&map(file)?);
                Ok(())
            }
            Self::Windows => {
                let mut windows = windows(file)?;
                while let Some(window) = windows.next_window()? {
                    if look(&window) {
                        break;
                    }
                }
                Ok(())
            }
            Self::Reader => lent(look, reader(file, Access::Sequential)?),
            Self::Memmap2 => {
                look(&mapped(file)?);
                Ok(())
            }
            Self::Pread => {
                let mut at = 0;
                filled(look, |buffer| {
                    let n = file.read_at(buffer, at)?;
                    at += n as u64;
                    Ok(n)
                })
            }
            Self::Read => filled(look, |buffer| file.read(buffer)),
            Self::BufReader => lent(look, BufReader::new(file)),
        }
    }
}

/// Blocks of what is in memory from its first to its last byte.
fn in_memory<'a>(memory: impl AsRef<[u8]> + 'a) -> Counting<'a> {
    Box::new(move |at| {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let block = memory.as_ref().get(at..at + BLOCK).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(count_in(block))
    })
}

/// Blocks of what has a position.
fn seeking<'a>(mut reader: impl Read + Seek + 'a) -> Counting<'a> {
    let mut block = [0; BLOCK];
    Box::new(move |at| {
        reader.seek(SeekFrom::Start(at))?;
        reader.read_exact(&mut block)?;
        Ok(count_in(&block))
    })
}

/// Pieces that are read into one buffer.
fn filled(
    look: &mut dyn FnMut(&[u8]) -> bool,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = read(&mut buffer)?;
        if n == 0 || look(&buffer[..n]) {
            return Ok(());
        }
    }
}

/// Pieces that a reader lends.
fn lent(look: &mut dyn FnMut(&[u8]) -> bool, mut reader: impl BufRead) -> io::Result<()> {
    loop {
        let piece = reader.fill_buf()?;
        let n = piece.len();
        if n == 0 || look(piece) {
            return Ok(());
        }
        reader.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::site::{Site, offsets};

    #[test]
    fn all_ways_find_the_same() {
        let home = tempfile::tempdir().unwrap();
        let site = Site::make(home.path(), 700_001).unwrap();
        let offsets = offsets(700_001, 50);
        let wanted = site.count_at(&offsets).unwrap();
        for way in Way::value_variants() {
            let open = || File::open(&site.path).unwrap();
            assert_eq!(way.scan(&open()).unwrap(), site.count, "{way}");
            assert_eq!(way.search(&open()).unwrap(), Some(site.needle), "{way}");
            let file = open();
            for access in [Access::Few, Access::Random] {
                if way.does(Task::Random) {
                    let mut count = way.blocks(&file, access).unwrap();
                    let counted: u64 = offsets.iter().map(|at| count(*at).unwrap()).sum();
                    assert_eq!(counted, wanted, "{way}");
                }
            }
        }
    }
}
