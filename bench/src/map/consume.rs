//! A process that memory is shared with.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use clap::{Args, ValueEnum};
use fdflow::share::receive;
use serde::{Deserialize, Serialize};

use super::monotonic;
use super::site::count_in;
use crate::measure::{Who, cpu_time, forget_peak, resident};
use crate::roles::{READY, say, stdin};

/// What is read at a time where nothing is kept.
const BUFFER: usize = 256 << 10;

/// How the bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Coming {
    /// A stream of them, to its end
    Stream,
    /// The descriptor of sealed memory
    Sealed,
}

/// What is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Purpose {
    /// All of them are in memory, to be read where they lie
    Have,
    /// Each was looked at once
    Count,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    coming: Coming,
    #[arg(long)]
    purpose: Purpose,
    #[arg(long)]
    bytes: usize,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Consumed {
    /// How many bytes came, or how often the counted one was among them.
    pub(super) answer: u64,
    /// When it was done.
    pub(super) done: f64,
    /// Processor seconds.
    pub(super) cpu: f64,
    /// How far resident memory rose.
    pub(super) grown_kib: u64,
}

pub(super) fn consume(options: &Options) -> io::Result<Consumed> {
    forget_peak();
    let (before, _) = resident()?;
    let used = cpu_time(Who::Own)?;
    say(READY)?;
    let answer = match options.coming {
        Coming::Sealed => sealed(options.purpose)?,
        Coming::Stream => stream(options.purpose, options.bytes)?,
    };
    let done = monotonic();
    let cpu = cpu_time(Who::Own)?.saturating_sub(used).as_secs_f64();
    let (_, peak) = resident()?;
    Ok(Consumed { answer, done, cpu, grown_kib: peak.saturating_sub(before) })
}

fn sealed(purpose: Purpose) -> io::Result<u64> {
    let memory = receive(UnixStream::from(stdin()?), &mut [0])?.into_sealed()?;
    black_box((memory.first(), memory.last()));
    Ok(match purpose {
        Purpose::Have => memory.len() as u64,
        Purpose::Count => count_in(&memory),
    })
}

fn stream(purpose: Purpose, bytes: usize) -> io::Result<u64> {
    let mut from = File::from(stdin()?);
    if purpose == Purpose::Have {
        let mut all = Vec::with_capacity(bytes);
        from.read_to_end(&mut all)?;
        return Ok(black_box(all).len() as u64);
    }
    let (mut block, mut count) = (vec![0; BUFFER], 0);
    loop {
        match from.read(&mut block)? {
            0 => return Ok(count),
            n => count += count_in(&block[..n]),
        }
    }
}
