//! One source to several sinks: every byte to each, whatever fails, lags or is cancelled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Read, Seek};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fdflow::{FanoutError, FanoutReport, Lag, Route, SinkEnd};
use fdflow_tokio::{Fanout, Plain};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::socket::{Sort, narrow, pair, reset, tcp};
use support::{Wakes, is_readable, poll_once, reading_slowly, without_user_space};
use support::{at_most, denied, in_paused_time, on_each_runtime, pattern, reading, writing};

/// The report, or `None` where the environment denies a route that was needed.
fn fanned(ended: Result<FanoutReport, FanoutError>) -> Option<FanoutReport> {
    let lacks_route = |error: &FanoutError| {
        let refused = |end: &SinkEnd| matches!(end, SinkEnd::Failed(error) if error.kind() == ErrorKind::Unsupported);
        error.kind() == ErrorKind::Unsupported
            || error.report().sinks.iter().any(|sink| refused(&sink.end))
    };
    match ended {
        Ok(report) => Some(report),
        Err(error) if !denied().is_empty() && lacks_route(&error) => None,
        Err(error) => panic!("{error}"),
    }
}

fn contents(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_sort_of_sink_gets_every_byte_of_every_sort_of_source() {
    on_each_runtime(|| async {
        for from in [Sort::Tcp, Sort::Unix] {
            let bytes = pattern(3_000_001, 50);
            let (feed, source) = pair(from).await;
            let feeding = writing(feed, bytes.clone(), 70_000);
            let ((tcp, tcp_catch), (unix, unix_catch)) =
                (pair(Sort::Tcp).await, pair(Sort::Unix).await);
            let (pipe, pipe_catch) = tokio::net::unix::pipe::pipe().unwrap();
            let catching = [reading_slowly(tcp_catch), reading(unix_catch), reading(pipe_catch)];
            let (file, mut memory) = (tempfile::tempfile().unwrap(), Plain::new(Vec::new()));
            let mut fanout = Fanout::new(source)
                .sink(tcp, Lag::Block)
                .sink(unix, Lag::Block)
                .sink(pipe, Lag::Block)
                .sink(&file, Lag::Block);
            if !without_user_space() {
                fanout = fanout.sink(&memory, Lag::Block);
            }
            let counters = fanout.counters();
            let ended = fanned(fanout.run().await);
            drop(fanout);
            let Some(report) = ended else {
                feeding.abort();
                continue;
            };
            feeding.await.unwrap();
            for catching in catching {
                assert!(catching.await.unwrap() == bytes, "{from:?}");
            }
            assert!(contents(&file) == bytes);
            assert!(without_user_space() || *memory.get_mut() == bytes);
            assert_eq!(
                (report.taken, report.relayed, counters.bytes()),
                (3_000_001, 3_000_001, 3_000_001)
            );
            assert_eq!(report.refused.is_none(), !denied().contains(Route::Splice));
            assert!(report.sinks.iter().all(|sink| matches!(sink.end, SinkEnd::Complete)));
        }
    });
}

#[test]
fn h07_a_fan_out_that_is_dropped_at_any_await_goes_on_where_it_stopped() {
    on_each_runtime(|| async {
        let bytes = pattern(600_000, 51);
        let (feed, source) = pair(Sort::Tcp).await;
        let feeding = writing(feed, bytes.clone(), 30_000);
        let ((first, first_catch), (second, second_catch)) =
            (pair(Sort::Tcp).await, pair(Sort::Unix).await);
        narrow(&second);
        let catching = [reading(first_catch), reading_slowly(second_catch)];
        let mut fanout = Fanout::new(source).sink(first, Lag::Block).sink(second, Lag::Block);
        let mut polls = 0;
        let ended = loop {
            polls = polls % 3 + 1;
            if let Some(ended) = at_most(polls, fanout.run()).await {
                break ended;
            }
            tokio::task::yield_now().await;
        };
        if fanned(ended).is_none() {
            return feeding.abort();
        }
        feeding.await.unwrap();
        for catching in catching {
            assert!(catching.await.unwrap() == bytes);
        }
    });
}

#[test]
fn a_client_that_goes_away_does_not_stop_the_recording() {
    on_each_runtime(|| async {
        let bytes = pattern(9_000_000, 52);
        let ((feed, source), (sink, mut client)) = (tcp().await, tcp().await);
        let feeding = writing(feed, bytes.clone(), 1 << 20);
        let leaving = tokio::spawn(async move {
            // Fewer where nothing comes at all, by want of a route.
            let _head = client.read(&mut [0; 1000]).await.is_ok();
            reset(client);
        });
        let recording = tempfile::tempfile().unwrap();
        let mut fanout = Fanout::new(source).sink(&recording, Lag::Block).sink(sink, Lag::Block);
        let ended = fanned(fanout.run().await);
        drop(fanout);
        leaving.await.unwrap();
        let Some(report) = ended else { return feeding.abort() };
        feeding.await.unwrap();
        assert!(contents(&recording) == bytes);
        assert!(matches!(report.sinks[1].end, SinkEnd::Failed(_)), "{report}");
    });
}

#[test]
fn a_client_that_lags_is_detached_or_misses_bytes_and_nobody_waits_for_it() {
    on_each_runtime(|| async {
        let bytes = pattern(5_000_000, 53);
        for lag in [Lag::DetachBeyond(100_000), Lag::DropBeyond(100_000)] {
            let (feed, source) = pair(Sort::Unix).await;
            let feeding = writing(feed, bytes.clone(), 1 << 20);
            // Nobody reads from it.
            let (sink, stuck) = pair(Sort::Unix).await;
            let recording = tempfile::tempfile().unwrap();
            let mut fanout = Fanout::new(source)
                .sink(&recording, Lag::Block)
                .sink(&sink, lag)
                .linger(Duration::from_millis(10));
            let ended = fanned(fanout.run().await);
            let Some(report) = ended else {
                feeding.abort();
                continue;
            };
            feeding.await.unwrap();
            assert!(contents(&recording) == bytes);
            let slow = &report.sinks[1];
            let (end, misses) = (&slow.end, slow.missed > 0);
            match lag {
                Lag::DropBeyond(_) => {
                    assert!(misses && matches!(end, SinkEnd::TooSlow), "{report}")
                }
                _ => assert!(matches!(end, SinkEnd::TooFarBehind), "{report}"),
            }
            drop(stuck);
        }
    });
}

#[test]
fn a_client_that_holds_the_others_up_for_too_long_is_detached() {
    in_paused_time(|| async {
        let bytes = pattern(5_000_000, 54);
        let (feed, source) = pair(Sort::Unix).await;
        let feeding = writing(feed, bytes.clone(), 1 << 20);
        let (sink, _stuck) = pair(Sort::Unix).await;
        let recording = tempfile::tempfile().unwrap();
        let start = tokio::time::Instant::now();
        let mut fanout = Fanout::new(source)
            .sink(&recording, Lag::Block)
            .sink(sink, Lag::DetachAfter(Duration::from_secs(30)));
        let Some(report) = fanned(fanout.run().await) else { return feeding.abort() };
        feeding.await.unwrap();
        assert!(contents(&recording) == bytes);
        assert!(matches!(report.sinks[1].end, SinkEnd::TooSlow), "{report}");
        assert_eq!(start.elapsed().as_secs(), 30);
    });
}

#[test]
fn a_limit_is_kept_to_the_byte_and_the_rest_stays_in_the_source() {
    on_each_runtime(|| async {
        let bytes = pattern(200_000, 55);
        for limit in [0, 1, 100_000] {
            let (feed, mut source) = pair(Sort::Tcp).await;
            let feeding = writing(feed, bytes.clone(), 200_000);
            let file = tempfile::tempfile().unwrap();
            let ended = {
                let mut fanout = Fanout::new(&source).sink(&file, Lag::Block).limit(limit);
                fanned(fanout.run().await)
            };
            if ended.is_none() {
                feeding.abort();
                continue;
            }
            let at = usize::try_from(limit).unwrap();
            assert!(contents(&file) == bytes[..at]);
            let mut rest = Vec::new();
            source.read_to_end(&mut rest).await.unwrap();
            assert!(rest == bytes[at..], "{limit}");
        }
    });
}

#[test]
fn an_error_of_the_source_comes_after_what_it_had_given() {
    on_each_runtime(|| async {
        let bytes = pattern(50_000, 56);
        let (mut feed, source) = tcp().await;
        let file = tempfile::tempfile().unwrap();
        let mut fanout = Fanout::new(source).sink(&file, Lag::Block);
        let counters = fanout.counters();
        feed.write_all(&bytes).await.unwrap();
        let run = fanout.run();
        let breaking = async {
            while counters.bytes() < 50_000 {
                tokio::task::yield_now().await;
            }
            reset(feed);
        };
        let (ended, ()) = tokio::join!(run, breaking);
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!((error.report().taken, error.report().relayed), (50_000, 50_000));
        assert!(error.undelivered().is_empty() && contents(&file) == bytes);
    });
}

/// Whether it comes to rest: a poll that leaves no wake behind, nor does anybody after it.
async fn rests<F: Future>(mut run: Pin<&mut F>, wakes: &Arc<Wakes>) -> bool {
    for _ in 0..200 {
        let before = wakes.count();
        assert!(poll_once(run.as_mut(), wakes).is_pending());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if wakes.count() == before {
            return true;
        }
    }
    false
}

#[test]
fn h22_a_fan_out_that_is_idle_or_held_up_is_not_polled_again() {
    on_each_runtime(|| async {
        if !denied().is_empty() {
            return;
        }
        let ((mut feed, source), (sink, mut catch)) =
            (pair(Sort::Tcp).await, pair(Sort::Unix).await);
        let (full, mut full_catch) = pair(Sort::Tcp).await;
        let mut fanout = Fanout::new(source).sink(sink, Lag::Block).sink(full, Lag::Block);
        let mut run = Box::pin(fanout.run());
        let wakes = Arc::<Wakes>::default();
        assert!(rests(run.as_mut(), &wakes).await, "before the first byte");
        for _ in 0..5 {
            feed.write_all(&[1; 30_000]).await.unwrap();
            let mut heard = vec![0; 30_000];
            let moving = std::future::poll_fn(|cx| run.as_mut().poll(cx));
            let hearing = async {
                catch.read_exact(&mut heard).await.unwrap();
                full_catch.read_exact(&mut vec![0; 30_000]).await.unwrap();
            };
            tokio::select! {
                _ = moving => panic!("it has not ended"),
                () = hearing => {}
            }
        }
        assert!(rests(run.as_mut(), &wakes).await, "idle");
        // One sink takes nothing more: in the end nobody does, and the feed stands still.
        let stuffing = async {
            let mut fruitless = 0;
            while fruitless < 500 {
                tokio::select! {
                    biased;
                    written = feed.write(&[2; 65_536]) => fruitless = written.map_or(500, |_| 0),
                    () = tokio::task::yield_now() => fruitless += 1,
                }
            }
        };
        let moving = std::future::poll_fn(|cx| run.as_mut().poll(cx));
        let hearing = async {
            let mut block = vec![0; 65_536];
            loop {
                assert!(catch.read(&mut block).await.unwrap() > 0);
            }
        };
        tokio::select! {
            _ = moving => panic!("it has not ended"),
            () = hearing => unreachable!("it never ends"),
            () = stuffing => {}
        }
        assert!(rests(run.as_mut(), &wakes).await, "held up");
    });
}

#[test]
fn a_fan_out_to_nobody_takes_nothing_nor_does_a_second_run() {
    on_each_runtime(|| async {
        let (mut feed, mut source) = pair(Sort::Unix).await;
        feed.write_all(b"to be kept").await.unwrap();
        is_readable(&source).await;
        let error = Fanout::new(&source).run().await.unwrap_err();
        assert_eq!((error.kind(), error.report().taken), (ErrorKind::BrokenPipe, 0));
        let file = tempfile::tempfile().unwrap();
        {
            let mut fanout = Fanout::new(&source).sink(&file, Lag::Block).limit(5);
            if fanned(fanout.run().await).is_none() {
                return;
            }
            assert_eq!(fanout.run().await.unwrap_err().report().taken, 0);
        }
        drop(feed);
        let mut rest = Vec::new();
        source.read_to_end(&mut rest).await.unwrap();
        assert_eq!((&contents(&file)[..], &rest[..]), (&b"to be"[..], &b" kept"[..]));
    });
}

#[test]
fn h07_when_no_sink_is_left_what_was_taken_and_not_relayed_is_handed_out() {
    on_each_runtime(|| async {
        let bytes = pattern(2_000_000, 57);
        let ((feed, mut source), (sink, mut catch)) =
            (pair(Sort::Unix).await, pair(Sort::Unix).await);
        let feeding = writing(feed, bytes.clone(), 100_000);
        let leaving = tokio::spawn(async move {
            let mut head = vec![0; 1000];
            catch.read_exact(&mut head).await.map(|_| head)
        });
        let ended = Fanout::new(&source).sink(sink, Lag::Block).run().await;
        let error = ended.unwrap_err();
        if error.kind() != ErrorKind::BrokenPipe {
            return feeding.abort();
        }
        let report = error.report();
        assert_eq!(report.taken, report.relayed + error.undelivered().len() as u64);
        let lane = &report.sinks[0];
        if let Ok(head) = leaving.await.unwrap() {
            assert!(head == bytes[..1000] && lane.bytes >= 1000);
            assert_eq!(lane.bytes + lane.unsent, report.relayed, "{report}");
        }
        let from = usize::try_from(report.relayed).unwrap();
        let mut rest = error.undelivered().to_vec();
        source.read_to_end(&mut rest).await.unwrap();
        feeding.await.unwrap();
        assert!(rest == bytes[from..]);
    });
}

#[test]
fn a_poll_of_a_fan_out_moves_a_bounded_part_of_a_file() {
    const LENGTH: u64 = 64 << 20;
    on_each_runtime(|| async {
        let source = tempfile::tempfile().unwrap();
        source.set_len(LENGTH).unwrap();
        let sinks = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let mut fanout =
            Fanout::new(&source).sink(&sinks[0], Lag::Block).sink(&sinks[1], Lag::Block);
        let counters = fanout.counters();
        let mut before = 0;
        let ended = loop {
            if let Some(ended) = at_most(1, fanout.run()).await {
                break ended;
            }
            let n = counters.bytes() - before;
            assert!(n <= 8 << 20, "{n} bytes in one poll");
            before += n;
        };
        if let Some(report) = fanned(ended) {
            assert!(report.relayed == LENGTH && contents(&sinks[1]) == contents(&source));
        }
    });
}

#[test]
fn a_fan_out_can_be_a_task_of_its_own() {
    on_each_runtime(|| async {
        let ((mut feed, source), (sink, catch)) = (tcp().await, tcp().await);
        let mut fanout = Fanout::new(source).sink(sink, Lag::Block);
        let running = tokio::spawn(async move { fanout.run().await });
        feed.write_all(b"from task to task").await.unwrap();
        drop(feed);
        let arrived = reading(catch).await.unwrap();
        assert!(fanned(running.await.unwrap()).is_none() || arrived == b"from task to task");
    });
}
