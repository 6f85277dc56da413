//! One flight: slices to the socket, each by the call that suits it. Never waits for the socket.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;

use fdflow::sys::errno::{self, Verdict};
use fdflow::sys::{End, Kernel, SigpipeGuard, System};
use fdflow::{Errno, Operation};
use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::Why;
use crate::region::{Backing, Regions};

/// At most so much of a file is looked for in the page cache, and sent, by one call: a cold file
/// is read ahead by so much, and a fast reader leaves the thread to others after a few of them.
pub(crate) const PIECE: usize = 1 << 20;
/// The copy where sendfile refuses a file.
const COPY: usize = 64 << 10;

/// The socket of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket<'fd> {
    pub(crate) fd: BorrowedFd<'fd>,
    /// SIGPIPE would end the program, as it was when the connection was made.
    pub(crate) signals: bool,
}

/// How far a flight got.
#[derive(Debug)]
pub(crate) enum Flight {
    /// So many bytes are the socket's now.
    Sent(usize),
    /// Nothing was sent: the next bytes have to be read from a disk first.
    Cold(Cold),
}

/// A piece of a file that is not in the page cache.
#[derive(Debug)]
pub(crate) struct Cold {
    backing: Backing,
    length: usize,
}

/// A slice that is to be sent.
enum Part {
    /// From memory.
    Plain,
    /// From a file.
    File(Backing),
}

/// Sends what the socket takes of `slices`, in order.
///
/// Fails with `WouldBlock` where it takes nothing.
pub(crate) fn flight(
    socket: Socket<'_>,
    slices: &[IoSlice<'_>],
    regions: &Regions,
) -> io::Result<Flight> {
    let mut sent = 0;
    let mut next = 0;
    while next < slices.len() {
        let (n, whole) = match part(&slices[next], regions) {
            Part::Plain => {
                let end = plain_until(slices, next, regions);
                let more = end < slices.len();
                let run = &slices[next..end];
                next = end;
                (send_plain(socket, run, more), run.iter().map(|slice| slice.len()).sum())
            }
            Part::File(backing) => {
                let length = slices[next].len();
                let piece = length.min(PIECE);
                if !backing.file.is_cached(backing.at..backing.at + piece as u64) {
                    if sent > 0 {
                        return Ok(Flight::Sent(sent));
                    }
                    return Ok(Flight::Cold(Cold { backing, length: piece }));
                }
                next += 1;
                (send_file(socket, &backing, piece), length)
            }
        };
        match n {
            Ok(n) => sent += n,
            // What was sent counts; the error comes again.
            Err(_) if sent > 0 => return Ok(Flight::Sent(sent)),
            Err(error) => return Err(error),
        }
        if n.is_ok_and(|n| n < whole) {
            break;
        }
    }
    Ok(Flight::Sent(sent))
}

impl Cold {
    /// Sends the piece, and waits for the disk while it does.
    pub(crate) fn send(&self, socket: Socket<'_>) -> io::Result<usize> {
        send_file(socket, &self.backing, self.length)
    }
}

fn part(slice: &[u8], regions: &Regions) -> Part {
    regions.find(slice).map_or(Part::Plain, Part::File)
}

/// Where the run of plain slices from `start` on ends.
fn plain_until(slices: &[IoSlice<'_>], start: usize, regions: &Regions) -> usize {
    let more = slices[start + 1..].iter();
    let run = more.take_while(|slice| matches!(part(slice, regions), Part::Plain)).count();
    start + 1 + run
}

fn send_plain(socket: Socket<'_>, run: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
    // A head waits for the file that follows it at once, so that they share a segment.
    let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
    loop {
        let mut no_descriptors = SendAncillaryBuffer::default();
        match rustix::net::sendmsg(socket.fd, run, &mut no_descriptors, flags) {
            Err(Errno::INTR) => {}
            answer => return Ok(answer?),
        }
    }
}

fn send_file(socket: Socket<'_>, backing: &Backing, length: usize) -> io::Result<usize> {
    if let Some(errno) = backing.file.refused() {
        return send_copy(socket, backing, length, errno);
    }
    let n = match sendfile(socket, backing, length) {
        Err(errno) if errno::verdict(Operation::Sendfile, errno, true) == Verdict::Refused => {
            backing.file.refuse(errno);
            return send_copy(socket, backing, length, errno);
        }
        answer => answer?,
    };
    if n == 0 {
        return shrunk_or_refused(socket, backing, length);
    }
    backing.delivery.add_sendfile(n);
    Ok(n)
}

fn sendfile(socket: Socket<'_>, backing: &Backing, length: usize) -> Result<usize, Errno> {
    use std::os::fd::AsFd;
    let file = backing.file.file().as_fd();
    let _guard = socket.signals.then(SigpipeGuard::new);
    loop {
        match System.sendfile(End::file(file, backing.at), End::socket(socket.fd), length) {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}

/// Zero is not the end until `read` says so: some filesystems answer sendfile with it.
fn shrunk_or_refused(socket: Socket<'_>, backing: &Backing, length: usize) -> io::Result<usize> {
    let n = send_copy(socket, backing, length, Errno::NODATA)?;
    backing.file.refuse(Errno::NODATA);
    Ok(n)
}

/// Bytes that the socket does not take are read again: the place in the file is the body's.
fn send_copy(
    socket: Socket<'_>,
    backing: &Backing,
    length: usize,
    errno: Errno,
) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; length.min(COPY)];
    let read = loop {
        match backing.file.file().read_at(&mut buffer, backing.at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => break answer?,
        }
    };
    if read == 0 {
        return Err(shrunk(backing.at..backing.at + length as u64));
    }
    let n = send_plain(socket, &[IoSlice::new(&buffer[..read])], false)?;
    backing.delivery.add_copied(n, Why::Refused(errno));
    Ok(n)
}

/// The file ends before what was promised of it.
pub(crate) fn shrunk(owed: Range<u64>) -> io::Error {
    let message = format!(
        "the file was cut while it was sent: bytes {} to {} are gone; the connection is closed, \
         so that the client sees it",
        owed.start,
        owed.end.saturating_sub(1)
    );
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}
