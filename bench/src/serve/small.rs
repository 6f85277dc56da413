//! Small files over keep-alive connections: what a request costs the server.

use std::io;

use super::server::{Server, of, start_all};
use super::site::{SMALL, name};
use super::wrk::Report;
use super::{PAIR, Setup, client};
use crate::figures::{Case, Figures, contest, tell};
use crate::sizes::human;

pub(super) const PART: &str = "small";
pub(super) const SAYS: &str = "\
wrk -t1 -c32 asks for one file over and over. Every answer must be a success; one is compared byte by \
byte before.\n";

/// CPU of a request against nginx's; `None`: told only.
fn most(bytes: u64) -> Option<f64> {
    match bytes {
        0x400 => Some(0.75),
        0x1_0000 => Some(0.8),
        0x10_0000 => Some(0.5),
        _ => None,
    }
}

/// What a round cost.
#[derive(Debug)]
struct Cost {
    cpu_us: f64,
    report: Report,
}

pub(super) fn measure(setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let wrk = match &setup.programs.wrk {
        Ok(wrk) => wrk,
        Err(reason) => {
            figures.absent((PART, "all"), "wrk", reason);
            for bytes in SMALL {
                figures.unmeasured((PART, &human(bytes)), "CPU", most(bytes));
            }
            return Ok(());
        }
    };
    let running = start_all(PART, false, setup, figures);
    let servers: Vec<Server> = running.iter().map(|running| running.server).collect();
    let timeout = setup.conditions.timeout;
    for bytes in SMALL {
        let (case, name) = (human(bytes), name(bytes));
        let check = |server| {
            let mut stream = client::connect(of(&running, server)?.address, timeout)?;
            client::ask(&mut stream, &name, None)?;
            client::Answer::read(&mut stream, 4096)?.expect(200, bytes)?.check(stream, 0)
        };
        let round = |server| {
            let running = of(&running, server)?;
            let url = format!("http://{}/{name}", running.address);
            let before = running.cpu()?;
            let report = wrk.run(&url, bytes, setup.seconds, &setup.site.workplace())?;
            let cpu = running.cpu()?.saturating_sub(before);
            Ok(Cost { cpu_us: cpu.as_secs_f64() * 1e6 / report.requests as f64, report })
        };
        let rounds = setup.conditions.rounds;
        let outcomes = contest((PART, &case), &servers, rounds, figures, check, round);
        let of = Case { part: PART, name: &case, outcomes: &outcomes };
        let rows = of.rows("CPU-µs per request", 2, |cost| cost.cpu_us);
        tell(&rows)?;
        figures.add(rows);
        figures.add(of.rows("requests/s", 0, |cost| cost.report.per_second()));
        figures.add(of.rows("p50 µs", 0, |cost| cost.report.p50_us as f64));
        figures.add(of.rows("p99 µs", 0, |cost| cost.report.p99_us as f64));
        of.versus(figures, "CPU", PAIR, most(bytes), |cost| cost.cpu_us);
    }
    Ok(())
}
