//! Sources and sinks of the standard library.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Take, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::source::{Buffered, Sink, Source};

/// Types that are nothing but a descriptor.
macro_rules! bare {
    (Source: $($source:ty),+; Sink: $($sink:ty),+ $(,)?) => {
        $(impl Source for $source {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                Some(self.as_fd())
            }
            fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                read_fd(self.as_fd(), buffer)
            }
        })+
        $(impl Sink for $sink {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                Some(self.as_fd())
            }
            fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
                write_fd(self.as_fd(), bytes)
            }
        })+
    };
}

bare! {
    Source: File, &File, TcpStream, &TcpStream, UnixStream, &UnixStream, OwnedFd, &OwnedFd,
        BorrowedFd<'_>, io::PipeReader, &io::PipeReader, ChildStdout, ChildStderr;
    Sink: File, &File, TcpStream, &TcpStream, UnixStream, &UnixStream, OwnedFd, &OwnedFd,
        BorrowedFd<'_>, io::PipeWriter, &io::PipeWriter, ChildStdin,
}

fn read_fd(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(fd, buffer)?)
}

fn write_fd(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(fd, bytes)?)
}

/// Standard input: what the program has read ahead goes first.
///
/// The standard library does not tell whether anything is buffered without reading more, so that
/// a run begins with one read of up to 8 KiB through user space, which waits as `read` does and
/// sees neither a cancel nor an idle timeout. `io::stdin().as_fd()` is a source without that,
/// right where nothing was read from standard input before.
impl Source for io::Stdin {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn may_buffer(&self) -> bool {
        true
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        self.lock().read_buffered(buffer)
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// As for [`io::Stdin`].
impl Source for io::StdinLock<'_> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn may_buffer(&self) -> bool {
        true
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        let ahead = self.fill_buf()?;
        let n = ahead.len().min(buffer.len());
        let more = n < ahead.len();
        buffer[..n].copy_from_slice(&ahead[..n]);
        self.consume(n);
        Ok(Buffered { n, more })
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// Standard output and error: what the program has printed before goes out first.
macro_rules! standard {
    ($($sink:ty),+) => {
        $(impl Sink for $sink {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                Some(self.as_fd())
            }
            fn flush_buffered(&mut self) -> io::Result<()> {
                Write::flush(self)
            }
            fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Write::write(self, bytes)
            }
        })+
    };
}

standard!(io::Stdout, io::StdoutLock<'_>, io::Stderr, io::StderrLock<'_>);

/// What only leads to a source or a sink is one.
macro_rules! leads_to {
    ($($source:ty),+; $($sink:ty),+) => {
        $(impl<T: Source + ?Sized> Source for $source {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                (**self).descriptor()
            }
            fn may_buffer(&self) -> bool {
                (**self).may_buffer()
            }
            fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
                (**self).read_buffered(buffer)
            }
            fn offset(&self) -> Option<u64> {
                (**self).offset()
            }
            fn limit(&self) -> Option<u64> {
                (**self).limit()
            }
            fn advanced(&mut self, n: u64) {
                (**self).advanced(n);
            }
            fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (**self).read_user(buffer)
            }
        })+
        $(impl<T: Sink + ?Sized> Sink for $sink {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                (**self).descriptor()
            }
            fn flush_buffered(&mut self) -> io::Result<()> {
                (**self).flush_buffered()
            }
            fn advanced(&mut self, n: u64) {
                (**self).advanced(n);
            }
            fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
                (**self).write_user(bytes)
            }
        })+
    };
}

leads_to!(&mut T, Box<T>; &mut T, Box<T>);

/// The limit is a limit of the transfer, and is lowered by what the kernel moved.
impl<S: Source> Source for Take<S> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.get_ref().descriptor()
    }
    fn may_buffer(&self) -> bool {
        self.get_ref().may_buffer()
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        let most = cut(buffer.len(), Take::limit(self));
        let mut ahead = self.get_mut().read_buffered(&mut buffer[..most])?;
        self.set_limit(Take::limit(self).saturating_sub(ahead.n as u64));
        ahead.more &= Take::limit(self) > 0;
        Ok(ahead)
    }
    fn offset(&self) -> Option<u64> {
        self.get_ref().offset()
    }
    fn limit(&self) -> Option<u64> {
        let own = Take::limit(self);
        Some(self.get_ref().limit().map_or(own, |inner| inner.min(own)))
    }
    fn advanced(&mut self, n: u64) {
        self.set_limit(Take::limit(self).saturating_sub(n));
        self.get_mut().advanced(n);
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = cut(buffer.len(), Take::limit(self));
        if most == 0 {
            return Ok(0);
        }
        let n = self.get_mut().read_user(&mut buffer[..most])?;
        self.set_limit(Take::limit(self).saturating_sub(n as u64));
        Ok(n)
    }
}

fn cut(len: usize, limit: u64) -> usize {
    len.min(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The bytes that it has read ahead go first, then the kernel takes over.
impl<S: Source + Read> Source for BufReader<S> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.get_ref().descriptor()
    }
    fn may_buffer(&self) -> bool {
        !self.buffer().is_empty() || self.get_ref().may_buffer()
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        if self.buffer().is_empty() {
            return self.get_mut().read_buffered(buffer);
        }
        let n = self.buffer().len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.buffer()[..n]);
        self.consume(n);
        Ok(Buffered { n, more: self.may_buffer() })
    }
    fn offset(&self) -> Option<u64> {
        self.get_ref().offset()
    }
    fn limit(&self) -> Option<u64> {
        let ahead = self.buffer().len() as u64;
        self.get_ref().limit().map(|inner| inner.saturating_add(ahead))
    }
    fn advanced(&mut self, n: u64) {
        self.get_mut().advanced(n);
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// Flushed first, then the kernel writes past it.
impl<D: Sink + Write> Sink for BufWriter<D> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.get_ref().descriptor()
    }
    fn flush_buffered(&mut self) -> io::Result<()> {
        Write::flush(self)?;
        Sink::flush_buffered(self.get_mut())
    }
    fn advanced(&mut self, n: u64) {
        self.get_mut().advanced(n);
    }
    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }
}
