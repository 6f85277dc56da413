//! Descriptors that travel with a message over a Unix socket.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, sockopt,
};

use super::sealed::Sealed;
use crate::sys::errno::uninterrupted;

/// The most descriptors that one message carries.
pub const MAX_DESCRIPTORS: usize = 253;

const RIGHTS: usize = cmsg_space!(ScmRights(MAX_DESCRIPTORS));
/// Besides the descriptors, room for what else the socket may have been set to deliver: credentials,
/// labels, times.
const ROOM: usize = RIGHTS + 1024;

/// Sends `bytes` over a connected Unix socket, and `descriptors` with them.
///
/// One `sendmsg`; how many of the bytes were taken. All descriptors go with the first of them, so
/// that the rest, if there is one, is to be sent without: only a stream socket takes less than all,
/// where it does not block or a signal came. The descriptors stay open here, and may be closed as
/// soon as the call has returned.
///
/// On a stream socket descriptors need at least one byte to go with. A socket that keeps messages
/// takes them with an empty one, too.
///
/// # Errors
///
/// [`PassError::TooMany`], [`PassError::NoByte`] and [`PassError::NotUnix`] before anything is sent;
/// [`PassError::InFlight`]. `BrokenPipe`, without a signal; `WouldBlock` on a socket that does not
/// block; others of the call.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let socket = socket.as_fd();
    check(socket, bytes, descriptors)?;
    let mut space = [MaybeUninit::uninit(); RIGHTS];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights = SendAncillaryMessage::ScmRights(descriptors);
    if !descriptors.is_empty() && !control.push(rights) {
        return Err(PassError::TooMany(descriptors.len()).into());
    }
    let parts = [IoSlice::new(bytes)];
    let sent =
        uninterrupted(|| rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL));
    sent.map_err(|errno| match errno {
        Errno::TOOMANYREFS => PassError::InFlight.into(),
        errno => errno.into(),
    })
}

/// What the kernel would take without a word, and lose.
fn check(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), io::Error> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(PassError::TooMany(descriptors.len()).into());
    }
    if descriptors.is_empty() {
        return Ok(());
    }
    if sockopt::socket_domain(socket)? != AddressFamily::UNIX {
        return Err(PassError::NotUnix.into());
    }
    if bytes.is_empty() && sockopt::socket_type(socket)? == SocketType::STREAM {
        return Err(PassError::NoByte.into());
    }
    Ok(())
}

/// Receives what a Unix socket has: bytes into `buffer`, and the descriptors that came with them.
///
/// One `recvmsg`, which waits if the socket blocks. The descriptors are close-on-exec.
///
/// * **A stream** keeps bytes in order and knows no messages. A receive ends behind bytes that
///   descriptors came with and never has those of two sends; but it may begin with bytes that were sent
///   before, and where the buffer is smaller than what was sent, it has the descriptors and the rest
///   of the bytes follows without. A plain `read` of those bytes closes the descriptors unseen. No
///   bytes are the end.
/// * **Datagrams and packets** come one by one, and have to fit into the buffer. No bytes are an empty
///   message, or the end of a packet stream.
///
/// Do not set `SO_PASSPIDFD` on the socket: nobody would close what comes of it.
///
/// # Errors
///
/// [`PassError::NoBuffer`] before the call. [`PassError::Lost`]: not all descriptors could be received;
/// [`PassError::Truncated`]: the message was longer than the buffer. In both cases the descriptors that
/// came have been closed, and the bytes that came are in the buffer. `WouldBlock` on a socket that
/// does not block; others of the call.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    if buffer.is_empty() {
        return Err(PassError::NoBuffer.into());
    }
    let room = buffer.len();
    let mut space = [MaybeUninit::uninit(); ROOM];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = uninterrupted(|| {
        rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    let bytes = message.bytes.min(room);
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(PassError::Lost { received: descriptors.len(), bytes }.into());
    }
    if message.flags.contains(ReturnFlags::TRUNC) {
        return Err(PassError::Truncated { room }.into());
    }
    Ok(Received { bytes, descriptors })
}

/// What a [`receive`] got.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Received {
    /// So many bytes, at the front of the buffer.
    pub bytes: usize,
    /// The descriptors that came with them, in the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
}

impl Received {
    /// The one descriptor that came, verified: a memfd that nobody can change any more.
    ///
    /// # Errors
    ///
    /// `InvalidData`: none came, more than one, or one that is
    /// [not sealed](super::NotSealed). Whatever came is closed.
    pub fn into_sealed(self) -> io::Result<Sealed> {
        let count = self.descriptors.len();
        let Ok([fd]) = <[OwnedFd; 1]>::try_from(self.descriptors) else {
            let message = format!("one sealed memfd was to come, and {count} descriptors came");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        };
        Ok(Sealed::try_from(fd)?)
    }
}

/// Why descriptors were not passed; inside of an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassError {
    /// So many descriptors, and one message carries [`MAX_DESCRIPTORS`]. Nothing was sent.
    TooMany(usize),
    /// A stream socket carries descriptors only with bytes, and there were none. Nothing was sent.
    NoByte,
    /// Only Unix sockets carry descriptors. Nothing was sent.
    NotUnix,
    /// There is no room to receive into. Nothing was received.
    NoBuffer,
    /// Nothing was sent, since too many descriptors that this user has sent were not yet received.
    InFlight,
    /// Descriptors were lost: most likely this process may open no more.
    Lost {
        /// So many came, and were closed.
        received: usize,
        /// So many bytes came with them, and are in the buffer.
        bytes: usize,
    },
    /// The message was longer than the buffer, and its end is lost. Its descriptors were closed.
    Truncated {
        /// The length of the buffer, which has the beginning.
        room: usize,
    },
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(given) => write!(
                f,
                "{given} descriptors, and one message carries {MAX_DESCRIPTORS}: send them with \
                 several messages"
            ),
            Self::NoByte => {
                f.write_str("descriptors travel with bytes on a stream socket: send at least one")
            }
            Self::NotUnix => f.write_str("only Unix sockets carry descriptors"),
            Self::NoBuffer => f.write_str("the buffer to receive into has no room"),
            Self::InFlight => f.write_str(
                "too many descriptors that this user has sent were not yet received (the bound is \
                 RLIMIT_NOFILE): let the receivers take them, and send again",
            ),
            Self::Lost { received, .. } => write!(
                f,
                "descriptors were lost after the first {received}, which have been closed: most likely \
                 this process has as many open as it may (RLIMIT_NOFILE)"
            ),
            Self::Truncated { room } => write!(
                f,
                "the message was longer than the buffer of {room} bytes, its end is lost and its \
                 descriptors have been closed: receive with more room"
            ),
        }
    }
}

impl Error for PassError {}

impl From<PassError> for io::Error {
    fn from(error: PassError) -> Self {
        let kind = match error {
            PassError::TooMany(_)
            | PassError::NoByte
            | PassError::NotUnix
            | PassError::NoBuffer => io::ErrorKind::InvalidInput,
            PassError::InFlight => io::ErrorKind::QuotaExceeded,
            PassError::Lost { .. } | PassError::Truncated { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
