//! Files as memory: whole or by windows, read, searched, written, and read without the risk that
//! a mapping brings.
//!
//! | what | for |
//! |---|---|
//! | [`Map`], [`MapMut`] | a file or a part of it as a slice: read-only, copy-on-write, read-write; anonymous memory |
//! | [`Windows`] | a file larger than memory, piece by piece, with a bounded resident set |
//! | [`MapReader`] | `Read + BufRead + Seek` on a mapping, lines lent from it; a [`Source`](crate::Source) |
//! | [`Checked`] | a file that others may cut meanwhile: an error, never SIGBUS |
//! | [`fdflow::reader`](crate::reader()) | whichever way of reading is the best, safe |
//!
//! # Why mapping a file is unsafe
//!
//! A mapping shows the file as it is at the time of each load. Two things follow, and no check
//! that is made beforehand helps against either:
//!
//! - If the file is **cut**, a load from a page that it has lost raises SIGBUS, which ends the
//!   process; so does a page that its disk cannot read. What lies behind the new end in the last
//!   page reads as zeros.
//! - If the file is **written to**, by this process or another one, the bytes behind a `&[u8]`
//!   change. Rust takes it for granted that they do not: a `str` that was checked to be UTF-8 may
//!   no longer be, an index that was read may differ when it is read again. This is undefined
//!   behaviour, not only a wrong result.
//!
//! Whoever calls an `unsafe` function of this module promises that neither happens for as long
//! as the mapping lives: the files are the program's own, or installed and never rewritten in place
//! (replacing a file by `rename` is no harm). A copy-on-write mapping needs the same promise:
//! pages that were not written to yet are the file's, and a cut takes away all of them.
//!
//! Safe functions map what the kernel keeps from changing: a memfd that is sealed against cutting
//! and writing, a file protected by fs-verity, anonymous memory. Of any other file they read
//! ([`Checked`], [`Windows::checked`], [`fdflow::reader`](crate::reader())): the kernel copies the
//! bytes by `pread`, which answers where a load would kill. To fault the pages in beforehand
//! ([`Advice::Populate`]) is no such check, since a cut takes pages away that were there; nor is a
//! copy out of the mapping by the kernel (`process_vm_readv`, `write`), which reads zeros behind the
//! new end and is slower than `pread` besides.
//!
//! # When mapping is the slower way
//!
//! A page has to be entered into the page tables before it is read, and taken out again. The kernel does
//! that for all pages of a piece of the page cache at once, so that it pays where the pieces are large:
//! measure (`bench/record` has the figures for one machine), but expect:
//!
//! | work | faster |
//! |---|---|
//! | sending a file, or copying it to another | [`copy`](crate::copy()): sendfile, copy_file_range, reflink. No byte passes through the program; mapping it and writing that is the slowest of all |
//! | reading once from the start to the end | a mapping or windows, by 2 times, from some MiB on; where the file came into the cache in small pieces, or is small, `read` into a buffer of 128 KiB |
//! | a few reads from a large file | `pread`, by 2 to 4 times |
//! | a file of up to some MiB, read again and again | one `read` into memory |
//! | a large file, read all over again and again | a mapping, by 2 times |
//!
//! ```
//! use fdflow::map::Map;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("index");
//! # std::fs::write(&path, "alpha\nbeta\n")?;
//! let file = std::fs::File::open(path)?;
//! // SAFETY: nobody writes to an index once it has its name.
//! let map = unsafe { Map::new(&file) }?;
//! assert_eq!(map.find(b"beta"), Some(6));
//! assert_eq!(&map[..5], b"alpha");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod advice;
mod checked;
mod error;
#[cfg_attr(all(target_os = "linux", not(fdflow_portable)), path = "kernel_linux.rs")]
#[cfg_attr(not(all(target_os = "linux", not(fdflow_portable))), path = "kernel_posix.rs")]
mod kernel;
mod options;
mod pieces;
mod read_only;
mod reader;
mod search;
pub(crate) mod target;
mod windows;
mod writable;

pub use advice::Advice;
pub use checked::Checked;
pub use error::MapError;
pub use options::MapOptions;
pub use read_only::Map;
pub use reader::MapReader;
pub(crate) use reader::sought;
pub use search::{MapMatches, Matches};
pub use windows::{DEFAULT_WINDOW, Window, Windows};
pub use writable::MapMut;
