//! What a descriptor is.

/// What kind of thing a descriptor refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file, on any filesystem; also a memfd, and the files of procfs and sysfs.
    File,
    /// A pipe or FIFO.
    Pipe,
    /// A TCP connection, IPv4 or IPv6.
    Tcp,
    /// A connected Unix stream socket.
    Unix,
    /// Another stream socket, such as vsock.
    Stream,
    /// A terminal.
    Tty,
    /// Another character device.
    Device,
    /// A block device.
    Block,
    /// No descriptor: bytes come or go through `Read` or `Write`.
    User,
    /// A socket that keeps message boundaries: datagram or seqpacket.
    Messages,
    /// A listening socket.
    Listener,
    /// A directory.
    Directory,
    /// A descriptor that names a file without opening it (`O_PATH`).
    PathOnly,
    /// An eventfd, timerfd, epoll or another descriptor with no stream behind it.
    Other,
}

impl Kind {
    /// Whether it is a stream socket.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Unix | Self::Stream)
    }

    /// Whether offsets mean something to it.
    #[must_use]
    pub const fn is_seekable(self) -> bool {
        matches!(self, Self::File | Self::Block)
    }

    /// Whether an operation on it may have to wait for another party, so that poll can help.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(
            self,
            Self::Pipe | Self::Tcp | Self::Unix | Self::Stream | Self::Tty | Self::Device
        )
    }

    /// Why no bytes can be streamed to or from it; `None` where they can.
    pub(crate) const fn unfit(self) -> Option<&'static str> {
        match self {
            Self::Messages => Some(
                "is a datagram or seqpacket socket, and moving bytes would lose its message \
                 boundaries: receive and send its messages one by one",
            ),
            Self::Listener => {
                Some("is a listening socket, which carries no data: accept a connection first")
            }
            Self::Directory => Some("is a directory"),
            Self::PathOnly => Some("was opened with O_PATH and carries no data: open it again"),
            Self::Other => Some("has no byte stream behind it"),
            _ => None,
        }
    }
}

/// The identity of a file: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device that the file lives on.
    pub device: u64,
    /// The file's number on it.
    pub inode: u64,
}

/// What [`Kernel::traits`](crate::sys::Kernel::traits) found out about a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// What it is.
    pub kind: Kind,
    /// Whether `O_NONBLOCK` is set.
    pub nonblocking: bool,
    /// Whether `O_APPEND` is set.
    pub append: bool,
    /// Whether it may be read from.
    pub readable: bool,
    /// Whether it may be written to.
    pub writable: bool,
    /// The length of a regular file.
    pub length: Option<u64>,
    /// The position of a regular file.
    pub position: Option<u64>,
    /// Whether a regular file has fewer blocks than its length needs.
    pub holes: bool,
    /// The identity of a regular file.
    pub id: Option<FileId>,
    /// Whether a regular file is known to be one of which no byte can change any more. Looked at
    /// only where it matters.
    pub sealed: bool,
}

impl Traits {
    /// The traits of an end without a descriptor.
    pub const USER: Self = Self::of(Kind::User);

    /// The plainest traits of a kind: blocking, readable, writable.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self {
            kind,
            nonblocking: false,
            append: false,
            readable: true,
            writable: true,
            length: None,
            position: None,
            holes: false,
            id: None,
            sealed: false,
        }
    }
}
