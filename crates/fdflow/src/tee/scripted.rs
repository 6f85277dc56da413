//! A mirrored pipe on a simulated kernel: whatever that answers, the drain and the mirror get the
//! same bytes, each once.

use std::io::{ErrorKind, Read};

use super::{Detached, Teed};
use crate::error::TransferError;
use crate::kind::Kind;
use crate::operation::Operation;
use crate::pipe::{ReadEnd, WriteEnd};
use crate::report::Reason;
use crate::route::{Route, Routes};
use crate::source::Sink;
use crate::sys::scripted::check_schedules;
use crate::sys::scripted::picks::{Picks, noise};
use crate::sys::scripted::plumbing::{Far, Plumbing};
use crate::wrap::Plain;

type Checked<T = ()> = Result<T, String>;

/// More drains than a script can make fail.
const ROUNDS: usize = 600;
const KINDS: [Kind; 4] = [Kind::Pipe, Kind::Tcp, Kind::Device, Kind::User];

/// A pipe or a socket of the simulated kernel. Only the write end is ever named; the number of the
/// other must not be given again while this is there.
struct Vessel {
    at: usize,
    _reader: ReadEnd,
    writer: WriteEnd,
}

/// What bytes go to: a descriptor of the simulated kernel, or memory.
struct To<'k> {
    kernel: &'k Plumbing,
    vessel: Option<Vessel>,
    memory: Plain<Vec<u8>>,
}

impl<'k> To<'k> {
    fn new(kernel: &'k Plumbing, kind: Kind, slots: usize) -> Checked<Self> {
        let memory = Plain(Vec::new());
        if kind == Kind::User {
            return Ok(Self { kernel, vessel: None, memory });
        }
        let far = Far { slots, coming: None, read_until: Some(usize::MAX) };
        let (at, _reader, writer) = kernel.add(kind, far).map_err(|error| error.to_string())?;
        Ok(Self { kernel, vessel: Some(Vessel { at, _reader, writer }), memory })
    }

    fn got(&self) -> Vec<u8> {
        match &self.vessel {
            Some(vessel) => self.kernel.got_all(vessel.at),
            None => self.memory.0.clone(),
        }
    }
}

impl Sink for &mut To<'_> {
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.vessel.as_ref().map(|vessel| std::os::fd::AsFd::as_fd(&vessel.writer))
    }
    fn write_user(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.memory.write_user(bytes)
    }
}

fn try_tee(schedule: &[u8]) -> Checked {
    let mut pick = Picks(schedule);
    let size: usize = pick.of(&[20_000, 0, 1, 5000, 40_000, 60_000]);
    let piece = pick.of(&[4096, 1000, 100, 30_000]).max(size / 200 + 1);
    let (slots, stage) = (pick.of(&[16, 1, 2, 64]), pick.of(&[16, 1, 2]));
    let pace = pick.of(&[u32::MAX, 1, 3, 10]);
    let (drain, mirror) = (pick.of(&KINDS), pick.of(&KINDS));
    let (drain_slots, mirror_slots) = (pick.of(&[16, 1, 64]), pick.of(&[16, 1, 64]));
    let denied = pick.of(&[false, false, false, true]);
    let routes = if denied { Routes::only(Route::ReadWrite) } else { Routes::all() };
    let steps: [usize; 4] = [(); 4].map(|()| pick.of(&[usize::MAX, 1, 777, 4096, 10_001, 0]));
    let reads = pick.of(&[0_u8, 0, 0b1010, 0b1111]);
    let cut = pick.of(&[ROUNDS, 1, 2, 4]);
    let kernel = Plumbing::new(pick.0, pace, stage);
    let bytes = noise(size);
    let coming = Some(bytes.chunks(piece).map(<[u8]>::to_vec).collect());
    let far = Far { slots, coming, read_until: None };
    let failed = |error: std::io::Error| error.to_string();
    let (_, reader, _writer) = kernel.add(Kind::Pipe, far).map_err(failed)?;
    let mut drain = To::new(&kernel, drain, drain_slots)?;
    let mut mirror = To::new(&kernel, mirror, mirror_slots)?;
    let mut teed = Teed::on(&kernel, routes, reader, &mut mirror);
    let ran = drains(&kernel, &mut teed, &mut drain, &steps, reads, cut);
    let wrong = |wrong: String| format!("{wrong}\n  {}\n{schedule:?}", kernel.log());
    let (drained, ended) = ran.map_err(wrong)?;
    let told = teed.refused();
    let detached = teed.detach();
    let checked = check(&kernel, detached, &drained, ended, &bytes, |mirror| mirror.got());
    let refused = kernel.has_refused(Operation::Tee);
    let is_told = told.is_some_and(|told| told.reason.errno().is_some());
    checked.map_err(wrong)?;
    if refused && !is_told && !matches!(told.map(|told| told.reason), Some(Reason::Stuck(_))) {
        return Err(wrong(format!("tee was refused, and told is {told:?}")));
    }
    kernel.check().map_err(wrong)
}

/// Drains in turns of these sizes, some by `read`, until the end or so many turns. What came, and
/// whether it was the end.
fn drains(
    kernel: &Plumbing,
    teed: &mut Teed<&mut To<'_>, &Plumbing>,
    drain: &mut To<'_>,
    steps: &[usize],
    reads: u8,
    cut: usize,
) -> Checked<(Vec<u8>, bool)> {
    let (mut drained, mut at_sink) = (Vec::new(), 0);
    for (round, step) in (0..cut).zip(steps.iter().cycle()) {
        let before = drained.len();
        if reads & (1 << (round % 4)) != 0 && *step > 0 {
            let mut block = vec![0; (*step).min(5000)];
            match Read::read(teed, &mut block) {
                Ok(0) => return kernel.check().map(|()| (drained, true)),
                Ok(n) => drained.extend_from_slice(&block[..n]),
                Err(error) => fails(kernel, &error)?,
            }
        } else {
            let result = teed.drain_up_to(*step as u64, &mut *drain);
            let got = drain.got();
            drained.extend_from_slice(&got[at_sink..]);
            let moved = got.len() - at_sink;
            at_sink = got.len();
            let said = match &result {
                Ok(report) => report.bytes(),
                Err(error) => error.report().bytes(),
            };
            if said != moved as u64 {
                return Err(format!("{said} bytes reported, {moved} moved"));
            }
            match result {
                Ok(_) if moved < *step => {
                    return kernel.check().map(|()| (drained, true));
                }
                Ok(_) => {}
                Err(error) => {
                    fails(kernel, error.cause())?;
                    drained.extend(TransferError::into_undelivered(error));
                }
            }
        }
        kernel.check()?;
        if drained.len() - before > *step {
            return Err(format!("{} bytes of at most {step}", drained.len() - before));
        }
        if teed.mirrored() < drained.len() as u64 {
            return Err(format!("{} drained before the mirror", drained.len()));
        }
    }
    Ok((drained, false))
}

/// An error must be that of the script, or of an end that went away.
fn fails(kernel: &Plumbing, error: &std::io::Error) -> Checked {
    kernel.check()?;
    match kernel.take_fault() {
        Some(fault) if error.to_string().contains(&std::io::Error::from(fault).to_string()) => {
            Ok(())
        }
        None if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        fault => Err(format!("{fault:?} is told as {error}")),
    }
}

/// What was drained, what is ahead and what the pipe has are the source; the mirror has what it
/// is said to have.
fn check<M>(
    kernel: &Plumbing,
    detached: Detached<M>,
    drained: &[u8],
    ended: bool,
    bytes: &[u8],
    copies: impl FnOnce(M) -> Vec<u8>,
) -> Checked {
    let Detached { reader, mirror, ahead, mirrored, in_advance } = detached;
    let copies = copies(mirror);
    let must = |holds: bool, what: &str| {
        let (drained, ahead) = (drained.len(), ahead.len());
        let say = || {
            format!("{what}: {drained} drained, {ahead} ahead, {in_advance} in advance, {mirrored}")
        };
        if holds { Ok(()) } else { Err(say()) }
    };
    let rest = kernel.drained(&reader);
    must([drained, &ahead, &rest].concat() == bytes, "lost, repeated or reordered")?;
    must(copies.len() as u64 == mirrored, &format!("the mirror has {}", copies.len()))?;
    must(bytes.starts_with(&copies), "the mirror has other bytes")?;
    must(mirrored == drained.len() as u64 + in_advance, "in advance is not that")?;
    must(!ended || (drained == bytes && copies == bytes), "it ends before the source")
}

#[test]
fn whatever_a_kernel_answers_the_drain_and_the_mirror_get_each_byte_once() {
    check_schedules(try_tee);
}
