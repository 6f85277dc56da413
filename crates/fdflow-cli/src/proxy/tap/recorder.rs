//! The recording of a flow, as the flow sees it: mirrors, and whether they were left.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fdflow::Pipe;
use fdflow_tokio::{Bidirectional, Direction, Mirror};
use tokio::net::unix::pipe::Sender;

use super::super::flow::Flow;
use super::super::values::TapPolicy;
use super::Tap;
use super::name::Name;
use super::recording::Recording;
use crate::daemon::conn::Conn;

/// So much may be on its way to the disk, of each direction, where the system grants it.
const ROOM: usize = 1 << 20;
/// A recording that takes nothing for so long while its flow waits for it is left, where it may be.
const PATIENCE: Duration = Duration::from_secs(1);

/// The recording of a flow.
#[derive(Debug)]
pub(in super::super) struct Recorder {
    client: Side,
    upstream: Side,
}

/// Of what one end sends.
#[derive(Debug)]
struct Side {
    who: &'static str,
    direction: Direction,
    /// So many bytes are the proxy's own, and not recorded.
    own: u64,
    /// Why it was not begun.
    unbegun: Option<io::Error>,
    told: bool,
}

impl Side {
    fn new(who: &'static str, direction: Direction, own: u64) -> Self {
        Self { who, direction, own, unbegun: None, told: false }
    }
}

impl Recorder {
    /// Begins to record a flow, in which the proxy's first `own` bytes go to the upstream before
    /// those of the client. What cannot be recorded is told of, and goes on without.
    pub(in super::super) fn begin(
        tap: &Arc<Tap>,
        flow: &Flow,
        mut both: Bidirectional<Conn, Conn>,
        own: usize,
    ) -> (Self, Bidirectional<Conn, Conn>) {
        let mut client = Side::new("client", Direction::AToB, own as u64);
        let mut upstream = Side::new("upstream", Direction::BToA, 0);
        for side in [&mut client, &mut upstream] {
            match tap.mirror(flow, side) {
                Ok(mirror) => both = both.mirror(side.direction, mirror),
                Err(error) => side.unbegun = Some(error),
            }
        }
        let mut recorder = Self { client, upstream };
        recorder.look(flow, &both);
        (recorder, both)
    }

    /// Tells of a direction that is not recorded any more, once.
    pub(in super::super) fn look(&mut self, flow: &Flow, both: &Bidirectional<Conn, Conn>) {
        for side in [&mut self.client, &mut self.upstream] {
            if side.told {
                continue;
            }
            let mirrored = both.mirrored(side.direction);
            let Some(error) = side.unbegun.as_ref().or(mirrored.left.as_ref()) else { continue };
            side.told = true;
            flow.service.lasting.figures.tap.gaps.fetch_add(1, Relaxed);
            eprintln!(
                "fdflow: proxy: {}: flow {}: what the {} sends is not recorded from byte {} on: \
                 {error}",
                flow.service.name, flow.id, side.who, mirrored.bytes
            );
        }
    }

    /// The flow is over: counts what was not recorded.
    pub(in super::super) fn end(mut self, flow: &Flow, both: &Bidirectional<Conn, Conn>) {
        self.look(flow, both);
        let Some(link) = flow.link.get() else { return };
        let sides = [(&self.client, &link.up), (&self.upstream, &link.down)];
        for (side, counters) in sides.into_iter().filter(|(side, _)| side.told) {
            let (there, all) = (both.mirrored(side.direction).bytes, counters.bytes());
            let missed = all.saturating_sub(side.own).saturating_sub(there);
            flow.service.lasting.figures.tap.missed.fetch_add(missed, Relaxed);
            eprintln!(
                "fdflow: proxy: {}: flow {}: of what the {} sent, bytes {there} to {} are not recorded",
                flow.service.name,
                flow.id,
                side.who,
                there + missed
            );
        }
    }
}

impl Tap {
    /// A mirror whose pipe is emptied into files.
    fn mirror(&self, flow: &Flow, side: &Side) -> io::Result<Mirror> {
        let (reader, writer) = Pipe::with_capacity(ROOM)?.split();
        let sender = Sender::from_owned_fd(OwnedFd::from(writer))?;
        let name = Name::new(&flow.service.name, flow.began_at, flow.id, side.who);
        self.writer.add(Recording::new(Arc::clone(&self.place), name, reader)?)?;
        let mirror = Mirror::new(sender).skip(side.own);
        Ok(match self.policy {
            TapPolicy::Block => mirror,
            TapPolicy::Detach => mirror.patience(PATIENCE),
        })
    }
}
