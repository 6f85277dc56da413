//! A stream between two sockets, long enough that the library sees it for one.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use fdflow::{Report, Side, Sink, Source, Step, Transfer, TransferError};

use super::content::pattern;
use super::measure::unless_denied;
use super::streams::{self, Connected, PATIENCE, Stream};

/// So many bytes flow; the library begins to splice after a few reads of 64 KiB.
const TOTAL: usize = 1 << 20;
/// So many are read back at once.
const BLOCK: usize = 256 << 10;

/// The pause when nothing moves.
const PAUSE: Duration = Duration::from_millis(1);

/// Feeds one socket, reads the other, and has the library move the bytes between them; all in
/// turns, so that nothing can wait for ever. `None` where no route is left.
pub(super) fn run(from: Stream, to: Stream) -> io::Result<Option<Report>> {
    let (source, sink) = (from.connect(Side::Source)?, to.connect(Side::Sink)?);
    let sent = pattern(TOTAL);
    let mut transfer =
        Transfer::new(source.probed.as_fd(), sink.probed.as_fd()).limit(TOTAL as u64);
    let (mut fed, mut got) = (0, 0);
    let mut block = vec![0; BLOCK];
    let mut latest = Instant::now();
    while got < TOTAL {
        let put = streams::put(source.peer.as_fd(), &sent[fed..])?;
        fed += put;
        let Some(moved) = unless_denied(step_until_dry(&mut transfer))? else { return Ok(None) };
        let more = drain(&sink, &mut block, &sent[got..])?;
        got += more;
        if put > 0 || moved || more > 0 {
            latest = Instant::now();
        } else if latest.elapsed() > PATIENCE {
            let message = format!("only {got} of {TOTAL} bytes arrived");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        } else {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(Some(transfer.report().clone()))
}

/// Steps until an end is not ready; says whether anything moved.
fn step_until_dry<S: Source, D: Sink>(
    transfer: &mut Transfer<S, D>,
) -> Result<bool, TransferError> {
    let mut moved = false;
    loop {
        match transfer.step()? {
            Step::Moved(_) => moved = true,
            Step::Wait(_) | Step::Finished => return Ok(moved),
        }
    }
}

/// Reads what has arrived and compares it with what comes next.
fn drain(sink: &Connected, block: &mut [u8], expected: &[u8]) -> io::Result<usize> {
    let Some(n) = streams::get(sink.peer.as_fd(), block)? else { return Ok(0) };
    if n == 0 || expected.get(..n) != Some(&block[..n]) {
        return Err(io::Error::other("the bytes of a stream arrived changed"));
    }
    Ok(n)
}
