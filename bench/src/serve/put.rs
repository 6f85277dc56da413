//! An upload of a large file: what it costs the server.

use std::fs::File;
use std::io;
use std::time::Instant;

use super::large::{Cost, tabulate};
use super::server::{Server, of, start_all};
use super::{Setup, client};
use crate::figures::{Case, Figures, contest};
use crate::pattern::Pattern;
use crate::sizes::human;

pub(super) const PART: &str = "put";
pub(super) const SAYS: &str = "\
A client of this program sends the file by PUT in writes of 1 MiB. Ours has flushed it to the disk when \
it answers, nginx has not: that is in our figures and not in nginx's. Between rounds the file is flushed \
and deleted, which counts for neither. One upload is compared byte by byte before those that count.\n";

const NAME: &str = "upload.bin";
/// CPU of an upload against nginx's dav module.
const MOST: f64 = 0.8;

pub(super) fn measure(setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let running = start_all(PART, true, setup, figures);
    let servers: Vec<Server> = running.iter().map(|running| running.server).collect();
    let (bytes, timeout) = (setup.site.large, setup.conditions.timeout);
    let path = setup.site.root().join(NAME);
    let upload = |server| {
        let running = of(&running, server)?;
        let (before, began) = (running.cpu()?, Instant::now());
        let mut stream = client::connect(running.address, timeout)?;
        client::put(&mut stream, NAME, bytes)?;
        let wall = began.elapsed();
        let cost = Cost { cpu: running.cpu()?.saturating_sub(before), wall };
        File::open(&path)?.sync_all()?;
        Ok::<_, io::Error>(cost)
    };
    let check = |server| {
        upload(server)?;
        Pattern::new().check(&mut File::open(&path)?, bytes)?;
        std::fs::remove_file(&path)
    };
    let round = |server| {
        let cost = upload(server)?;
        let length = std::fs::metadata(&path)?.len();
        if length != bytes {
            return Err(io::Error::other(format!("{length} of {bytes} bytes are there")));
        }
        std::fs::remove_file(&path)?;
        Ok(cost)
    };
    let case = human(bytes);
    let rounds = setup.conditions.rounds;
    let outcomes = contest((PART, &case), &servers, rounds, figures, check, round);
    tabulate(&Case { part: PART, name: &case, outcomes: &outcomes }, bytes, MOST, figures)
}
