//! The kinds of descriptors that this machine has, and why it has not the others.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fdflow::Side;

use super::content::compare;
use super::ends::{Giver, MOST, Taker};
use super::findings::{Absent, By};
use super::mounts;
use super::streams::{self, Stream};

/// A kind of descriptor, by the name that it has in the output.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) what: What,
    /// Whether bytes that it gave can be changed behind its back, so that it can be told whether
    /// the receiver has them by reference.
    pub(super) traceable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A file without a name in this directory.
    File {
        dir: PathBuf,
        append: bool,
    },
    Memfd,
    Stream(Stream),
    /// A file whose bytes the kernel makes up: always the same ones.
    Readable(PathBuf),
    /// A character device that never ends, and the byte that it gives, where that is known.
    Endless {
        path: &'static str,
        byte: Option<u8>,
    },
    /// A character device that takes everything.
    Drain(&'static str),
}

/// What can be a source and what can be a sink.
#[derive(Debug)]
pub(super) struct Kinds {
    pub(super) sources: Vec<Kind>,
    pub(super) sinks: Vec<Kind>,
}

/// Makes one descriptor of every kind; those that cannot be made are `absent`.
pub(super) fn all(absent: &mut Vec<Absent>) -> Kinds {
    let mut kinds = Kinds { sources: Vec::new(), sinks: Vec::new() };
    let places = mounts::places(absent);
    for place in &places {
        let what = What::File { dir: place.dir.clone(), append: false };
        kinds.add(Kind::new(&place.filesystem, what), &[Side::Source, Side::Sink], absent);
    }
    for place in &places {
        let what = What::File { dir: place.dir.clone(), append: true };
        let name = format!("{}+append", place.filesystem);
        kinds.add(Kind::new(&name, what), &[Side::Sink], absent);
    }
    kinds.add(Kind::new("memfd", What::Memfd), &[Side::Source, Side::Sink], absent);
    for (name, stream) in [
        ("pipe", Stream::Pipe),
        ("tcp", Stream::Tcp),
        ("tcp6", Stream::Tcp6),
        ("unix", Stream::Unix),
        ("tty", Stream::Tty),
    ] {
        kinds.add(Kind::new(name, What::Stream(stream)), &[Side::Source, Side::Sink], absent);
    }
    for (name, path) in [
        ("procfs", "/proc/version"),
        // Files of processes come from older code, which some routes cannot read.
        ("/proc/self", "/proc/self/cmdline"),
        ("sysfs", "/sys/devices/system/cpu/possible"),
    ] {
        kinds.add(Kind::new(name, What::Readable(path.into())), &[Side::Source], absent);
    }
    let endless = [("/dev/zero", Some(0)), ("/dev/urandom", None), ("/dev/full", Some(0))];
    for (path, byte) in endless.into_iter().chain([("/dev/null", None)]) {
        kinds.add(Kind::new(path, What::Endless { path, byte }), &[Side::Source], absent);
    }
    for path in ["/dev/null", "/dev/zero", "/dev/full"] {
        kinds.add(Kind::new(path, What::Drain(path)), &[Side::Sink], absent);
    }
    kinds
}

impl Kinds {
    /// Tries a kind out at each side that it can be on.
    fn add(&mut self, mut kind: Kind, sides: &[Side], absent: &mut Vec<Absent>) {
        let mut failures: Vec<(Side, String)> = Vec::new();
        for side in sides {
            let (tried, kinds) = match side {
                Side::Source => (kind.try_as_source(), &mut self.sources),
                Side::Sink => (kind.try_as_sink(), &mut self.sinks),
            };
            match tried {
                Ok(()) => kinds.push(kind.clone()),
                Err(error) => failures.push((*side, error.to_string())),
            }
        }
        if let [(_, why), (_, other)] = &failures[..]
            && why == other
        {
            absent.push(Absent::new(&kind.name, why));
            return;
        }
        for (side, why) in failures {
            absent.push(Absent::new(&kind.name, format!("as a {side}: {why}")));
        }
    }
}

impl Kind {
    fn new(name: &str, what: What) -> Self {
        Self { name: name.to_owned(), what, traceable: true }
    }

    /// The stream socket that it is, if it is one.
    pub(super) fn socket(&self) -> Option<Stream> {
        match self.what {
            What::Stream(stream) if stream.is_socket() => Some(stream),
            _ => None,
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.what, What::File { .. } | What::Memfd | What::Readable(_))
    }

    /// Makes a source and finds out whether its bytes can be changed after they were put in: a
    /// kernel may copy what this program believes to have passed on by reference.
    fn try_as_source(&mut self) -> io::Result<()> {
        let giver = Giver::new(self, MOST)?;
        let What::Stream(_) = self.what else {
            return match streams::get(giver.descriptor(), &mut [0])? {
                Some(0) => Err(io::Error::other("gives no bytes")),
                _ => Ok(()),
            };
        };
        let overwritten = giver.overwrite()?;
        let got = streams::collect(giver.descriptor(), giver.n)?;
        let by = compare(giver.content.as_deref().unwrap_or_default(), &got, overwritten);
        self.traceable = by.map_err(io::Error::other)? == Some(By::Reference);
        Ok(())
    }

    fn try_as_sink(&self) -> io::Result<()> {
        let taker = Taker::new(self)?;
        if let What::Drain(path) = self.what {
            File::options().write(true).open(Path::new(path))?.write_all(&[0])?;
        }
        drop(taker);
        Ok(())
    }
}
