//! Sinks that join a fan-out while it runs, and leave it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fdflow::{Lag, Route, SinkEnd};
use fdflow_tokio::{Alone, Fanout, Joined, Joiner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use support::socket::{Sort, narrow, pair, tcp};
use support::{Wakes, at_most, denied, pattern, pipes, poll_once, reading, reading_slowly};
use support::{is_readable, on_each_runtime, skipped, until, without_user_space};

/// A sink that joins, and a task that reads all that it gets.
async fn joins(joiner: &Joiner<'static>, lag: Lag) -> (Joined, JoinHandle<Vec<u8>>) {
    let (sink, catch) = pair(Sort::Tcp).await;
    (joiner.join(sink, lag).unwrap(), reading(catch))
}

fn place(joined: &Joined) -> usize {
    usize::try_from(joined.at().unwrap()).unwrap()
}

/// Runs `test` on each runtime, where the environment leaves routes for it.
fn on_runtimes<F: Future<Output = ()>>(name: &str, test: impl Fn() -> F) {
    if without_user_space() {
        return skipped(name, "between sockets nothing goes without user space");
    }
    on_each_runtime(test);
}

#[test]
fn a_sink_that_joins_midway_gets_the_bytes_from_there_on_and_not_one_before() {
    on_runtimes("joins midway", || async {
        for sort in [Sort::Tcp, Sort::Unix] {
            let bytes = pattern(2_000_003, 60);
            let (mut feed, source) = pair(sort).await;
            let (first, first_catch) = pair(Sort::Tcp).await;
            let mut fanout = Fanout::new(source).sink(first, Lag::Block);
            let joiner = fanout.joiner();
            let running = tokio::spawn(async move { fanout.run().await });
            let catching = reading(first_catch);
            feed.write_all(&bytes[..500_000]).await.unwrap();
            until(|| joiner.relayed() > 300_000).await;
            let (joined, joined_catch) = joins(&joiner, Lag::Block).await;
            feed.write_all(&bytes[500_000..]).await.unwrap();
            drop(feed);
            let (report, told) = (running.await.unwrap().unwrap(), joined.ended().await);
            let at = place(&joined);
            assert!((300_001..=500_000).contains(&at), "{at}");
            assert!(catching.await.unwrap() == bytes && joined_catch.await.unwrap() == bytes[at..]);
            let rest = (bytes.len() - at) as u64;
            assert_eq!((told.bytes, told.missed, told.unsent), (rest, 0, 0));
            assert_eq!((joined.counters().bytes(), joined.behind(), joined.gaps()), (rest, 0, 0));
            assert!(told.gaps.is_empty() && matches!(told.end, SinkEnd::Complete));
            assert_eq!((report.sinks.len(), report.relayed), (1, 2_000_003));
        }
    });
}

#[test]
fn sinks_that_come_and_go_all_the_time_each_get_a_piece_without_a_gap() {
    on_runtimes("come and go", || async {
        let bytes = Arc::new(pattern(24_000_000, 61));
        let (feed, source) = pair(Sort::Unix).await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let joiner = fanout.joiner();
        let running = tokio::spawn(async move { fanout.run().await });
        let visitors = (0..64_usize).map(|nth| {
            let (joiner, bytes) = (joiner.clone(), Arc::clone(&bytes));
            tokio::spawn(async move {
                until(|| joiner.relayed() >= nth as u64 * 200_000).await;
                let sort = if nth % 2 == 0 { Sort::Tcp } else { Sort::Unix };
                let (sink, mut catch) = pair(sort).await;
                let joined = joiner.join(sink, Lag::Block).unwrap();
                let stays = nth % 4 != 3;
                let mut got = vec![0; if stays { 10_000 * (nth + 1) } else { 1 }];
                catch.read_exact(&mut got).await.unwrap();
                if nth % 3 > 0 {
                    joined.leave();
                }
                catch.read_to_end(&mut got).await.unwrap();
                let (told, at) = (joined.ended().await, place(&joined));
                assert!(bytes[at..].starts_with(&got), "{nth}: other bytes from {at} on");
                assert_eq!((told.bytes, told.missed), (got.len() as u64, 0), "{nth}");
                match told.end {
                    SinkEnd::Left => assert!(nth % 3 > 0),
                    SinkEnd::Complete => assert_eq!(at + got.len(), bytes.len()),
                    end => panic!("{end}"),
                }
            })
        });
        let visitors = visitors.collect::<Vec<_>>();
        let feeding = support::writing(feed, bytes.to_vec(), 100_000);
        for visitor in visitors {
            visitor.await.unwrap();
        }
        feeding.await.unwrap();
        assert_eq!(running.await.unwrap().unwrap().relayed, 24_000_000);
    });
}

#[test]
fn what_comes_while_nobody_is_there_is_dropped_and_counted_if_that_is_wanted() {
    on_runtimes("alone drops", || async {
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
    on_runtimes("alone waits", || async {
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
    on_runtimes("waits after the end", || async {
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
    on_runtimes("alone ends", || async {
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
    on_runtimes("end", || async {
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
    on_runtimes("end, alone", || async {
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

#[test]
fn h07_a_run_that_is_dropped_goes_on_with_all_who_have_joined_meanwhile() {
    on_runtimes("dropped runs", || async {
        let bytes = pattern(1_600_000, 67);
        let (feed, source) = pair(Sort::Tcp).await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let joiner = fanout.joiner();
        let there = Arc::new(AtomicUsize::new(1));
        let expected = Arc::clone(&there);
        let pieces = bytes.chunks(200_000).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let feeding = tokio::spawn(async move {
            let mut feed = feed;
            for (nth, piece) in pieces.iter().enumerate() {
                until(|| expected.load(Ordering::Relaxed) > nth).await;
                feed.write_all(piece).await.unwrap();
            }
        });
        let mut all = vec![joins(&joiner, Lag::Block).await];
        let mut polls = 0;
        let ended = loop {
            polls = polls % 3 + 1;
            let next = 200_000 * all.len() as u64 - 100_000;
            tokio::select! {
                biased;
                ended = at_most(polls, fanout.run()) => if let Some(ended) = ended { break ended },
                () = until(|| all.len() < 8 && joiner.relayed() > next) => {
                    all.push(joins(&joiner, Lag::Block).await);
                    there.store(all.len(), Ordering::Relaxed);
                }
            }
            tokio::task::yield_now().await;
        };
        feeding.await.unwrap();
        assert_eq!(ended.unwrap().relayed, 1_600_000);
        assert_eq!(all.len(), 8);
        for (mut joined, catch) in all {
            assert!(matches!(joined.ended().await.end, SinkEnd::Complete));
            assert!(catch.await.unwrap() == bytes[place(&joined)..]);
        }
    });
}

#[test]
fn whoever_waits_for_a_sink_of_a_fan_out_that_is_dropped_is_told() {
    on_runtimes("dropped", || async {
        let (mut feed, source) = tcp().await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let joiner = fanout.joiner();
        let (mut attached, catch) = joins(&joiner, Lag::Block).await;
        feed.write_all(b"a word").await.unwrap();
        let moving = async { until(|| attached.counters().bytes() == 6).await };
        tokio::select! {
            ended = fanout.run() => panic!("{ended:?}"),
            () = moving => {}
        }
        let (mut queued, nothing) = joins(&joiner, Lag::Block).await;
        drop(fanout);
        let (first, second) = (attached.ended().await, queued.ended().await);
        assert!(matches!((&first.end, &second.end), (SinkEnd::Cancelled, SinkEnd::Cancelled)));
        assert_eq!((first.bytes, second.bytes, queued.at()), (6, 0, None));
        assert_eq!(
            (&catch.await.unwrap()[..], &nothing.await.unwrap()[..]),
            (&b"a word"[..], &b""[..])
        );
        assert!(joiner.is_over());
    });
}

#[test]
fn h60_thousands_who_come_and_go_leave_nothing_behind() {
    on_runtimes("thousands", || async {
        let (mut feed, source) = tcp().await;
        let mut fanout = Fanout::new(source).alone(Alone::Drop);
        let joiner = fanout.joiner();
        let running = tokio::spawn(async move { fanout.run().await });
        feed.write_all(b"x").await.unwrap();
        until(|| joiner.relayed() == 1).await;
        let before = pipes();
        for nth in 0..1000 {
            let (sink, catch) = pair(Sort::Unix).await;
            let joined = joiner.join(sink, Lag::DropBeyond(1000)).unwrap();
            if nth % 2 == 0 {
                // The other end hangs up: the first byte tells.
                drop(catch);
                feed.write_all(b"x").await.unwrap();
                until(|| joined.at().is_some()).await;
                feed.write_all(b"x").await.unwrap();
            }
            joined.leave();
            joined.ended().await;
        }
        assert_eq!(pipes(), before);
        joiner.end();
        running.await.unwrap().unwrap();
    });
}

#[test]
fn a_sink_without_a_pipe_to_be_had_is_refused_and_nothing_else_happens() {
    on_runtimes("no pipes", || async {
        let bytes = pattern(300_000, 68);
        let (mut feed, source) = tcp().await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let joiner = fanout.joiner();
        let running = tokio::spawn(async move { fanout.run().await });
        let (first, first_catch) = joins(&joiner, Lag::Block).await;
        feed.write_all(&bytes[..100_000]).await.unwrap();
        until(|| first.counters().bytes() == 100_000).await;
        let (sink, catch) = pair(Sort::Unix).await;
        let refused = support::without_descriptors(|| joiner.join(sink, Lag::Block).unwrap_err());
        assert_eq!(
            refused.to_string().split(':').next(),
            Some("no pipe for one more sink of the fan-out, two descriptors")
        );
        drop(catch);
        let (second, second_catch) = joins(&joiner, Lag::Block).await;
        until(|| second.at().is_some()).await;
        feed.write_all(&bytes[100_000..]).await.unwrap();
        drop(feed);
        running.await.unwrap().unwrap();
        assert!(
            first_catch.await.unwrap() == bytes && second_catch.await.unwrap() == bytes[100_000..]
        );
    });
}
