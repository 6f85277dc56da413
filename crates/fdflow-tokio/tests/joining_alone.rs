//! A fan-out that sinks join: while none is there, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;

use fdflow::{Lag, Route, SinkEnd};
use fdflow_tokio::{Alone, Fanout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::joining::{joins, on_each_runtime_between_sockets, place};
use support::socket::{Sort, narrow, pair, tcp};
use support::{
    Wakes, denied, is_readable, pattern, poll_once, reading, reading_slowly, skipped, until,
};

#[test]
fn what_comes_while_nobody_is_there_is_dropped_and_counted_if_that_is_wanted() {
    on_each_runtime_between_sockets("alone drops", || async {
        let bytes = pattern(900_000, 62);
        let (mut feed, source) = pair(Sort::Tcp).await;
        let mut fanout = Fanout::new(source).alone(Alone::Drop);
        let joiner = fanout.joiner();
        let running = tokio::spawn(async move { fanout.run().await });
        feed.write_all(&bytes[..300_000]).await.unwrap();
        until(|| joiner.dropped() == 300_000).await;
        let (joined, catch) = joins(&joiner, Lag::Block).await;
        until(|| joined.at().is_some()).await;
        feed.write_all(&bytes[300_000..600_000]).await.unwrap();
        until(|| joined.counters().bytes() == 300_000).await;
        joined.leave();
        assert!(matches!(joined.ended().await.end, SinkEnd::Left));
        feed.write_all(&bytes[600_000..]).await.unwrap();
        until(|| joiner.dropped() == 600_000).await;
        drop(feed);
        let report = running.await.unwrap().unwrap();
        assert_eq!((report.taken, report.relayed, report.dropped), (900_000, 900_000, 600_000));
        assert_eq!(place(&joined), 300_000);
        assert!(catch.await.unwrap() == bytes[300_000..600_000]);
    });
}

#[test]
fn nothing_is_taken_while_nobody_is_there_if_that_is_wanted() {
    on_each_runtime_between_sockets("alone waits", || async {
        let bytes = pattern(1_200_000, 63);
        let (mut feed, source) = pair(Sort::Unix).await;
        feed.write_all(&bytes[..100_000]).await.unwrap();
        let mut fanout = Fanout::new(&source).alone(Alone::Wait);
        let (joiner, counters) = (fanout.joiner(), fanout.counters());
        let mut run = pin!(fanout.run());
        let wakes = Arc::<Wakes>::default();
        is_readable(&source).await;
        for _ in 0..50 {
            assert!(poll_once(run.as_mut(), &wakes).is_pending());
            tokio::task::yield_now().await;
        }
        assert_eq!((counters.bytes(), wakes.count()), (0, 0), "it takes, or wakes itself");

        let body = async {
            let (sink, mut catch) = pair(Sort::Unix).await;
            let joined = joiner.join(sink, Lag::Block).unwrap();
            let mut got = vec![0; 50_000];
            catch.read_exact(&mut got).await.unwrap();
            joined.leave();
            let told = joined.ended().await;
            catch.read_to_end(&mut got).await.unwrap();
            assert!(joined.at() == Some(0) && bytes.starts_with(&got));
            assert_eq!(got.len() as u64, told.bytes);
            let feeding = support::writing(feed, bytes[100_000..].to_vec(), 50_000);
            // What the first one was given is its own; the next one gets what follows.
            let (sink, catch) = pair(Sort::Unix).await;
            let next = joiner.join(sink, Lag::Block).unwrap();
            let got = reading(catch).await.unwrap();
            assert_eq!(next.at(), Some(told.bytes + told.unsent));
            assert!(got == bytes[place(&next)..]);
            feeding.await.unwrap();
        };
        let (ended, ()) = tokio::join!(run, body);
        assert_eq!(ended.unwrap().relayed, 1_200_000);
    });
}

#[test]
fn h07_bytes_taken_for_one_who_left_wait_for_the_next_also_after_the_source_has_ended() {
    if fdflow::Pipe::with_capacity(1 << 20).unwrap().capacity().unwrap_or(0) < 1 << 20 {
        return skipped("waits after the end", "large pipes are not granted");
    }
    on_each_runtime_between_sockets("waits after the end", || async {
        // More than a lane's pipe holds and less than two do: teed, it is full of 256 pieces;
        // copied to, of 1 MiB.
        let (length, piece) = match denied().contains(Route::Splice) {
            true => (1_500_000, 50_000),
            false => (40_000, 100),
        };
        let bytes = pattern(length, 64);
        let (feed, source) = pair(Sort::Unix).await;
        let feeding = support::writing(feed, bytes.clone(), piece);
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let (joiner, counters) = (fanout.joiner(), fanout.counters());
        let running = tokio::spawn(async move { fanout.run().await });
        // It takes nothing: what its pipe does not hold stays where it is.
        let (sink, stuck) = pair(Sort::Unix).await;
        narrow(&sink);
        let joined = joiner.join(sink, Lag::Block).unwrap();
        until(|| counters.bytes() == length as u64).await;
        feeding.await.unwrap();
        joined.leave();
        let told = joined.ended().await;
        drop(stuck);
        let (next, catch) = joins(&joiner, Lag::Block).await;
        let got = catch.await.unwrap();
        let at = place(&next);
        assert!(at < length && got == bytes[at..]);
        assert_eq!(at as u64, told.bytes + told.missed + told.unsent);
        assert_eq!(running.await.unwrap().unwrap().relayed, length as u64);
    });
}

#[test]
fn a_fan_out_ends_with_its_last_sink_and_hands_out_what_nobody_got() {
    on_each_runtime_between_sockets("alone ends", || async {
        let bytes = pattern(3_000_000, 65);
        let (feed, mut source) = pair(Sort::Unix).await;
        let feeding = support::writing(feed, bytes.clone(), 100_000);
        let error = {
            let mut fanout = Fanout::new(&source);
            let joiner = fanout.joiner();
            let (sink, mut catch) = pair(Sort::Unix).await;
            // Before the first run: it does not end for want of sinks.
            let joined = joiner.join(sink, Lag::Block).unwrap();
            let leaving = async {
                catch.read_exact(&mut [0; 1000]).await.unwrap();
                joined.leave();
                joined.ended().await
            };
            let (ended, told) = tokio::join!(fanout.run(), leaving);
            let error = ended.unwrap_err();
            assert_eq!(told.bytes + told.unsent, error.report().relayed);
            let (late, _catch) = pair(Sort::Unix).await;
            let late = joiner.join(late, Lag::Block).unwrap_err();
            assert_eq!((late.kind(), joiner.is_over()), (ErrorKind::BrokenPipe, true));
            error
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let mut rest = error.undelivered().to_vec();
        source.read_to_end(&mut rest).await.unwrap();
        feeding.await.unwrap();
        assert!(rest == bytes[usize::try_from(error.report().relayed).unwrap()..]);
    });
}

#[test]
fn it_is_ended_from_outside_as_by_its_source() {
    on_each_runtime_between_sockets("end", || async {
        for alone in [Alone::End, Alone::Drop, Alone::Wait] {
            let bytes = pattern(700_000, 66);
            let (mut feed, mut source) = pair(Sort::Unix).await;
            let (sink, catch) = pair(Sort::Tcp).await;
            let catching = reading_slowly(catch);
            let report = {
                let mut fanout = Fanout::new(&source).alone(alone);
                let (joiner, counters) = (fanout.joiner(), fanout.counters());
                let joined = joiner.join(sink, Lag::Block).unwrap();
                let ending = async {
                    feed.write_all(&bytes).await.unwrap();
                    until(|| counters.bytes() == 700_000).await;
                    joiner.end();
                    joined.ended().await
                };
                let (report, told) = tokio::join!(fanout.run(), ending);
                assert!(matches!(told.end, SinkEnd::Complete) && told.bytes == 700_000);
                report.unwrap()
            };
            assert!(catching.await.unwrap() == bytes);
            assert_eq!((report.taken, report.relayed), (700_000, 700_000));
            // Nothing more was taken.
            feed.write_all(b"for others").await.unwrap();
            drop(feed);
            let mut rest = Vec::new();
            source.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"for others");
        }
    });
}

#[test]
fn one_that_is_alone_and_silent_is_ended_from_outside_too() {
    on_each_runtime_between_sockets("end, alone", || async {
        for alone in [Alone::Drop, Alone::Wait] {
            let (_feed, source) = tcp().await;
            let mut fanout = Fanout::new(source).alone(alone);
            let joiner = fanout.joiner();
            let running = tokio::spawn(async move { fanout.run().await });
            tokio::task::yield_now().await;
            joiner.end();
            assert_eq!(running.await.unwrap().unwrap().relayed, 0);
        }
    });
}
