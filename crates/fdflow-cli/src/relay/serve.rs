//! One reader, from being accepted to the end.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fdflow_tokio::{AsyncSink, Joiner, Recording};
use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::SockRef;
use tokio::time::{sleep, timeout};

use super::ending::{Ending, Why};
use super::reader::{Reader, View};
use super::stream::Stream;
use super::values::LagPolicy;
use super::worker::Shared;
use crate::daemon::conn::Conn;
use crate::daemon::gate::Pass;

/// So long a reader that has everything may take to close its connection.
pub(super) const LAST: Duration = Duration::from_secs(2);

/// Sends it the stream.
pub(super) async fn run(conn: Conn, peer: Option<SocketAddr>, pass: Pass, shared: Arc<Shared>) {
    let conn = Arc::new(conn);
    let reader = shared.begin(Reader::new(shared.live.id(), peer, "stream"));
    let ending = match shared.stream.get() {
        Some(Stream::Recorded(recording)) => follow(recording, &conn, &reader, &shared).await,
        Some(Stream::Fanned(joiner)) => join(joiner, &conn, &reader, &shared).await,
        None => Why::Done.into(),
    };
    shared.finish(&reader, &ending);
    if ending.why == Why::Done {
        close(&conn).await;
    }
    drop(pass);
}

async fn follow(
    recording: &Recording,
    conn: &Arc<Conn>,
    reader: &Arc<Reader>,
    shared: &Shared,
) -> Ending {
    let terms = &shared.terms;
    let mut following = match recording.reader(terms.start.now(), Arc::clone(conn)) {
        Ok(following) => following.skips(terms.lag == LagPolicy::Gap).routes(terms.routes),
        Err(error) => return Ending { why: Why::Failed, detail: Some(error.to_string()) },
    };
    let _first = reader.view.set(View::Following(following.following(), recording.clone())).is_ok();
    tokio::select! {
        biased;
        ended = following.run() => ended.into(),
        gone = hung_up(conn) => gone,
        order = reader.ordered() => Why::from(order).into(),
        () = stalled(reader, shared) => Why::Stalled.into(),
    }
}

async fn join(
    joiner: &Joiner<'static>,
    conn: &Arc<Conn>,
    reader: &Arc<Reader>,
    shared: &Shared,
) -> Ending {
    let terms = &shared.terms;
    let lag = terms.lag.lag(terms.max_lag);
    let joined = joiner.join(Arc::clone(conn), lag).or_else(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Err(error);
        }
        // What is held back is for those who are in.
        shared.reserve.rest("relay", &error);
        joiner.join(Arc::clone(conn), lag)
    });
    let joined = match joined {
        Ok(joined) => Arc::new(joined),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Why::Done.into(),
        Err(error) => return Ending { why: Why::Failed, detail: Some(error.to_string()) },
    };
    let _first = reader.view.set(View::Joined(Arc::clone(&joined))).is_ok();
    let left = tokio::select! {
        biased;
        report = joined.ended() => return report.end.into(),
        gone = hung_up(conn) => gone,
        order = reader.ordered() => Why::from(order).into(),
        () = stalled(reader, shared) => Why::Stalled.into(),
    };
    joined.leave();
    // It may have got everything meanwhile.
    let report = joined.ended().await;
    if matches!(report.end, fdflow::SinkEnd::Complete) { Why::Done.into() } else { left }
}

/// Returns when the peer has closed its connection. What it sends is thrown away; that it sends
/// nothing more is no reason to send it nothing.
async fn hung_up(conn: &Conn) -> Ending {
    let mut block = [0; 4096];
    loop {
        if let Err(error) = conn.readable().await {
            return (&error).into();
        }
        match conn.try_read(&mut block) {
            Ok(0) if is_hung_up(conn) => {
                let error = SockRef::from(conn).take_error().ok().flatten();
                return error.as_ref().map_or_else(|| Why::Left.into(), Ending::from);
            }
            Ok(0) => return (&conn.broken().await).into(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return (&error).into(),
        }
    }
}

/// Whether both directions are closed.
fn is_hung_up(conn: &Conn) -> bool {
    let mut fds = [PollFd::new(conn, PollFlags::empty())];
    let polled = rustix::event::poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Returns when the stream has ended and the reader has taken nothing for too long.
pub(super) async fn stalled(reader: &Reader, shared: &Shared) {
    shared.over.stopped().await;
    loop {
        let before = reader.bytes();
        sleep(shared.terms.linger).await;
        if reader.bytes() == before {
            return;
        }
    }
}

/// Tells the peer that this was all, and gives it the time to have it.
async fn close(conn: &Conn) {
    let closed = poll_fn(|cx| conn.poll_half_close(cx)).await;
    if closed.is_ok() {
        let mut block = [0; 4096];
        let peer = async {
            while conn.readable().await.is_ok() {
                match conn.try_read(&mut block) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => return,
                }
            }
        };
        drop(timeout(LAST, peer).await);
    }
}
