//! A file to another, and to a socket: what mapping it would gain.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use super::haul::Hauling;
use super::{Setup, site};
use crate::ends::{Kind, connection};
use crate::figures::{Case, Figures, in_turns, tell};
use crate::job::Conditions;
use crate::measure::Outcome;
use crate::process::Party;
use crate::sizes::human;

pub(super) const PART: &str = "copy";
pub(super) const SAYS: &str = "\
A file to a new file beside it, and to a TCP connection whose reader checks what comes: by \
`fdflow::copy`, by `write` of a mapping (memmap2) 1 MiB at a time, by calls that the kernel does all \
of, and by read and write. The new file is neither preallocated nor flushed, and checked afterwards.\n";

/// A copy that takes the kernel's routes is not to cost more than one of a mapping.
const MOST_RATIO: f64 = 1.0;

pub(super) fn measure(bytes: u64, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    use Hauling::{CopyFileRange, Fdflow, MapWrite, ReadWrite, Sendfile};
    let path = site::patterned(setup.home.path(), "copied", bytes)?;
    for (to, haulings) in [
        (Kind::File, &[Fdflow, MapWrite, CopyFileRange, Sendfile, ReadWrite][..]),
        (Kind::Tcp, &[Fdflow, MapWrite, Sendfile, ReadWrite]),
    ] {
        let name = format!("{}, file to {to}", human(bytes));
        let outcomes = in_turns(haulings, setup.conditions.rounds, &name, |hauling| {
            let work = Work { hauling, to, bytes, path: &path };
            work.measure(setup.home.path(), &setup.conditions)
        })?;
        let case = Case { part: PART, name: &name, outcomes: &outcomes };
        let rows = case.rows("CPU-s/GB", 3, Outcome::cpu_per_gb);
        tell(&rows)?;
        figures.add(rows);
        figures.add(case.rows("MB/s", 0, Outcome::mb_per_s));
        figures.add(case.rows("MiB resident", 1, |cost| cost.grown_kib as f64 / 1024.0));
        let pair = (Fdflow, MapWrite);
        case.versus(figures, "CPU", pair, Some(MOST_RATIO), Outcome::cpu_per_gb);
        case.versus(figures, "time", pair, None, |cost| cost.wall.as_secs_f64());
    }
    std::fs::remove_file(path)
}

/// One transfer.
struct Work<'a> {
    hauling: Hauling,
    to: Kind,
    bytes: u64,
    path: &'a Path,
}

impl Work<'_> {
    fn measure(&self, home: &Path, conditions: &Conditions) -> io::Result<Outcome> {
        let deadline = Instant::now() + conditions.timeout;
        let (own, others) = conditions.pinned.unzip();
        let new = home.join("new");
        let (sink, reader) = if self.to == Kind::File {
            (Stdio::from(File::create_new(&new)?), None)
        } else {
            let (writer, reader) = connection(self.to, &conditions.tcp)?;
            (writer.into(), Some(self.reader(reader.into(), others, deadline)?))
        };
        let mut arguments = vec![format!("--hauling={}", self.hauling)];
        arguments.extend(pin(own));
        let source = Stdio::from(File::open(self.path)?);
        let outcome: Outcome =
            Party::start("haul", &arguments, (source, sink), deadline)?.finish()?;
        match reader {
            Some(reader) => reader.finish::<()>()?,
            None => {
                let file = File::open(&new)?;
                self.reader(file.into(), others, deadline)?.finish::<()>()?;
                std::fs::remove_file(&new)?;
            }
        }
        if outcome.bytes != self.bytes {
            return Err(io::Error::other(format!("{} bytes reported", outcome.bytes)));
        }
        Ok(outcome)
    }

    fn reader(&self, end: Stdio, cpu: Option<usize>, deadline: Instant) -> io::Result<Party> {
        let mut arguments = vec![format!("--bytes={}", self.bytes)];
        arguments.extend(pin(cpu));
        Party::start("reader", &arguments, (end, Stdio::null()), deadline)
    }
}

fn pin(cpu: Option<usize>) -> Option<String> {
    cpu.map(|cpu| format!("--cpu={cpu}"))
}
