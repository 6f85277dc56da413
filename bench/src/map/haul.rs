//! The moving process of a copy: a file to a file or a socket, by mapping it or not.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::ways::mapped;
use crate::measure::{Outcome, Who, cpu_time, forget_peak, resident};
use crate::raw;
use crate::roles::{READY, pin, say, stdin, stdout};

/// What one call of copy_file_range is asked for.
const CALL: usize = 16 << 20;
/// What is read at a time, and written of a mapping.
const BUFFER: usize = 128 << 10;
const PIECE: usize = 1 << 20;

/// How the bytes are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Hauling {
    /// `fdflow::copy`
    Fdflow,
    /// `write` of a mapping of the file
    MapWrite,
    /// `copy_file_range` in calls of 16 MiB
    CopyFileRange,
    /// `sendfile`
    Sendfile,
    /// `read` and `write` through 128 KiB
    ReadWrite,
}

impl fmt::Display for Hauling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fdflow => "fdflow",
            Self::MapWrite => "map-write",
            Self::CopyFileRange => "copy-file-range",
            Self::Sendfile => "sendfile",
            Self::ReadWrite => "read-write",
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    hauling: Hauling,
    #[arg(long)]
    cpu: Option<usize>,
}

/// Moves standard input to standard output.
pub(super) fn haul(options: &Options) -> io::Result<Outcome> {
    pin(options.cpu)?;
    let (from, mut to) = (File::from(stdin()?), File::from(stdout()?));
    forget_peak();
    let (before, _) = resident()?;
    say(READY)?;
    let (used, began) = (cpu_time(Who::Own)?, Instant::now());
    let bytes = match options.hauling {
        Hauling::Fdflow => fdflow::copy(&mut &from, &mut &to)?.bytes(),
        Hauling::MapWrite => {
            let map = mapped(&from)?;
            map.chunks(PIECE).try_for_each(|part| to.write_all(part))?;
            map.len() as u64
        }
        Hauling::CopyFileRange => raw::copy_file_range(from.as_fd(), to.as_fd(), CALL)?.0,
        Hauling::Sendfile => raw::sendfile(from.as_fd(), to.as_fd())?.0,
        Hauling::ReadWrite => raw::read_write(from.as_fd(), to.as_fd(), BUFFER)?.0,
    };
    let wall = began.elapsed();
    let cpu = cpu_time(Who::Own)?.saturating_sub(used);
    let (_, peak) = resident()?;
    Ok(Outcome { bytes, cpu, wall, grown_kib: peak.saturating_sub(before), ..Outcome::default() })
}
