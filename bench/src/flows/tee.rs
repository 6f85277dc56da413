//! One stream to a socket and to a file: what the second sink adds.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use super::teeing::Teeing;
use crate::ends::{Kind, connection};
use crate::figures::{Case, Figures, in_turns, tell};
use crate::job::Conditions;
use crate::measure::Outcome;
use crate::process::Party;

pub(super) const PART: &str = "tee";
pub(super) const SAYS: &str = "\
A process writes 128 KiB at a time into a connection, the mover passes the stream on to a TCP \
connection, whose reader checks it, and to a file, which is checked afterwards. The file is new, \
neither preallocated nor flushed. `fdflow` and `read-write` move to the socket alone, `fdflow-file` \
to the file alone; the others move to both: `fdflow-fanout` with four threads, `fdflow-pipe` (a \
pipe's tee) with two, `raw-tee` (splice, tee, two splices by hand) and `read-write-twice` with one. \
The target compares both sinks with the socket alone. Beside it stands the ratio to what the two \
sinks cost one by one, and, for what copying costs, the same of the plain loops.\n";

/// What the writer writes at a time.
const PIECE: usize = 128 << 10;
/// Against the socket alone.
const MOST_RATIO: f64 = 1.6;

const TEEINGS: [Teeing; 7] = [
    Teeing::Fdflow,
    Teeing::FdflowFile,
    Teeing::FdflowFanout,
    Teeing::FdflowPipe,
    Teeing::RawTee,
    Teeing::ReadWrite,
    Teeing::ReadWriteTwice,
];

pub(super) fn measure(
    bytes: u64,
    directory: &Path,
    conditions: &Conditions,
    figures: &mut Figures,
) -> io::Result<()> {
    let directory = tempfile::Builder::new().prefix("fdflow-bench-").tempdir_in(directory)?;
    let file = directory.path().join("teed");
    for from in [Kind::Tcp, Kind::Unix] {
        let case = format!("{from} to tcp and file");
        let outcomes = in_turns(&TEEINGS, conditions.rounds, &case, |teeing| {
            let work = Work { teeing, from, bytes, file: &file };
            work.move_bytes(conditions)
        })?;
        let of = Case { part: PART, name: &case, outcomes: &outcomes };
        let rows = of.rows("CPU-s/GB", 3, Outcome::cpu_per_gb);
        tell(&rows)?;
        figures.add(rows);
        figures.add(of.rows("MB/s", 0, Outcome::mb_per_s));
        judge(&of, figures);
    }
    Ok(())
}

/// The targets, and what they are to be read with.
fn judge(of: &Case<'_, Teeing, Outcome>, figures: &mut Figures) {
    let cpu = |teeing| of.median(&teeing, Outcome::cpu_per_gb);
    let (Some(alone), Some(file)) = (cpu(Teeing::Fdflow), cpu(Teeing::FdflowFile)) else { return };
    let place = (PART, of.name);
    for ours in [Teeing::FdflowFanout, Teeing::FdflowPipe] {
        if let Some(both) = cpu(ours) {
            figures.target(place, format!("CPU of {ours} : fdflow"), both / alone, MOST_RATIO);
            let says = format!("CPU of {ours} : fdflow + fdflow-file");
            figures.note(place, says, both / (alone + file));
        }
    }
    if let Some(raw) = cpu(Teeing::RawTee) {
        figures.note(place, "CPU of raw-tee : fdflow", raw / alone);
    }
    if let (Some(twice), Some(once)) = (cpu(Teeing::ReadWriteTwice), cpu(Teeing::ReadWrite)) {
        figures.note(place, "CPU of read-write-twice : read-write", twice / once);
        if let Some(both) = cpu(Teeing::FdflowFanout) {
            figures.note(place, "CPU of fdflow-fanout : read-write-twice", both / twice);
        }
    }
}

/// One transfer.
struct Work<'a> {
    teeing: Teeing,
    from: Kind,
    bytes: u64,
    file: &'a Path,
}

impl Work<'_> {
    fn move_bytes(&self, conditions: &Conditions) -> io::Result<Outcome> {
        let deadline = Instant::now() + conditions.timeout;
        let pin = |cpu: Option<usize>| cpu.map(|cpu| format!("--cpu={cpu}"));
        let (own, others) = conditions.pinned.unzip();
        let (to, reader_end) = connection(Kind::Tcp, &conditions.tcp)?;
        let reader = self.reader(reader_end.into(), pin(others), deadline)?;

        let (writer_end, from) = connection(self.from, &conditions.tcp)?;
        let mut arguments = vec![format!("--bytes={}", self.bytes), format!("--piece={PIECE}")];
        arguments.extend(pin(others));
        let ends = (Stdio::piped(), writer_end.into());
        let mut writer = Party::start("writer", &arguments, ends, deadline)?;

        File::create_new(self.file)?;
        let mut arguments = vec![
            format!("--teeing={}", self.teeing),
            format!("--from={}", self.from),
            format!("--to={}", Kind::Tcp),
            format!("--file={}", self.file.display()),
        ];
        arguments.extend(pin(own));
        let mover = Party::start("tee", &arguments, (from.into(), to.into()), deadline)?;
        drop(writer.signal());

        let outcome: Outcome = mover.finish()?;
        writer.finish::<()>()?;
        if self.teeing.to_socket() {
            reader.finish::<()>()?;
        }
        if self.teeing.to_file() {
            let file = File::open(self.file)?;
            self.reader(file.into(), None, deadline)?.finish::<()>()?;
        }
        std::fs::remove_file(self.file)?;
        if outcome.bytes != self.bytes {
            return Err(io::Error::other(format!("{} bytes reported", outcome.bytes)));
        }
        Ok(outcome)
    }

    fn reader(&self, end: Stdio, pin: Option<String>, deadline: Instant) -> io::Result<Party> {
        let mut arguments = vec![format!("--bytes={}", self.bytes)];
        arguments.extend(pin);
        Party::start("reader", &arguments, (end, Stdio::null()), deadline)
    }
}
