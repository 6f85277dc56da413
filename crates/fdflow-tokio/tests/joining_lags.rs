//! Sinks that have joined a fan-out and fail, stand still or hold the others up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fdflow::{Lag, Route, SinkEnd, SinkReport};
use fdflow_tokio::{Alone, Fanout, Joined, Joiner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::joining::{joins, on_each_runtime_between_sockets};
use support::socket::{Socket, Sort, narrow, pair, reset, tcp};
use support::{Wakes, denied, in_paused_time, pattern, poll_once, reading};
use support::{skipped, until, without_user_space, writing};

/// A sink that joins, and that nobody reads from.
async fn joins_stuck(joiner: &Joiner<'static>, lag: Lag) -> (Joined, Socket) {
    let (sink, stuck) = pair(Sort::Unix).await;
    narrow(&sink);
    (joiner.join(sink, lag).unwrap(), stuck)
}

/// Bytes, missed ones and unsent ones.
fn sum(told: &SinkReport) -> u64 {
    told.bytes + told.missed + told.unsent
}

#[test]
fn a_sink_that_fails_is_told_of_and_the_others_get_everything() {
    on_each_runtime_between_sockets("fails", || async {
        let bytes = pattern(6_000_000, 70);
        let (feed, source) = pair(Sort::Tcp).await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let joiner = fanout.joiner();
        let (good, good_catch) = joins(&joiner, Lag::Block).await;
        let (sink, mut catch) = tcp().await;
        let bad = joiner.join(sink, Lag::Block).unwrap();
        let folder = std::fs::File::open("/").unwrap();
        let unfit = joiner.join(folder, Lag::Block).unwrap();
        let running = tokio::spawn(async move { fanout.run().await });
        let feeding = writing(feed, bytes.clone(), 500_000);
        catch.read_exact(&mut [0; 1000]).await.unwrap();
        reset(catch);
        let (bad, unfit) = (bad.ended().await, unfit.ended().await);
        assert!(matches!(&bad.end, SinkEnd::Failed(_)), "{}", bad.end);
        let SinkEnd::Failed(error) = &unfit.end else { panic!("{}", unfit.end) };
        assert_eq!((error.kind(), unfit.bytes), (std::io::ErrorKind::InvalidInput, 0), "{error}");
        feeding.await.unwrap();
        assert_eq!(running.await.unwrap().unwrap().relayed, 6_000_000);
        assert!(sum(&bad) <= 6_000_000 && bad.missed == 0);
        assert!(good_catch.await.unwrap() == bytes);
        assert_eq!(sum(&good.ended().await), 6_000_000);
    });
}

#[test]
fn a_sink_that_stands_still_misses_bytes_and_the_account_of_them_is_whole() {
    on_each_runtime_between_sockets("drop beyond", || async {
        let bytes = pattern(5_000_000, 71);
        let (feed, source) = pair(Sort::Unix).await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait).linger(Duration::from_millis(10));
        let joiner = fanout.joiner();
        let (_good, good_catch) = joins(&joiner, Lag::Block).await;
        let (slow, mut slow_catch) = joins_stuck(&joiner, Lag::DropBeyond(100_000)).await;
        let running = tokio::spawn(async move { fanout.run().await });
        let mut feeding = writing_on(feed, bytes[..2_500_000].to_vec()).await;
        until(|| joiner.relayed() == 2_500_000).await;
        let (missed, behind) = (slow.missed(), slow.behind());
        assert!(missed > 2_000_000 && behind <= 100_000 && slow.gaps() > 0);
        assert_eq!(slow.counters().bytes() + missed + behind, 2_500_000);
        // It takes what it was given; what is relayed from then on is for it again.
        let taken = slow.counters().bytes();
        let mut got = Vec::new();
        while slow.behind() > 0 {
            slow_catch.read_buf(&mut got).await.unwrap();
        }
        assert!(slow.counters().bytes() == taken + behind);
        feeding.write_all(&bytes[2_500_000..]).await.unwrap();
        drop(feeding);
        running.await.unwrap().unwrap();
        assert!(good_catch.await.unwrap() == bytes);
        let told = slow.ended().await;
        assert_eq!((sum(&told), told.missed), (5_000_000, slow.missed()));
        assert_eq!(told.gaps.len() as u64, slow.gaps());
        slow_catch.read_to_end(&mut got).await.unwrap();
        let mut expected = bytes.clone();
        for gap in told.gaps.iter().rev() {
            let at = usize::try_from(gap.at).unwrap();
            expected.drain(at..at + usize::try_from(gap.bytes).unwrap());
        }
        assert!(expected.starts_with(&got) && got.len() as u64 == told.bytes);
    });
}

async fn writing_on(mut feed: Socket, bytes: Vec<u8>) -> Socket {
    feed.write_all(&bytes).await.unwrap();
    feed
}

#[test]
fn a_sink_that_takes_everything_at_once_does_not_lag_however_much_comes() {
    on_each_runtime_between_sockets("does not lag", || async {
        let bytes = pattern(9_000_000, 76);
        let source = tempfile::tempfile().unwrap();
        std::fs::write(proc_path(&source), &bytes).unwrap();
        let sinks = [(); 3].map(|()| tempfile::tempfile().unwrap());
        let mut fanout = Fanout::new(&source);
        let joiner = fanout.joiner();
        let lags = [Lag::Block, Lag::DropBeyond(200_000), Lag::DetachBeyond(200_000)];
        let all = sinks.iter().zip(lags).map(|(sink, lag)| joiner.join(sink, lag).unwrap());
        let all = all.collect::<Vec<_>>();
        fanout.run().await.unwrap();
        for (joined, sink) in all.into_iter().zip(&sinks) {
            let told = joined.ended().await;
            assert_eq!((told.bytes, told.missed), (9_000_000, 0), "{}", told.end);
            assert!(std::fs::read(proc_path(sink)).unwrap() == bytes);
        }
    });
}

#[test]
fn a_sink_that_stands_still_is_detached_and_the_others_get_everything() {
    if without_user_space() {
        return skipped("detached", "between sockets nothing goes without user space");
    }
    in_paused_time(|| async {
        let bytes = pattern(9_000_000, 72);
        for lag in [Lag::DetachBeyond(100_000), Lag::DetachAfter(Duration::from_secs(30))] {
            let (feed, source) = pair(Sort::Unix).await;
            let feeding = writing(feed, bytes.clone(), 1 << 20);
            let recording = tempfile::tempfile().unwrap();
            let start = tokio::time::Instant::now();
            let mut fanout = Fanout::new(source).sink(&recording, Lag::Block);
            let joiner = fanout.joiner();
            let (sink, stuck) = pair(Sort::Unix).await;
            narrow(&sink);
            let slow = joiner.join(sink, lag).unwrap();
            let (ended, told) = tokio::join!(fanout.run(), slow.ended());
            feeding.await.unwrap();
            assert_eq!(ended.unwrap().relayed, 9_000_000);
            assert_eq!(std::fs::metadata(proc_path(&recording)).unwrap().len(), 9_000_000);
            assert!(told.missed == 0 && told.bytes + told.unsent < 9_000_000);
            match lag {
                Lag::DetachAfter(_) => assert!(matches!(told.end, SinkEnd::TooSlow)),
                _ => assert!(matches!(told.end, SinkEnd::TooFarBehind)),
            }
            let waited = if lag == Lag::DetachBeyond(100_000) { 0 } else { 30 };
            assert_eq!(start.elapsed().as_secs(), waited);
            drop(stuck);
        }
    });
}

fn proc_path(file: &std::fs::File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[test]
fn one_that_everybody_waits_for_holds_all_up_until_it_moves_again() {
    on_each_runtime_between_sockets("block", || async {
        let bytes = pattern(20_000_000, 73);
        let (feed, source) = pair(Sort::Tcp).await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let joiner = fanout.joiner();
        let (_free, free_catch) = joins(&joiner, Lag::Block).await;
        let (slow, stuck) = joins_stuck(&joiner, Lag::Block).await;
        let running = tokio::spawn(async move { fanout.run().await });
        let feeding = writing(feed, bytes.clone(), 1 << 20);
        until(|| slow.behind() > 0).await;
        let mut still = 0;
        let mut before = joiner.relayed();
        while still < 300 {
            tokio::task::yield_now().await;
            still = if before == joiner.relayed() { still + 1 } else { 0 };
            before = joiner.relayed();
        }
        // One who comes now gets what is at the head, and no more until the other moves.
        let (late, late_catch) = joins(&joiner, Lag::Block).await;
        let slow_catch = reading(stuck);
        feeding.await.unwrap();
        assert_eq!(running.await.unwrap().unwrap().relayed, 20_000_000);
        assert!(matches!(slow.ended().await.end, SinkEnd::Complete));
        assert!(free_catch.await.unwrap() == bytes && slow_catch.await.unwrap() == bytes);
        let at = usize::try_from(late.at().unwrap()).unwrap();
        assert!(late_catch.await.unwrap() == bytes[at..]);
    });
}

#[test]
fn one_that_is_looked_at_in_vain_again_and_again_keeps_its_route() {
    on_each_runtime_between_sockets("keeps its route", || async {
        if !denied().is_empty() {
            return skipped("keeps its route", "the environment denies it");
        }
        let bytes = pattern(1_000_000, 75);
        let (mut feed, source) = pair(Sort::Tcp).await;
        let mut fanout = Fanout::new(source);
        let joiner = fanout.joiner();
        let (joined, catch) = joins(&joiner, Lag::Block).await;
        let mut run = pin!(fanout.run());
        feed.write_all(&bytes[..1000]).await.unwrap();
        let moving = std::future::poll_fn(|cx| run.as_mut().poll(cx));
        tokio::select! {
            ended = moving => panic!("{ended:?}"),
            () = until(|| joined.counters().bytes() == 1000) => {}
        }
        let wakes = Arc::<Wakes>::default();
        for _ in 0..200 {
            assert!(poll_once(run.as_mut(), &wakes).is_pending());
        }
        let feeding = writing(feed, bytes[1000..].to_vec(), 200_000);
        run.await.unwrap();
        feeding.await.unwrap();
        let told = joined.ended().await;
        assert!(catch.await.unwrap() == bytes);
        assert_eq!(told.report.bytes_by(Route::Splice), 1_000_000, "{}", told.report);
    });
}

#[test]
fn from_the_end_on_one_that_everybody_waits_for_can_be_let_go() {
    if without_user_space() {
        return skipped("let go", "between sockets nothing goes without user space");
    }
    in_paused_time(|| async {
        // So few that all are in its pipe, and so many that the hub has some of them left.
        for length in [100_000, 20_000_000] {
            let bytes = pattern(length, 74);
            let (feed, source) = pair(Sort::Unix).await;
            let mut fanout = Fanout::new(source).linger_for_blocking(Duration::from_secs(7));
            let (joiner, counters) = (fanout.joiner(), fanout.counters());
            let (slow, stuck) = joins_stuck(&joiner, Lag::Block).await;
            // Not over TCP, which may need time to pass.
            let (sink, catch) = pair(Sort::Unix).await;
            let (_good, good_catch) = (joiner.join(sink, Lag::Block).unwrap(), reading(catch));
            let feeding = tokio::spawn(async move {
                let mut feed = feed;
                // Not all of the many are taken: this is given up with the test.
                let _taken = feed.write_all(&bytes).await.is_ok();
                std::future::pending::<()>().await;
            });
            let running = tokio::spawn(async move { fanout.run().await });
            until(|| counters.bytes() >= 100_000 && slow.behind() > 0).await;
            let mut still = 0;
            while still < 300 {
                let before = counters.bytes();
                tokio::task::yield_now().await;
                still = if before == counters.bytes() { still + 1 } else { 0 };
            }
            // Held up for long, it is let go only when it has been for long after the end.
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert!(!running.is_finished());
            let start = tokio::time::Instant::now();
            joiner.end();
            let told = slow.ended().await;
            assert!(matches!(told.end, SinkEnd::TooSlow) && told.unsent > 0, "{}", told.end);
            assert_eq!(start.elapsed().as_secs(), 7);
            let report = running.await.unwrap().unwrap();
            assert_eq!((report.relayed, report.taken), (counters.bytes(), counters.bytes()));
            let got = good_catch.await.unwrap();
            assert!(pattern(length, 74).starts_with(&got) && got.len() as u64 == report.relayed);
            feeding.abort();
            drop(stuck);
        }
    });
}
