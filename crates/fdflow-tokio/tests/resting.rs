//! What a flow holds while it waits: nothing. Counted in pipes and in bytes of memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "a global allocator is unsafe to write")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::task::{Context, Poll};

use fdflow::{Route, Routes};
use fdflow_tokio::{Plain, Transfer};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;

use support::socket::{Socket, Sort, pair};
use support::{Room, Wakes, current_thread, guarded, in_paused_time, is_readable, poll_once};

/// Counts the bytes that are allocated and not freed.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

fn live() -> isize {
    LIVE.load(Ordering::SeqCst)
}

fn count(layout: Layout, sign: isize) {
    LIVE.fetch_add(sign * isize::try_from(layout.size()).unwrap_or(0), Ordering::SeqCst);
}

// SAFETY: everything is the system allocator's; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout, -1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const FLOWS: usize = 100;
/// What a flow may have for itself: its state, and no buffer.
const STATE: isize = 12 << 10;

#[test]
fn h61_idle_flows_hold_no_buffers() {
    let _room = Room::enter();
    current_thread().block_on(guarded(async {
        let (mut flows, mut talk) = (Vec::new(), Vec::new());
        for _ in 0..FLOWS {
            let ((feed, source), (sink, catch)) = (pair(Sort::Unix).await, pair(Sort::Unix).await);
            talk.push((feed, catch));
            flows.push(Transfer::new(source, sink).routes(Routes::all()));
        }
        let before = live();
        let mut runs = flows.iter_mut().map(|flow| Box::pin(flow.run())).collect::<Vec<_>>();
        let wakes = Arc::<Wakes>::default();
        for (run, (feed, catch)) in runs.iter_mut().zip(&mut talk) {
            for message in [&b"a message"[..], b"and another"] {
                feed.write_all(message).await.unwrap();
                tokio::task::yield_now().await;
                let mut heard = vec![0; message.len()];
                while poll_once(run.as_mut(), &wakes).is_pending() {
                    match catch {
                        Socket::Unix(catch) if catch.try_read(&mut heard).is_ok() => {
                            break;
                        }
                        _ => tokio::task::yield_now().await,
                    }
                }
                assert_eq!(heard, message);
            }
            for _ in 0..3 {
                assert!(poll_once(run.as_mut(), &wakes).is_pending());
                tokio::task::yield_now().await;
            }
        }
        let each = (live() - before) / isize::try_from(FLOWS).unwrap();
        assert!(each < STATE, "{each} bytes are held by an idle flow");
    }));
}

/// A writer whose flush never comes to an end.
struct Stuck;

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(b.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn flows_that_wait_for_a_flush_at_their_end_hold_no_buffers() {
    let _room = Room::enter();
    current_thread().block_on(guarded(async {
        let before = live();
        let new = || {
            let (source, sink) = (Plain::new(&b"some bytes"[..]), Plain::new(Stuck));
            Transfer::new(source, sink).routes(Routes::all())
        };
        let mut flows = (0..FLOWS).map(|_| new()).collect::<Vec<_>>();
        let mut runs = flows.iter_mut().map(|flow| Box::pin(flow.run())).collect::<Vec<_>>();
        let wakes = Arc::<Wakes>::default();
        for run in &mut runs {
            assert!(poll_once(run.as_mut(), &wakes).is_pending());
        }
        let each = (live() - before) / isize::try_from(FLOWS).unwrap();
        assert!(each < STATE, "{each} bytes are held by a flow that waits for a flush");
    }));
}

#[test]
fn a_flow_that_waits_for_its_rate_holds_no_pipe() {
    in_paused_time(|| async {
        let ((mut feed, source), (sink, mut catch)) =
            (pair(Sort::Unix).await, pair(Sort::Unix).await);
        feed.write_all(&[1; 100_000]).await.unwrap();
        is_readable(&source).await;
        let before = support::pipes();
        let only = Routes::only(Route::Splice);
        let mut transfer = Transfer::new(source, sink).routes(only).rate(100_000);
        let counters = transfer.counters();
        let wakes = Arc::<Wakes>::default();
        let mut run = Box::pin(transfer.run());
        for _ in 0..10 {
            assert!(poll_once(run.as_mut(), &wakes).is_pending());
        }
        assert_eq!((counters.bytes(), counters.route()), (10_000, Some(Route::Splice)));
        fdflow::clear_pool();
        assert_eq!(support::pipes(), before, "a pipe is held while the rate is waited for");
        catch.read_exact(&mut [0; 10_000]).await.unwrap();
    });
}

async fn turns() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn h22_readiness_that_is_no_longer_true_is_given_up_at_either_end() {
    support::on_each_runtime(|| async {
        let woken = Arc::<Wakes>::default();
        let ((mut feed, source), (sink, mut catch)) =
            (pipe::pipe().unwrap(), pipe::pipe().unwrap());
        rustix::pipe::fcntl_setpipe_size(&sink, 4096).unwrap();
        // The runtime takes both for ready, and somebody else has emptied and filled them.
        feed.write_all(b"somebody else's").await.unwrap();
        source.readable().await.unwrap();
        sink.writable().await.unwrap();
        rustix::io::read(&source, &mut [0; 100]).unwrap();
        while rustix::io::write(&sink, &[7; 4096]).is_ok() {}
        let mut transfer = Transfer::new(source, sink).routes(Routes::only(Route::Splice));
        let mut run = Box::pin(transfer.run());
        assert!(poll_once(run.as_mut(), &woken).is_pending());
        turns().await;
        assert_eq!(woken.count(), 0, "woken while the source is empty");
        // With bytes to be had the sink is in the way, for which nothing is to be forgotten.
        feed.write_all(b"the bytes").await.unwrap();
        while woken.count() == 0 {
            tokio::task::yield_now().await;
        }
        let before = woken.count();
        assert!(poll_once(run.as_mut(), &woken).is_pending());
        turns().await;
        assert_eq!(woken.count(), before, "woken while the sink is full");
        catch.read_exact(&mut [0; 4096]).await.unwrap();
        let mut heard = [0; 9];
        tokio::select! {
            ended = run => panic!("{ended:?}"),
            heard = catch.read_exact(&mut heard) => assert_eq!(heard.unwrap(), 9),
        }
        assert_eq!(&heard, b"the bytes");
    });
}
