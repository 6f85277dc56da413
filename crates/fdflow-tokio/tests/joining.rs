//! Sinks that join a fan-out while it runs, and leave it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fdflow::{Lag, SinkEnd};
use fdflow_tokio::{Alone, Fanout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::joining::{joins, on_each_runtime_between_sockets, place};
use support::socket::{Sort, pair, tcp};
use support::{at_most, pattern, pipes, reading, until};

#[test]
fn a_sink_that_joins_midway_gets_the_bytes_from_there_on_and_not_one_before() {
    on_each_runtime_between_sockets("joins midway", || async {
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
    on_each_runtime_between_sockets("come and go", || async {
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
fn h07_a_run_that_is_dropped_goes_on_with_all_who_have_joined_meanwhile() {
    on_each_runtime_between_sockets("dropped runs", || async {
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
        for (joined, catch) in all {
            assert!(matches!(joined.ended().await.end, SinkEnd::Complete));
            assert!(catch.await.unwrap() == bytes[place(&joined)..]);
        }
    });
}

#[test]
fn whoever_waits_for_a_sink_of_a_fan_out_that_is_dropped_is_told() {
    on_each_runtime_between_sockets("dropped", || async {
        let (mut feed, source) = tcp().await;
        let mut fanout = Fanout::new(source).alone(Alone::Wait);
        let joiner = fanout.joiner();
        let (attached, catch) = joins(&joiner, Lag::Block).await;
        feed.write_all(b"a word").await.unwrap();
        let moving = async { until(|| attached.counters().bytes() == 6).await };
        tokio::select! {
            ended = fanout.run() => panic!("{ended:?}"),
            () = moving => {}
        }
        let (queued, nothing) = joins(&joiner, Lag::Block).await;
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
    on_each_runtime_between_sockets("thousands", || async {
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
    on_each_runtime_between_sockets("no pipes", || async {
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
