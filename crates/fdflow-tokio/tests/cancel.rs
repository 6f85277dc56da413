//! A run that is dropped at each of its awaits in turn: nothing is lost, repeated or reordered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use fdflow::{Route, Routes};
use fdflow_tokio::{AsyncSink, AsyncSource, Bidirectional, Fanout, Plain, Transfer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use support::socket::{PAIRS, Socket, narrow, pair};
use support::{Room, at_most, current_thread, guarded, pattern};

/// Answers as it was told to, one entry a poll: so many bytes, or "not yet".
#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<Option<usize>>,
    bytes: Vec<u8>,
    at: usize,
    flushed: usize,
}

impl Script {
    fn new(answers: &[Option<usize>], bytes: Vec<u8>) -> Self {
        Self { answers: answers.iter().copied().collect(), bytes, ..Self::default() }
    }

    /// How many bytes this poll is about; all that are asked for after the script's end.
    fn next(&mut self, cx: &Context<'_>) -> Poll<usize> {
        match self.answers.pop_front() {
            Some(Some(n)) => Poll::Ready(n),
            None => Poll::Ready(usize::MAX),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let n = std::task::ready!(self.next(cx)).min(buffer.remaining());
        let end = (self.at + n).min(self.bytes.len());
        buffer.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = std::task::ready!(self.next(cx)).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed += 1;
        if self.flushed % 2 == 1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const READS: [Option<usize>; 9] =
    [None, Some(1), Some(5000), None, None, Some(70_000), None, Some(1), None];
const WRITES: [Option<usize>; 10] =
    [Some(1), None, Some(3), None, Some(4000), None, None, Some(9), None, Some(60_000)];

fn scripted(bytes: &[u8]) -> (Plain<Script>, Plain<Script>) {
    let source = Plain::new(Script::new(&READS, bytes.to_vec()));
    (source, Plain::new(Script::new(&WRITES, Vec::new())))
}

#[test]
fn h07_a_scripted_transfer_is_cancelled_at_every_await_and_gone_on_with() {
    let _room = Room::enter();
    current_thread().block_on(guarded(async {
        let bytes = pattern(200_000, 80);
        let (head, tail) = bytes.split_at(3000);
        for awaits in 1.. {
            let (source, sink) = scripted(tail);
            let mut transfer =
                Transfer::new(source, sink).prefix(head.to_vec()).routes(Routes::all());
            let uncut = at_most(awaits, transfer.run()).await.is_some();
            if !uncut {
                transfer.run().await.unwrap();
            }
            let parts = transfer.into_parts();
            assert!(parts.undelivered.is_empty() && parts.report.bytes() == 200_000);
            assert!(parts.sink.into_inner().bytes == bytes, "cut after {awaits} polls");
            if uncut {
                return assert!(awaits > 10, "the script has awaits: {awaits}");
            }
        }
    }));
}

#[test]
fn h07_a_scripted_transfer_is_cancelled_at_every_await_and_taken_apart() {
    let _room = Room::enter();
    current_thread().block_on(guarded(async {
        let bytes = pattern(200_000, 81);
        let (head, tail) = bytes.split_at(3000);
        for awaits in 1.. {
            let (source, sink) = scripted(tail);
            let mut transfer =
                Transfer::new(source, sink).prefix(head.to_vec()).routes(Routes::all());
            let uncut = at_most(awaits, transfer.run()).await.is_some();
            let parts = transfer.into_parts();
            let (source, mut all) = (parts.source.into_inner(), parts.sink.into_inner().bytes);
            assert_eq!(parts.report.bytes(), all.len() as u64);
            all.extend_from_slice(&parts.undelivered);
            all.extend_from_slice(&source.bytes[source.at..]);
            assert!(all == bytes, "cut after {awaits} polls");
            if uncut {
                return;
            }
        }
    }));
}

/// What a socket holds, and its end where it has come; nothing of it waits.
fn drain(socket: &Socket, into: &mut Vec<u8>) {
    let mut block = [0; 20_000];
    while let Ok(n @ 1..) =
        rustix::net::recv(socket, &mut block[..], rustix::net::RecvFlags::DONTWAIT).map(|(n, _)| n)
    {
        into.extend_from_slice(&block[..n]);
    }
}

fn send(socket: &Socket, bytes: &[u8]) -> usize {
    rustix::net::send(socket, bytes, rustix::net::SendFlags::DONTWAIT).unwrap_or(0)
}

async fn turns() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

/// A peer at each end that sends and reads a little between any two polls, and cuts the run after
/// `polls` of them. Whether it ended before; everything that arrived.
async fn cut_between<S: AsyncSource, D: AsyncSink>(
    transfer: &mut Transfer<S, D>,
    (feed, catch): (&mut Option<Socket>, &Socket),
    (bytes, sent, heard): (&[u8], &mut usize, &mut Vec<u8>),
    polls: usize,
) -> bool {
    let mut run = Box::pin(transfer.run());
    for _ in 0..polls {
        if let Some(socket) = feed {
            *sent += send(socket, &bytes[*sent..(*sent + 45_000).min(bytes.len())]);
            if *sent == bytes.len() {
                *feed = None;
            }
        }
        turns().await;
        if let Some(ended) = at_most(1, run.as_mut()).await {
            assert_eq!(ended.unwrap().bytes(), bytes.len() as u64);
            return true;
        }
        drain(catch, heard);
    }
    false
}

#[test]
fn h07_a_transfer_between_sockets_is_cancelled_at_every_await() {
    let _room = Room::enter();
    current_thread().block_on(guarded(async {
        let bytes = pattern(300_000, 82);
        for (from, to) in PAIRS {
            for routes in [Routes::only(Route::ReadWrite), Routes::only(Route::Splice)] {
                for cut in 1.. {
                    let ((feed, source), (sink, catch)) = (pair(from).await, pair(to).await);
                    narrow(&sink);
                    let (mut feed, mut sent, mut heard) = (Some(feed), 0, Vec::new());
                    let mut transfer = Transfer::new(source, sink).routes(routes);
                    let mut step = async |polls| {
                        let peers = (&mut feed, &catch);
                        let account = (&bytes[..], &mut sent, &mut heard);
                        cut_between(&mut transfer, peers, account, polls).await
                    };
                    let uncut = step(cut).await;
                    // Cut here, then once more after each poll for a while, then left alone.
                    let again = !uncut && (step(1).await || step(1).await || step(9999).await);
                    assert!(uncut || again, "it does not end");
                    drop(transfer);
                    turns().await;
                    while heard.len() < bytes.len() {
                        let before = heard.len();
                        drain(&catch, &mut heard);
                        assert!(heard.len() > before || to == support::socket::Sort::Tcp);
                        turns().await;
                    }
                    assert!(heard == bytes, "{from:?} -> {to:?}, {routes:?}, cut after {cut}");
                    if uncut || cut > 40 {
                        break;
                    }
                }
            }
        }
    }));
}

#[test]
fn h07_both_directions_are_cancelled_at_every_await() {
    let _room = Room::enter();
    current_thread().block_on(guarded(async {
        let (up, down) = (pattern(90_000, 83), pattern(120_000, 84));
        for awaits in 1.. {
            let a = Both::new(&up, &WRITES);
            let b = Both::new(&down, &WRITES);
            let mut flow = Bidirectional::new(Plain::new(a), Plain::new(b)).routes(Routes::all());
            let uncut = at_most(awaits, flow.run()).await.is_some();
            if !uncut {
                flow.run().await.unwrap();
            }
            let parts = flow.into_parts();
            let (a, b) = (parts.a.into_inner(), parts.b.into_inner());
            assert!(a.writes.bytes == down && b.writes.bytes == up, "cut after {awaits} polls");
            if uncut {
                return assert!(awaits > 5, "the script has awaits: {awaits}");
            }
        }
    }));
}

/// A script for each direction.
struct Both {
    reads: Script,
    writes: Script,
}

impl Both {
    fn new(bytes: &[u8], writes: &[Option<usize>]) -> Self {
        let reads = Script::new(&READS, bytes.to_vec());
        Self { reads, writes: Script::new(writes, Vec::new()) }
    }
}

impl AsyncRead for Both {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reads).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Both {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writes).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writes).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writes).poll_shutdown(cx)
    }
}

#[test]
fn h07_a_fan_out_is_cancelled_at_every_await() {
    let _room = Room::enter();
    if support::without_user_space() {
        return;
    }
    current_thread().block_on(guarded(async {
        let bytes = pattern(200_000, 85);
        for awaits in 1.. {
            let (source, sink) = scripted(&bytes);
            let other = Plain::new(Script::new(&READS, Vec::new()));
            let mut fanout = Fanout::new(source)
                .sink(&sink, fdflow::Lag::Block)
                .sink(&other, fdflow::Lag::Block);
            let uncut = at_most(awaits, fanout.run()).await.is_some();
            if !uncut {
                fanout.run().await.unwrap();
            }
            drop(fanout);
            assert!(sink.into_inner().bytes == bytes, "cut after {awaits} polls");
            assert!(other.into_inner().bytes == bytes, "cut after {awaits} polls");
            if uncut {
                return;
            }
        }
    }));
}
