//! Who is measured. A new contender is a variant, a name and an arm of [`Contender::prepare`] or
//! [`Contender::run`].

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use fdflow::{Route, Transfer};

use crate::asynchronous::{By, Relay};
use crate::ends::{Kind, SinkEnd, SourceEnd};
use crate::measure::{Pieces, Who};
use crate::raw;
use crate::sizes::Size;

/// A way to move bytes from one descriptor to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `fdflow::copy`.
    Fdflow,
    /// `std::io::copy`.
    StdCopy,
    /// `splice`, through a pipe of this size unless an end is a pipe.
    Splice(usize),
    /// `splice` of at most this much at a time, through a pipe of 1 MiB.
    SpliceBy(usize),
    /// `read` and `write` through a buffer of this size.
    ReadWrite(usize),
    /// `sendfile` in calls as large as they can be.
    Sendfile,
    /// `copy_file_range` in calls of at most this size.
    CopyFileRange(usize),
    /// GNU `cp`, a process of its own.
    Cp,
    /// A task on tokio's current-thread runtime.
    Tokio(By),
    /// Go's `io.Copy`: the program in `bench/go` in the place of the mover.
    Go,
}

/// What a contender did, as far as it can tell.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) bytes: u64,
    pub(crate) pieces: Pieces,
    pub(crate) in_kernel: Option<u64>,
}

/// A transfer of which everything is made but the transfer itself.
pub(crate) type Prepared<'a> = Box<dyn FnOnce() -> io::Result<Work> + 'a>;

impl Contender {
    pub(crate) const SPLICE: Self = Self::Splice(1 << 20);
    pub(crate) const FDFLOW_TOKIO: Self = Self::Tokio(By::Fdflow);

    /// Whether it is a bare loop of system calls, a limit for the others.
    pub(crate) fn is_raw(self) -> bool {
        !matches!(self, Self::Fdflow | Self::StdCopy | Self::Cp | Self::Tokio(_) | Self::Go)
    }

    /// Whether its failure is a result and no defect of this program or of fdflow.
    pub(crate) fn may_fail(self) -> bool {
        matches!(self, Self::Tokio(By::Splice2) | Self::Go)
    }

    /// Whose processor time its work shows in.
    pub(crate) fn who(self) -> Who {
        if self == Self::Cp { Who::Children } else { Who::Own }
    }

    /// Makes what a transfer from `source` to `sink` needs and what is not to be measured.
    pub(crate) fn prepare<'a>(
        self,
        source: SourceEnd,
        sink: SinkEnd,
        paths: Option<(&'a Path, &'a Path)>,
    ) -> io::Result<Prepared<'a>> {
        if let Self::Tokio(by) = self {
            let relay = Relay::new(by, source, sink)?;
            return Ok(Box::new(move || relay.run()));
        }
        Ok(Box::new(move || self.run(source, sink, paths)))
    }

    /// Moves everything from `source` to `sink`, whose paths are known where they are files.
    fn run(
        self,
        source: SourceEnd,
        sink: SinkEnd,
        paths: Option<(&Path, &Path)>,
    ) -> io::Result<Work> {
        let pipe = source.kind() == Kind::Pipe || sink.kind() == Kind::Pipe;
        let (from, to) = (source.as_fd(), sink.as_fd());
        let (bytes, pieces) = match self {
            Self::Fdflow => return fdflow(source, sink),
            Self::StdCopy => (std_copy(source, sink)?, Pieces::default()),
            Self::Splice(_) if pipe => raw::splice_once(from, to)?,
            Self::Splice(capacity) => raw::splice_staged(from, to, capacity, usize::MAX)?,
            Self::SpliceBy(most) => raw::splice_staged(from, to, 1 << 20, most)?,
            Self::ReadWrite(buffer) => raw::read_write(from, to, buffer)?,
            Self::Sendfile => raw::sendfile(from, to)?,
            Self::CopyFileRange(call) => raw::copy_file_range(from, to, call)?,
            Self::Cp => (cp(paths)?, Pieces::default()),
            Self::Tokio(_) | Self::Go => {
                return Err(io::Error::other(format!("{self} has no blocking transfer")));
            }
        };
        Ok(Work { bytes, pieces, in_kernel: None })
    }

    /// Sends the first `length` bytes of `file` so many `times`.
    pub(crate) fn send(
        self,
        file: &File,
        sink: &SinkEnd,
        length: usize,
        times: u64,
    ) -> io::Result<Work> {
        let mut buffer = match self {
            Self::ReadWrite(size) => vec![0; size],
            _ => Vec::new(),
        };
        let mut in_kernel = None;
        for _ in 0..times {
            match self {
                Self::Fdflow => {
                    let here = fdflow_file(file, sink.as_fd(), length)?;
                    in_kernel = Some(in_kernel.unwrap_or(0) + here);
                }
                Self::Sendfile => raw::send_file(file.as_fd(), sink.as_fd(), length)?,
                Self::ReadWrite(_) => {
                    raw::pread_write(file.as_fd(), sink.as_fd(), length, &mut buffer)?;
                }
                _ => return Err(io::Error::other(format!("{self} sends no small files"))),
            }
        }
        Ok(Work { bytes: length as u64 * times, pieces: Pieces::default(), in_kernel })
    }
}

fn fdflow(source: SourceEnd, sink: SinkEnd) -> io::Result<Work> {
    match source {
        SourceEnd::File(source) => fdflow_from(source, sink),
        SourceEnd::Tcp(source) => fdflow_from(source, sink),
        SourceEnd::Unix(source) => fdflow_from(source, sink),
        SourceEnd::Pipe(source) => fdflow_from(source, sink),
    }
}

fn fdflow_from(mut source: impl fdflow::Source, sink: SinkEnd) -> io::Result<Work> {
    let report = match sink {
        SinkEnd::File(mut sink) => fdflow::copy(&mut source, &mut sink),
        SinkEnd::Tcp(mut sink) => fdflow::copy(&mut source, &mut sink),
        SinkEnd::Unix(mut sink) => fdflow::copy(&mut source, &mut sink),
        SinkEnd::Pipe(mut sink) => fdflow::copy(&mut source, &mut sink),
    };
    let report = report.map_err(io::Error::other)?;
    let in_kernel = report.bytes() - report.bytes_by(Route::ReadWrite);
    Ok(Work { bytes: report.bytes(), pieces: Pieces::default(), in_kernel: Some(in_kernel) })
}

/// Bytes that stayed in the kernel.
fn fdflow_file(file: &File, sink: BorrowedFd<'_>, length: usize) -> io::Result<u64> {
    let mut transfer = Transfer::new(file, sink).source_offset(0).limit(length as u64);
    let report = transfer.run().map_err(io::Error::other)?;
    Ok(report.bytes() - report.bytes_by(Route::ReadWrite))
}

/// With the standard library's own types at both ends, for which it chooses the call.
fn std_copy(source: SourceEnd, sink: SinkEnd) -> io::Result<u64> {
    match source {
        SourceEnd::File(source) => std_copy_from(source, sink),
        SourceEnd::Tcp(source) => std_copy_from(source, sink),
        SourceEnd::Unix(source) => std_copy_from(source, sink),
        SourceEnd::Pipe(source) => std_copy_from(source, sink),
    }
}

fn std_copy_from(mut source: impl Read, sink: SinkEnd) -> io::Result<u64> {
    match sink {
        SinkEnd::File(mut sink) => io::copy(&mut source, &mut sink),
        SinkEnd::Tcp(mut sink) => io::copy(&mut source, &mut sink),
        SinkEnd::Unix(mut sink) => io::copy(&mut source, &mut sink),
        SinkEnd::Pipe(mut sink) => io::copy(&mut source, &mut sink),
    }
}

fn cp(paths: Option<(&Path, &Path)>) -> io::Result<u64> {
    let (from, to) = paths.ok_or_else(|| io::Error::other("cp copies files only"))?;
    let status = Command::new("cp").arg("--").args([from, to]).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("cp: {status}")));
    }
    Ok(to.metadata()?.len())
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fdflow => f.pad("fdflow"),
            Self::StdCopy => f.pad("std-io-copy"),
            Self::SPLICE => f.pad("raw-splice"),
            Self::Splice(capacity) => f.pad(&format!("raw-splice-{}", short(capacity))),
            Self::SpliceBy(most) => f.pad(&format!("raw-splice-by-{}", short(most))),
            Self::ReadWrite(buffer) => f.pad(&format!("raw-rw-{}", short(buffer))),
            Self::Sendfile => f.pad("raw-sendfile"),
            Self::CopyFileRange(call) => f.pad(&format!("raw-cfr-{}", short(call))),
            Self::Cp => f.pad("cp"),
            Self::Tokio(by) => f.pad(by.name()),
            Self::Go => f.pad("go-io-copy"),
        }
    }
}

/// `64k`, `1m`: a size within a name.
fn short(bytes: usize) -> String {
    let units = [(30, 'g'), (20, 'm'), (10, 'k')];
    match units.into_iter().find(|(shift, _)| bytes.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let size = |text: &str| {
            let Size(bytes) = text.parse()?;
            usize::try_from(bytes).map_err(|cause| cause.to_string())
        };
        match name {
            "fdflow" => return Ok(Self::Fdflow),
            "std-io-copy" => return Ok(Self::StdCopy),
            "raw-splice" => return Ok(Self::SPLICE),
            "raw-sendfile" => return Ok(Self::Sendfile),
            "cp" => return Ok(Self::Cp),
            "go-io-copy" => return Ok(Self::Go),
            _ => {}
        }
        if let Some(by) = By::ALL.into_iter().find(|by| by.name() == name) {
            Ok(Self::Tokio(by))
        } else if let Some(most) = name.strip_prefix("raw-splice-by-") {
            Ok(Self::SpliceBy(size(most)?))
        } else if let Some(capacity) = name.strip_prefix("raw-splice-") {
            Ok(Self::Splice(size(capacity)?))
        } else if let Some(buffer) = name.strip_prefix("raw-rw-") {
            Ok(Self::ReadWrite(size(buffer)?))
        } else if let Some(call) = name.strip_prefix("raw-cfr-") {
            Ok(Self::CopyFileRange(size(call)?))
        } else {
            Err(format!(
                "unknown contender `{name}`; there are fdflow, fdflow-tokio, tokio-io-copy, \
                 tokio-splice2, go-io-copy, std-io-copy, cp, raw-sendfile, raw-splice[-SIZE], \
                 raw-splice-by-SIZE, raw-rw-SIZE and raw-cfr-SIZE"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_is_found_by_its_name() {
        let all = [
            Contender::Fdflow,
            Contender::StdCopy,
            Contender::SPLICE,
            Contender::Splice(65536),
            Contender::SpliceBy(8192),
            Contender::ReadWrite(32768),
            Contender::Sendfile,
            Contender::CopyFileRange(1 << 30),
            Contender::Cp,
            Contender::Go,
        ];
        for contender in all.into_iter().chain(By::ALL.map(Contender::Tokio)) {
            assert_eq!(contender.to_string().parse(), Ok(contender));
        }
        assert_eq!("raw-cfr-1g".parse(), Ok(Contender::CopyFileRange(1 << 30)));
        assert!("splice".parse::<Contender>().unwrap_err().contains("raw-splice"));
    }
}
