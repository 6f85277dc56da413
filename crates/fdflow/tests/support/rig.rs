//! Sources and sinks of every kind, made and looked into the same way.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{JoinHandle, spawn};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{MemfdFlags, OFlags};

/// What an end can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    File,
    /// A file on another filesystem.
    Memory,
    Pipe,
    Tcp,
    Tcp6,
    Unix,
}

impl Sort {
    pub const ALL: [Self; 6] =
        [Self::File, Self::Memory, Self::Pipe, Self::Tcp, Self::Tcp6, Self::Unix];

    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Memory)
    }
}

/// A source that gives certain bytes.
pub struct Feed {
    pub fd: OwnedFd,
    writer: Option<JoinHandle<()>>,
}

/// A source that gives `bytes`, written by another thread where it is a stream.
pub fn feed(sort: Sort, bytes: &[u8]) -> Feed {
    feed_in_pieces(sort, bytes, &[bytes.len().max(1)])
}

/// A source into which `bytes` are written in pieces of these sizes, again and again.
pub fn feed_in_pieces(sort: Sort, bytes: &[u8], sizes: &[usize]) -> Feed {
    if sort.is_file() {
        let mut file = file(sort);
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        return Feed { fd: file.into(), writer: None };
    }
    let (fd, mut to) = stream(sort);
    let (bytes, sizes) = (bytes.to_vec(), sizes.to_vec());
    let writer = spawn(move || {
        let mut rest = &bytes[..];
        for size in sizes.into_iter().cycle() {
            let piece = rest.split_off(..size.min(rest.len())).unwrap();
            to.write_all(piece).unwrap();
            if rest.is_empty() {
                break;
            }
        }
    });
    Feed { fd, writer: Some(writer) }
}

impl Feed {
    /// What is left in it.
    pub fn rest(mut self) -> Vec<u8> {
        nonblocking(&self.fd, false);
        let mut from = File::from(self.fd.try_clone().unwrap());
        let mut rest = Vec::new();
        from.read_to_end(&mut rest).unwrap();
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap();
        }
        rest
    }
}

/// A sink whose bytes are kept.
pub struct Catch {
    pub fd: OwnedFd,
    reader: Reader,
}

enum Reader {
    File(File),
    Thread(JoinHandle<Vec<u8>>),
}

/// A sink of this sort, read by another thread where it is a stream.
pub fn catch(sort: Sort) -> Catch {
    if sort.is_file() {
        let file = file(sort);
        let reader = Reader::File(file.try_clone().unwrap());
        return Catch { fd: file.into(), reader };
    }
    let (from, to) = stream(sort);
    Catch { fd: to.into(), reader: Reader::Thread(super::reading(File::from(from))) }
}

impl Catch {
    /// Closes it and says what was written to it.
    pub fn bytes(self) -> Vec<u8> {
        drop(self.fd);
        match self.reader {
            Reader::Thread(reader) => reader.join().unwrap(),
            Reader::File(mut file) => {
                let mut bytes = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut bytes).unwrap();
                bytes
            }
        }
    }
}

/// An empty file.
pub fn file(sort: Sort) -> File {
    match sort {
        Sort::File => tempfile::tempfile().unwrap(),
        _ => File::from(rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap()),
    }
}

/// The end to read from and the one to write to.
pub fn stream(sort: Sort) -> (OwnedFd, File) {
    let (from, to): (OwnedFd, OwnedFd) = match sort {
        Sort::Unix => {
            let (from, to) = super::unix();
            (from.into(), to.into())
        }
        Sort::Pipe => {
            let (from, to) = std::io::pipe().unwrap();
            (from.into(), to.into())
        }
        _ => {
            let (from, to) = if sort == Sort::Tcp6 { super::tcp6() } else { super::tcp() };
            to.set_nodelay(true).unwrap();
            (from.into(), to.into())
        }
    };
    (from, File::from(to))
}

/// A terminal in raw mode: the screen's end, and the program's.
pub fn terminal() -> (OwnedFd, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let tty = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    let mut modes = rustix::termios::tcgetattr(&tty).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&tty, rustix::termios::OptionalActions::Now, &modes).unwrap();
    (screen, File::from(tty))
}

/// Sets or clears `O_NONBLOCK`.
pub fn nonblocking(fd: impl AsFd, on: bool) {
    let flags = rustix::fs::fcntl_getfl(&fd).unwrap();
    let flags = if on { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK };
    rustix::fs::fcntl_setfl(&fd, flags).unwrap();
}

/// Sets `O_APPEND`.
pub fn appending(fd: impl AsFd) {
    let flags = rustix::fs::fcntl_getfl(&fd).unwrap();
    rustix::fs::fcntl_setfl(&fd, flags | OFlags::APPEND).unwrap();
}

/// Fills a stream's buffers to the brim; returns what was written.
pub fn stuff(to: impl AsFd) -> Vec<u8> {
    let flags = rustix::fs::fcntl_getfl(&to).unwrap();
    nonblocking(&to, true);
    let mut written = Vec::new();
    loop {
        let before = written.len();
        for size in [4096, 1] {
            let block = vec![b'.'; size];
            while let Ok(n) = rustix::io::write(&to, &block) {
                written.extend_from_slice(&block[..n]);
            }
        }
        if written.len() == before {
            break;
        }
        // A socket finds a little more room when its peer has acknowledged what came.
        let a_while = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        rustix::event::poll(&mut [PollFd::new(&to, PollFlags::OUT)], Some(&a_while)).unwrap();
    }
    rustix::fs::fcntl_setfl(&to, flags).unwrap();
    written
}
