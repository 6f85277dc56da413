//! Fresh ends for one transfer: a source filled with known bytes, a sink that can be read back.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use fdflow::Side;
use rustix::event::PollFlags;
use rustix::fs::{MemfdFlags, OFlags};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use super::content::{changed, pattern};
use super::kinds::{Kind, What};
use super::streams::{self, Connected, Stream};

/// So many bytes are moved: more than the library takes for a small file, few enough to lie in
/// every buffer between two ends while nobody reads.
pub(super) const MOST: usize = 32 << 10;
/// A terminal's queue is short.
const TTY_MOST: usize = 2 << 10;

/// A source with bytes in it.
#[derive(Debug)]
pub(super) struct Giver {
    fd: OwnedFd,
    /// So many bytes can be taken.
    pub(super) n: usize,
    /// Those bytes, where they are known.
    pub(super) content: Option<Vec<u8>>,
    /// The file that holds those bytes, where they can be changed.
    origin: Option<File>,
    /// A stream's other end, which must not close yet.
    _peer: Option<OwnedFd>,
}

impl Giver {
    /// A fresh source of at most `most` bytes.
    pub(super) fn new(kind: &Kind, most: usize) -> io::Result<Self> {
        match &kind.what {
            What::File { dir, .. } => Self::of_file(tempfile::tempfile_in(dir)?, most),
            What::Memfd => Self::of_file(memfd()?, most),
            What::Stream(Stream::Tty) => Self::of_terminal(most),
            What::Stream(stream) => Self::of_stream(*stream, most, kind.traceable),
            What::Readable(path) => {
                let content = std::fs::read(path)?;
                Ok(Self::unchangeable(open(path)?, content.len().min(most), Some(content)))
            }
            What::Endless { path, byte } => {
                let content = byte.map(|byte| vec![byte; most]);
                Ok(Self::unchangeable(open(Path::new(path))?, most, content))
            }
            What::Drain(_) => Err(io::Error::other("gives no bytes")),
        }
    }

    fn of_file(file: File, n: usize) -> io::Result<Self> {
        let content = pattern(n);
        file.write_all_at(&content, 0)?;
        let origin = Some(file.try_clone()?);
        Ok(Self { fd: file.into(), n, content: Some(content), origin, _peer: None })
    }

    fn of_terminal(most: usize) -> io::Result<Self> {
        let Connected { probed, peer } = Stream::Tty.connect(Side::Source)?;
        let mut content = pattern(most.min(TTY_MOST));
        let n = streams::put(peer.as_fd(), &content)?;
        content.truncate(n);
        streams::wait(probed.as_fd(), PollFlags::IN)?;
        Ok(Self { fd: probed, n, content: Some(content), origin: None, _peer: Some(peer) })
    }

    /// A stream that holds references to the pages of a memfd, if the kernel gives it such, and
    /// else plain bytes.
    fn of_stream(stream: Stream, most: usize, traceable: bool) -> io::Result<Self> {
        let Connected { probed, peer } = stream.connect(Side::Source)?;
        let memory = memfd()?;
        let mut content = pattern(most);
        memory.write_all_at(&content, 0)?;
        let referred = if traceable { refer(&memory, &peer, stream, most)? } else { 0 };
        let n = if referred > 0 { referred } else { streams::put(peer.as_fd(), &content)? };
        content.truncate(n);
        streams::wait(probed.as_fd(), PollFlags::IN)?;
        let origin = (referred > 0).then_some(memory);
        Ok(Self { fd: probed, n, content: Some(content), origin, _peer: Some(peer) })
    }

    fn unchangeable(file: File, n: usize, content: Option<Vec<u8>>) -> Self {
        Self { fd: file.into(), n, content, origin: None, _peer: None }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Overwrites the source's bytes; `false` where nobody can.
    pub(super) fn overwrite(&self) -> io::Result<bool> {
        let (Some(origin), Some(content)) = (&self.origin, &self.content) else {
            return Ok(false);
        };
        origin.write_all_at(&changed(content), 0)?;
        Ok(true)
    }
}

/// A sink without bytes in it.
#[derive(Debug)]
pub(super) struct Taker {
    fd: OwnedFd,
    /// So many bytes it takes while nobody reads.
    pub(super) most: usize,
    behind: Behind,
}

/// Where the bytes that a sink took can be read.
#[derive(Debug)]
enum Behind {
    File(File),
    Stream(OwnedFd),
    Nothing,
}

impl Taker {
    pub(super) fn new(kind: &Kind) -> io::Result<Self> {
        match &kind.what {
            What::File { dir, append } => Self::of_file(tempfile::tempfile_in(dir)?, *append),
            What::Memfd => Self::of_file(memfd()?, false),
            What::Stream(stream) => {
                let Connected { probed, peer } = stream.connect(Side::Sink)?;
                let most = match stream {
                    Stream::Tty => TTY_MOST,
                    Stream::Pipe => MOST.min(rustix::pipe::fcntl_getpipe_size(&probed)?),
                    _ => MOST,
                };
                Ok(Self { fd: probed, most, behind: Behind::Stream(peer) })
            }
            What::Drain(path) => {
                let file = File::options().write(true).open(path)?;
                Ok(Self { fd: file.into(), most: MOST, behind: Behind::Nothing })
            }
            What::Readable(_) | What::Endless { .. } => Err(io::Error::other("takes no bytes")),
        }
    }

    fn of_file(file: File, append: bool) -> io::Result<Self> {
        if append {
            let flags = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, flags | OFlags::APPEND)?;
        }
        let behind = Behind::File(file.try_clone()?);
        Ok(Self { fd: file.into(), most: MOST, behind })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What it was given, `n` bytes or however many there are; `None` where nobody can tell.
    pub(super) fn read_back(&self, n: usize) -> io::Result<Option<Vec<u8>>> {
        match &self.behind {
            Behind::File(file) => {
                let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
                let mut bytes = vec![0; length.min(2 * MOST)];
                file.read_exact_at(&mut bytes, 0)?;
                Ok(Some(bytes))
            }
            Behind::Stream(peer) => streams::collect(peer.as_fd(), n).map(Some),
            Behind::Nothing => Ok(None),
        }
    }
}

fn memfd() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("fdflow-probe", MemfdFlags::CLOEXEC)?.into())
}

fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    File::options().read(true).custom_flags(flags).open(path)
}

/// Has the kernel pass on up to `n` bytes of a file; 0 where it will not.
fn refer(file: &File, to: &OwnedFd, stream: Stream, n: usize) -> io::Result<usize> {
    let mut passed: usize = 0;
    while passed < n {
        let left = n - passed;
        let answer = if stream == Stream::Pipe {
            rustix::pipe::splice(file, None, to, None, left, SpliceFlags::NONBLOCK)
        } else {
            rustix::fs::sendfile(to, file, None, left)
        };
        match answer {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(more) => passed += more,
            Err(Errno::INTR) => {}
            Err(_) if passed == 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(passed)
}
