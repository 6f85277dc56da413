//! The moving process of a tee: one stream to a socket, or to a socket and a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use clap::{Args, ValueEnum};
use fdflow::{Fanout, Lag, Pipe, Transfer};
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice, tee};

use crate::ends::{Kind, SinkEnd, SourceEnd};
use crate::measure::{Outcome, Who, cpu_time, forget_peak, resident};
use crate::roles::{READY, pin, say, stdin, stdout, wait_for_data};

/// What the plain loops read at a time.
const BUFFER: usize = 64 << 10;
const PIPE: usize = 1 << 20;

/// Who moves the bytes, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Teeing {
    /// `Transfer` to the socket alone
    Fdflow,
    /// `Transfer` to the file alone
    FdflowFile,
    /// `Fanout` to both
    FdflowFanout,
    /// A pipe that is filled on one thread, drained to the socket on another and teed to the file
    FdflowPipe,
    /// splice, `tee(2)` and two splices by hand on one thread, to both
    RawTee,
    /// Read and write to the socket alone
    ReadWrite,
    /// Read once, write twice
    ReadWriteTwice,
}

impl Teeing {
    pub(super) fn to_socket(self) -> bool {
        self != Self::FdflowFile
    }

    pub(super) fn to_file(self) -> bool {
        !matches!(self, Self::Fdflow | Self::ReadWrite)
    }
}

impl fmt::Display for Teeing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fdflow => "fdflow",
            Self::FdflowFile => "fdflow-file",
            Self::FdflowFanout => "fdflow-fanout",
            Self::FdflowPipe => "fdflow-pipe",
            Self::RawTee => "raw-tee",
            Self::ReadWrite => "read-write",
            Self::ReadWriteTwice => "read-write-twice",
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    teeing: Teeing,
    #[arg(long)]
    from: Kind,
    #[arg(long)]
    to: Kind,
    #[arg(long)]
    file: PathBuf,
    #[arg(long)]
    cpu: Option<usize>,
}

/// Moves standard input to standard output, to the file, or to both.
pub(super) fn run(options: &Options) -> io::Result<Outcome> {
    pin(options.cpu)?;
    let source = SourceEnd::new(options.from, stdin()?);
    let sink = SinkEnd::new(options.to, stdout()?);
    let file = File::options().write(true).open(&options.file)?;
    forget_peak();
    let (before, _) = resident()?;
    say(READY)?;
    wait_for_data()?;

    let (used, began) = (cpu_time(Who::Own)?, Instant::now());
    let bytes = match source {
        SourceEnd::Tcp(source) => with(options.teeing, source, sink, file)?,
        SourceEnd::Unix(source) => with(options.teeing, source, sink, file)?,
        _ => return Err(io::Error::other("the source is to be a socket")),
    };
    let wall = began.elapsed();
    let cpu = cpu_time(Who::Own)?.saturating_sub(used);
    let grown_kib = resident()?.1.saturating_sub(before);
    Ok(Outcome { bytes, cpu, wall, grown_kib, ..Outcome::default() })
}

fn with<S>(teeing: Teeing, source: S, sink: SinkEnd, file: File) -> io::Result<u64>
where
    S: fdflow::Source + Read + AsFd + Send,
{
    match sink {
        SinkEnd::Tcp(sink) => move_bytes(teeing, source, sink, file),
        SinkEnd::Unix(sink) => move_bytes(teeing, source, sink, file),
        _ => Err(io::Error::other("the sink is to be a socket")),
    }
}

fn move_bytes<S, D>(teeing: Teeing, source: S, sink: D, file: File) -> io::Result<u64>
where
    S: fdflow::Source + Read + AsFd + Send,
    D: fdflow::Sink + Write + AsFd + Send,
{
    match teeing {
        Teeing::Fdflow => Ok(Transfer::new(source, sink).run()?.bytes()),
        Teeing::FdflowFile => Ok(Transfer::new(source, file).run()?.bytes()),
        Teeing::FdflowFanout => by_fanout(source, sink, file),
        Teeing::FdflowPipe => by_pipe(source, sink, file),
        Teeing::RawTee => by_hand(source.as_fd(), sink.as_fd(), file.as_fd()),
        Teeing::ReadWrite => read_write(source, sink, None),
        Teeing::ReadWriteTwice => read_write(source, sink, Some(file)),
    }
}

fn by_fanout<S, D>(source: S, sink: D, file: File) -> io::Result<u64>
where
    S: fdflow::Source + Send,
    D: fdflow::Sink + Send,
{
    let report = Fanout::new(source).sink(sink, Lag::Block).sink(file, Lag::Block).run()?;
    if report.sinks.iter().any(|sink| sink.bytes != report.relayed) {
        return Err(io::Error::other(format!("a sink missed bytes: {report:?}")));
    }
    Ok(report.relayed)
}

fn by_pipe<S, D>(source: S, sink: D, file: File) -> io::Result<u64>
where
    S: fdflow::Source + Send,
    D: fdflow::Sink,
{
    let (reader, mut writer) = Pipe::with_capacity(PIPE)?.split();
    thread::scope(|scope| {
        let filling = scope.spawn(move || writer.fill_from(source));
        let mut teed = reader.tee(file);
        let drained = teed.drain_to(sink)?.bytes();
        filling.join().map_err(|_| io::Error::other("the filling thread panicked"))??;
        if teed.mirrored() == drained {
            Ok(drained)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    })
}

fn by_hand(from: BorrowedFd<'_>, to: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<u64> {
    let ((head, fill), (copy, feed)) = (io::pipe()?, io::pipe()?);
    fcntl_setpipe_size(&fill, PIPE)?;
    fcntl_setpipe_size(&feed, PIPE)?;
    let mut total = 0;
    loop {
        let n = splice(from, None, &fill, None, PIPE, SpliceFlags::empty())?;
        if n == 0 {
            return Ok(total);
        }
        let mut left = n;
        while left > 0 {
            // As many slots as the other pipe has, and empty: it takes all.
            let teed = tee(&head, &feed, left, SpliceFlags::empty())?;
            drain(head.as_fd(), to, teed)?;
            drain(copy.as_fd(), file, teed)?;
            left -= teed;
        }
        total += n as u64;
    }
}

fn drain(pipe: BorrowedFd<'_>, to: BorrowedFd<'_>, mut n: usize) -> io::Result<()> {
    while n > 0 {
        n -= splice(pipe, None, to, None, n, SpliceFlags::empty())?;
    }
    Ok(())
}

fn read_write(
    mut source: impl Read,
    mut sink: impl Write,
    mut file: Option<File>,
) -> io::Result<u64> {
    let (mut buffer, mut total) = (vec![0; BUFFER], 0);
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            return Ok(total);
        }
        sink.write_all(&buffer[..n])?;
        if let Some(file) = &mut file {
            file.write_all(&buffer[..n])?;
        }
        total += n as u64;
    }
}
