//! Contenders that are tasks: on a runtime of one thread, between sockets of tokio's.

use std::io;

use fdflow_tokio::{AsyncSink, AsyncSource};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio_splice2::{AsyncReadFd, AsyncWriteFd, IsNotFile};

use crate::contenders::Work;
use crate::ends::{Kind, SinkEnd, SourceEnd};
use crate::measure::Pieces;

/// What the task calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// `fdflow_tokio::copy`.
    Fdflow,
    /// `tokio::io::copy`.
    IoCopy,
    /// `tokio_splice2::copy`.
    Splice2,
}

impl By {
    pub(crate) const ALL: [Self; 3] = [Self::Fdflow, Self::IoCopy, Self::Splice2];

    /// Its name as a contender.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fdflow => "fdflow-tokio",
            Self::IoCopy => "tokio-io-copy",
            Self::Splice2 => "tokio-splice2",
        }
    }
}

/// A transfer between sockets that are known to a runtime, ready to be run.
#[derive(Debug)]
pub(crate) struct Relay {
    by: By,
    runtime: Runtime,
    source: Socket,
    sink: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What all three ask of an end.
trait End:
    AsyncRead + AsyncWrite + AsyncSource + AsyncSink + AsyncReadFd + AsyncWriteFd + IsNotFile + Unpin
{
}

impl End for TcpStream {}
impl End for UnixStream {}

impl Relay {
    /// Makes the runtime and hands the sockets to it.
    pub(crate) fn new(by: By, source: SourceEnd, sink: SinkEnd) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let source = match source {
            SourceEnd::Tcp(source) => tcp(source)?,
            SourceEnd::Unix(source) => unix(source)?,
            other => return Err(no_socket(by, other.kind())),
        };
        let sink = match sink {
            SinkEnd::Tcp(sink) => tcp(sink)?,
            SinkEnd::Unix(sink) => unix(sink)?,
            other => return Err(no_socket(by, other.kind())),
        };
        drop(context);
        Ok(Self { by, runtime, source, sink })
    }

    /// Moves everything.
    pub(crate) fn run(self) -> io::Result<Work> {
        let Self { by, runtime, source, sink } = self;
        match (source, sink) {
            (Socket::Tcp(source), Socket::Tcp(sink)) => runtime.block_on(copy(by, source, sink)),
            (Socket::Tcp(source), Socket::Unix(sink)) => runtime.block_on(copy(by, source, sink)),
            (Socket::Unix(source), Socket::Tcp(sink)) => runtime.block_on(copy(by, source, sink)),
            (Socket::Unix(source), Socket::Unix(sink)) => runtime.block_on(copy(by, source, sink)),
        }
    }
}

fn tcp(stream: std::net::TcpStream) -> io::Result<Socket> {
    stream.set_nonblocking(true)?;
    Ok(Socket::Tcp(TcpStream::from_std(stream)?))
}

fn unix(stream: std::os::unix::net::UnixStream) -> io::Result<Socket> {
    stream.set_nonblocking(true)?;
    Ok(Socket::Unix(UnixStream::from_std(stream)?))
}

fn no_socket(by: By, kind: Kind) -> io::Error {
    io::Error::other(format!("{} moves between sockets only, not a {kind}", by.name()))
}

async fn copy(by: By, mut source: impl End, mut sink: impl End) -> io::Result<Work> {
    let (bytes, in_kernel) = match by {
        By::Fdflow => {
            let copied = fdflow_tokio::copy(&mut source, &mut sink).await;
            let report = copied.map_err(io::Error::other)?;
            let copied_out = report.bytes_by(fdflow::Route::ReadWrite);
            (report.bytes(), Some(report.bytes() - copied_out))
        }
        By::IoCopy => (tokio::io::copy(&mut source, &mut sink).await?, None),
        By::Splice2 => {
            let traffic = tokio_splice2::copy(&mut source, &mut sink).await?.into_result()?;
            (traffic.tx as u64, None)
        }
    };
    Ok(Work { bytes, pieces: Pieces::default(), in_kernel })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream as Blocking;

    #[test]
    fn every_task_moves_what_is_there_to_the_end() {
        for by in By::ALL {
            let ((mut writer, source), (sink, mut reader)) =
                (Blocking::pair().unwrap(), Blocking::pair().unwrap());
            writer.write_all(b"moved").unwrap();
            drop(writer);
            let relay = Relay::new(by, SourceEnd::Unix(source), SinkEnd::Unix(sink)).unwrap();
            assert_eq!(relay.run().unwrap().bytes, 5, "{}", by.name());
            let mut came = Vec::new();
            reader.read_to_end(&mut came).unwrap();
            assert_eq!(came, b"moved", "{}", by.name());
        }
    }

    #[test]
    fn an_end_that_is_no_socket_is_refused() {
        let (reader, writer) = io::pipe().unwrap();
        let refused = Relay::new(By::Fdflow, SourceEnd::Pipe(reader), SinkEnd::Pipe(writer));
        assert!(refused.unwrap_err().to_string().contains("not a pipe"));
    }
}
