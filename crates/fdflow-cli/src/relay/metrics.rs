//! What `/metrics` tells: the figures as they are when somebody asks.
//!
//! Names begin with `fdflow_`, and those of counters end with `_total`.
//!
//! | name | labels | what |
//! |---|---|---|
//! | `readers_accepted` | | counter: readers that came |
//! | `readers_open` | | readers that have not ended |
//! | `readers_ended` | `why` | counter: readers that have; each why of the log |
//! | `reader_bytes` | `route` | counter: bytes given to readers |
//! | `reader_missed_bytes` | | counter: bytes that were left out for readers that lagged |
//! | `reader_lag_bytes_max`, `reader_lag_bytes_sum` | | how far open readers are behind: the one farthest, and all |
//! | `producer_up` | | 1 while a producer is connected |
//! | `producer_connections` | | counter: producers that were connected |
//! | `producer_failures` | `when` | counter: `connecting`: it was not to be had; `connected`: it failed, or sent nothing for too long |
//! | `producer_bytes` | `route` | counter: bytes that came |
//! | `producer_idle_seconds` | | since bytes last came; none before the first |
//! | `recording_start_bytes`, `recording_end_bytes` | | places in the stream: the first byte that is kept, and the next to come |
//! | `recording_kept_bytes` | | what there is between them |
//! | `recording_files` | | files that it is in |
//! | `recording_failing` | | 1 while the disk takes nothing |
//! | `recording_lost_bytes`, `recording_gaps` | | counters: bytes that are missing in it, and in how many places |
//! | `recording_rotated`, `recording_removed` | | counters: files that were begun after another, and those that are kept no longer |
//! | `recording_troubles` | | counter: what went wrong beside the bytes: the index, syncing, rotating, removing |
//! | `pipes`, `open_files` | | of the process, as those of `fdflow proxy` |
//!
//! Those of a recording are there where there is one; its counters begin with the program. Bytes and
//! what is missed are those of readers that have ended and of those that have not.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use fdflow::Route;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::figures::Figures;
use super::reader::Reader;
use super::recorded::{Recorded, Seen};
use super::supply::Supplied;
use crate::daemon::by_route::{self, ByRoute};
use crate::daemon::live::Live;
use crate::daemon::metrics::{self, Labels, Out, Process};

/// The text that Prometheus reads.
pub(super) fn text(
    live: &Live<Reader>,
    figures: &Figures,
    supplied: Supplied,
    recorded: Option<&Recorded>,
) -> Result<String, String> {
    metrics::text(Told {
        readers: Readers::new(live, figures),
        supplied,
        recorded: recorded.map(Recorded::look),
        process: Process::now(),
    })
}

/// All that is told.
#[derive(Debug)]
struct Told {
    readers: Readers,
    supplied: Supplied,
    recorded: Option<Seen>,
    process: Process,
}

/// Of all readers.
#[derive(Debug)]
struct Readers {
    accepted: u64,
    open: u64,
    ended: Vec<(Labels, u64)>,
    bytes: ByRoute,
    missed: u64,
    lag_max: u64,
    lag_sum: u64,
}

impl Readers {
    fn new(live: &Live<Reader>, figures: &Figures) -> Self {
        // No reader ends meanwhile: it would be counted twice, or not at all.
        live.look(|readers| {
            let label = |why: &str| vec![("why", why.to_owned())];
            let mut told = Self {
                accepted: figures.accepted.load(Relaxed),
                open: readers.len() as u64,
                ended: figures.endings().map(|(why, n)| (label(why.name()), n)).into(),
                bytes: figures.bytes.load(),
                missed: figures.missed.load(Relaxed),
                lag_max: 0,
                lag_sum: 0,
            };
            for reader in readers.values() {
                if let Some(counters) = reader.counters() {
                    by_route::add(&mut told.bytes, &counters);
                }
                let lag = reader.lag();
                told.missed += reader.missed();
                told.lag_max = told.lag_max.max(lag);
                told.lag_sum += lag;
            }
            told
        })
    }

    fn tell(&self, out: &mut Out<'_>) -> fmt::Result {
        out.counter("readers_accepted", "Readers that came", self.accepted)?;
        out.gauge("readers_open", "Readers that have not ended", self.open)?;
        out.counters("readers_ended", "Readers that have ended", self.ended.clone())?;
        let bytes = metrics::by_route(&self.bytes, [Route::Sendfile, Route::Splice]);
        out.counters("reader_bytes", "Bytes given to readers", bytes)?;
        let what = "Bytes left out for readers that lagged";
        out.counter("reader_missed_bytes", what, self.missed)?;
        let what = "How far the open reader that is farthest behind is";
        out.gauge("reader_lag_bytes_max", what, self.lag_max)?;
        let what = "How far all open readers are behind";
        out.gauge("reader_lag_bytes_sum", what, self.lag_sum)
    }
}

impl Supplied {
    fn tell(&self, out: &mut Out<'_>) -> fmt::Result {
        let up = u64::from(self.connected.is_some());
        out.gauge("producer_up", "1 while a producer is connected", up)?;
        let what = "Producers that were connected";
        out.counter("producer_connections", what, self.connections)?;
        let failures = [("connecting", self.failed_before), ("connected", self.failed_meanwhile)];
        let failures = failures.map(|(when, n)| (vec![("when", when.to_owned())], n));
        let what = "Producers that were not to be had, and those that failed";
        out.counters("producer_failures", what, failures.into())?;
        let bytes = metrics::by_route(&self.bytes, [Route::Splice, Route::ReadWrite]);
        out.counters("producer_bytes", "Bytes that came from producers", bytes)?;
        let Some(last) = self.last else { return Ok(()) };
        let idle = last.elapsed().as_secs_f64();
        out.gauge("producer_idle_seconds", "Seconds since bytes last came", idle)
    }
}

impl Seen {
    fn tell(&self, out: &mut Out<'_>) -> fmt::Result {
        let counts = self.counts;
        let failing = u64::from(self.is_failing);
        out.gauge("recording_start_bytes", "The first byte that is kept", self.start)?;
        out.gauge("recording_end_bytes", "How far the recording is", self.end)?;
        out.gauge("recording_kept_bytes", "Bytes that are kept", self.kept)?;
        out.gauge("recording_files", "Files that it is in", self.files)?;
        out.gauge("recording_failing", "1 while the disk takes nothing", failing)?;
        out.counter("recording_lost_bytes", "Bytes that are missing in it", counts.lost)?;
        out.counter("recording_gaps", "Places where it misses bytes", counts.gaps)?;
        out.counter("recording_rotated", "Files begun after another", counts.rotated)?;
        out.counter("recording_removed", "Files that are kept no longer", counts.removed)?;
        let what = "What went wrong with it beside the bytes";
        out.counter("recording_troubles", what, counts.troubles)
    }
}

impl Collector for Told {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.readers.tell(&mut out)?;
        self.supplied.tell(&mut out)?;
        if let Some(recorded) = &self.recorded {
            recorded.tell(&mut out)?;
        }
        self.process.tell(&mut out)
    }
}
