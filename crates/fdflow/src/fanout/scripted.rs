//! The hub of a fan-out on a simulated kernel: whatever that answers, each lane gets the source's
//! bytes once, but for the gaps that are told.

use std::time::Duration;

use super::Lag;
use super::hub::{Hub, Turn};
use super::lane::{Lane, Linger};
use rustix::io::Errno;

use crate::kind::Kind;
use crate::operation::Operation;
use crate::report::{Reason, Refusal};
use crate::route::Route;
use crate::sys::scripted::picks::{Picks, noise};
use crate::sys::scripted::plumbing::{Far, Plumbing};
use crate::sys::scripted::{Answer, check_schedules};

type Checked<T = ()> = Result<T, String>;

const LONG: Duration = Duration::from_secs(1 << 20);
const LINGER: Linger = Linger { others: LONG, block: None };
/// More turns than any schedule takes.
const TURNS: usize = 20_000;

/// A source and its lanes on a simulated kernel.
struct Scene<'k> {
    kernel: &'k Plumbing,
    bytes: Vec<u8>,
    source: usize,
    lanes: Vec<usize>,
    hub: Hub<'static, &'k Plumbing>,
    /// As a driver does that polls everybody in turn: it tells what it has done.
    in_step: bool,
}

fn try_fan_out(schedule: &[u8]) -> Checked {
    let mut pick = Picks(schedule);
    let size = pick.of(&[20_000, 0, 1, 5000, 40_000, 60_000]);
    let piece = pick.of(&[4096, 1000, 100, 30_000]).max(size / 200 + 1);
    let slots = pick.of(&[16, 1, 2, 64]);
    let pace = pick.of(&[u32::MAX, 1, 3, 10]);
    let count = pick.of(&[2, 1, 3, 5]);
    let denied = pick.of(&[false, false, false, true]);
    let in_step = pick.of(&[false, true]);
    let wanted: Vec<_> = (0..count)
        .map(|_| {
            let behind = pick.of(&[5000, 0, size / 1000 + 1, 20_000]);
            let lag = pick.of(&[
                Lag::Block,
                Lag::DropBeyond(behind),
                Lag::DetachBeyond(behind),
                Lag::DetachAfter(LONG),
                Lag::DetachAfter(Duration::ZERO),
            ]);
            let leaves = pick.of(&[usize::MAX, usize::MAX, usize::MAX, 0, 7000]);
            (lag, pick.of(&[16, 1, 3, 256]), leaves)
        })
        .collect();
    let kernel = Plumbing::new(pick.0, pace, 16);
    let bytes = noise(size);
    let coming = Some(bytes.chunks(piece).map(<[u8]>::to_vec).collect());
    let far = Far { slots, coming, read_until: None };
    let failed = |error: std::io::Error| error.to_string();
    let (source, reader, _writer) = kernel.add(Kind::Pipe, far).map_err(failed)?;
    let (mut lanes, mut readers, mut feeds) = (vec![], vec![], vec![]);
    for (lag, slots, leaves) in wanted {
        let far = Far { slots, coming: None, read_until: Some(leaves) };
        let (at, reader, feed) = kernel.add(Kind::Pipe, far).map_err(failed)?;
        lanes.push(at);
        // A descriptor that was closed would be somebody else's next.
        readers.push(reader);
        let mut lane = Lane::with(lag, LINGER, feed);
        if in_step {
            lane.keep_in_step();
        }
        feeds.push(lane);
    }
    let denied = denied.then(|| Refusal::new(Route::Splice, Reason::Denied));
    let hub = Hub::new(&kernel, reader, feeds, denied);
    let mut scene = Scene { kernel: &kernel, bytes, source, lanes, hub, in_step };
    let ran = scene.relay().and_then(|()| scene.check());
    ran.map_err(|wrong| format!("{wrong}\n  {}\n{schedule:?}", kernel.log()))
}

impl Scene<'_> {
    fn relay(&mut self) -> Checked {
        let mut in_vain = 0;
        for _ in 0..TURNS {
            if self.in_step {
                let to_come = self.kernel.to_come(self.source);
                self.hub.fed((self.bytes.len() - to_come) as u64, to_come == 0);
            }
            let turn = self.hub.turn();
            self.kernel.check()?;
            let fault = self.kernel.take_fault();
            match turn.map_err(|error| format!("{error}, {fault:?}"))? {
                Turn::Moved => {}
                Turn::Ended => return Ok(()),
                Turn::AwaitsSource if self.kernel.progress(self.source) => {}
                Turn::AwaitsSource => return Err("waits for a source that has ended".to_owned()),
                Turn::AwaitsLane if self.in_step && self.unstick()? => {}
                Turn::AwaitsLane => {
                    let readers = self.lanes.iter().map(|at| self.kernel.progress(*at));
                    let progressed = readers.collect::<Vec<_>>().contains(&true);
                    // A call may have blocked although there was room: not for ever.
                    in_vain = if progressed { 0 } else { in_vain + 1 };
                    if in_vain > 100 {
                        return Err("waits for lanes that are empty".to_owned());
                    }
                }
            }
            for (lane, at) in self.hub.lanes.iter_mut().zip(&self.lanes) {
                lane.saw_taken(self.kernel.got_len(*at) as u64);
                if self.in_step && self.kernel.is_broken(*at) {
                    lane.shut();
                }
            }
        }
        Err("turns without an end".to_owned())
    }

    fn unstick(&mut self) -> Checked<bool> {
        self.hub.unstick().map_err(|error| error.to_string())
    }

    fn check(&mut self) -> Checked {
        let all = self.bytes.len();
        let to_come = self.kernel.to_come(self.source);
        let rest = self.hub.rest().map_err(|error| error.to_string())?;
        let report = self.hub.report(0);
        let at = usize::try_from(report.relayed).map_err(|error| error.to_string())?;
        let attached = self.hub.lanes.iter().any(|lane| lane.feed.is_some());
        let must = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(format!("{what}: {report}, {} rest", rest.len())) }
        };
        must(at + rest.len() + to_come == all, "taken is not relayed and undelivered")?;
        must(self.bytes[at..at + rest.len()] == rest[..], "other bytes are undelivered")?;
        must(!attached || at == all, "it ends before the source")?;
        let refused = self.kernel.has_refused(Operation::Tee);
        must(!refused || report.refused.is_some(), "the refusal is not told")?;
        for ((lane, vessel), told) in self.hub.lanes.iter().zip(&self.lanes).zip(&report.sinks) {
            let got = self.kernel.got_all(*vessel);
            let mut expected = self.bytes.clone();
            for gap in told.gaps.iter().rev() {
                let from = usize::try_from(gap.at).unwrap_or(usize::MAX);
                let to = from + usize::try_from(gap.bytes).unwrap_or(usize::MAX);
                must(to <= at, "a gap beyond what was relayed")?;
                expected.drain(from..to);
            }
            must(expected.starts_with(&got), &format!("{:?} got other bytes", lane.lag))?;
            let drops = matches!(lane.lag, Lag::DropBeyond(_));
            must(drops || told.missed == 0, "a gap where nothing is to be dropped")?;
            if lane.feed.is_some() {
                let offset = told.bytes + told.unsent + told.missed;
                must(offset == report.relayed, "an attached lane is not where the head is")?;
                let arrived = got.len() as u64 == told.unsent || self.kernel.is_broken(*vessel);
                must(arrived, "what it was given has not arrived")?;
            }
        }
        Ok(())
    }
}

#[test]
fn h01_what_a_lane_has_in_advance_when_tee_is_refused_is_copied_before_anything_else() {
    let kernel = Plumbing::new(&[], u32::MAX, 16);
    let bytes = noise(9000);
    let coming = Some(bytes.chunks(3000).map(<[u8]>::to_vec).collect());
    let far = Far { slots: 16, coming, read_until: None };
    let (source, reader, _writer) = kernel.add(Kind::Pipe, far).unwrap();
    let far = Far { slots: 16, coming: None, read_until: Some(usize::MAX) };
    let ends = [(); 2].map(|()| kernel.add(Kind::Pipe, far.clone()).unwrap());
    let lanes = ends.iter().map(|(at, ..)| *at).collect();
    let (_readers, feeds): (Vec<_>, Vec<_>) = ends
        .into_iter()
        .map(|(_, reader, feed)| (reader, Lane::with(Lag::Block, LINGER, feed)))
        .unzip();
    // Of 9000 bytes the first lane has got 3000, the second none; and they come out of the pipe in
    // small portions.
    while kernel.progress(source) {}
    kernel.rule(Operation::Tee, 0, Answer::Short(3000));
    kernel.rule(Operation::Tee, 1, Answer::Errno(Errno::INVAL));
    (0..5).for_each(|nth| kernel.rule(Operation::Read, nth, Answer::Short(nth.into())));
    let hub = Hub::new(&kernel, reader, feeds, None);
    let mut scene = Scene { kernel: &kernel, bytes, source, lanes, hub, in_step: false };
    let ran = scene.relay().and_then(|()| scene.check());
    ran.unwrap_or_else(|wrong| panic!("{wrong}\n  {}", kernel.log()));
    assert!(scene.hub.report(0).refused.is_some());
}

#[test]
fn whatever_a_kernel_answers_each_lane_gets_each_byte_once_but_for_its_gaps() {
    check_schedules(try_fan_out);
}
