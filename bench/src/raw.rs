//! The limits: loops of nothing but system calls on blocking descriptors.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::measure::Pieces;

/// The largest count that one call takes.
const CALL_MAX: usize = 0x7fff_f000;

/// `read` and `write` through one buffer.
pub(crate) fn read_write(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    buffer: usize,
) -> io::Result<(u64, Pieces)> {
    let mut buffer = vec![0; buffer];
    let mut pieces = Pieces::default();
    let mut total = 0;
    loop {
        let n = retry_on_intr(|| rustix::io::read(from, &mut buffer[..]))?;
        if n == 0 {
            return Ok((total, pieces));
        }
        pieces.saw(n);
        write_all(to, &buffer[..n])?;
        total += n as u64;
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = retry_on_intr(|| rustix::io::write(to, bytes))?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// `splice` into a pipe of `capacity` bytes and out of it, at most `most` at a time.
pub(crate) fn splice_staged(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    capacity: usize,
    most: usize,
) -> io::Result<(u64, Pieces)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let most = rustix::pipe::fcntl_setpipe_size(&writer, capacity)?.min(most);
    let mut pieces = Pieces::default();
    let mut total = 0;
    loop {
        let mut staged = splice(from, &writer, most)?;
        if staged == 0 {
            return Ok((total, pieces));
        }
        pieces.saw(staged);
        total += staged as u64;
        while staged > 0 {
            staged -= splice(&reader, to, staged)?;
        }
    }
}

/// `splice` where one end is a pipe.
pub(crate) fn splice_once(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<(u64, Pieces)> {
    repeat(|| splice(from, to, CALL_MAX))
}

fn splice(
    from: impl std::os::fd::AsFd,
    to: impl std::os::fd::AsFd,
    n: usize,
) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::pipe::splice(&from, None, &to, None, n, SpliceFlags::empty()))
}

/// `sendfile` in calls as large as they can be.
pub(crate) fn sendfile(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<(u64, Pieces)> {
    repeat(|| retry_on_intr(|| rustix::fs::sendfile(to, from, None, CALL_MAX)))
}

/// `copy_file_range` in calls of at most `call` bytes.
pub(crate) fn copy_file_range(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    call: usize,
) -> io::Result<(u64, Pieces)> {
    repeat(|| retry_on_intr(|| rustix::fs::copy_file_range(from, None, to, None, call)))
}

fn repeat(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<(u64, Pieces)> {
    let mut pieces = Pieces::default();
    let mut total = 0;
    loop {
        let n = call()?;
        if n == 0 {
            return Ok((total, pieces));
        }
        pieces.saw(n);
        total += n as u64;
    }
}

/// The first `length` bytes of a file by `sendfile`.
pub(crate) fn send_file(file: BorrowedFd<'_>, to: BorrowedFd<'_>, length: usize) -> io::Result<()> {
    let mut at = 0;
    while let left @ 1.. = length - usize::try_from(at).unwrap_or(length) {
        if retry_on_intr(|| rustix::fs::sendfile(to, file, Some(&mut at), left))? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The first `length` bytes of a file by `pread` and `write`.
pub(crate) fn pread_write(
    file: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    length: usize,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut at = 0;
    while at < length {
        let most = buffer.len().min(length - at);
        let part = &mut buffer[..most];
        let n = retry_on_intr(|| rustix::io::pread(file, &mut *part, at as u64))?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all(to, &part[..n])?;
        at += n;
    }
    Ok(())
}
