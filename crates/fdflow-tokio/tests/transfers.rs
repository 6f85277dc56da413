//! One direction: pairs, sizes, limits, cancelling, readiness.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use fdflow::{Route, Routes, Side};
use fdflow_tokio::{Plain, Transfer, copy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use support::socket::{PAIRS, Sort, narrow, pair, reset, tcp, tcp_of_segments};
use support::{
    Wakes, at_most, denied, in_paused_time, moved, on_each_runtime, pattern, poll_once, reading,
    reading_slowly, without_user_space, writing,
};

#[test]
fn every_pair_is_copied_to_its_end_at_every_size() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            for size in [0, 1, 4095, 65_537, 3_000_001] {
                let (feed, mut source) = pair(from).await;
                let (mut sink, catch) = pair(to).await;
                let bytes = pattern(size, size as u64);
                let feeding = writing(feed, bytes.clone(), 1 << 20);
                let catching = reading(catch);
                let Some(report) = moved(copy(&mut source, &mut sink).await) else {
                    feeding.abort();
                    continue;
                };
                drop(sink);
                feeding.await.unwrap();
                assert!(catching.await.unwrap() == bytes, "{from:?} -> {to:?}, {size}");
                assert_eq!(report.bytes(), size as u64);
            }
        }
    });
}

#[test]
fn h04_a_limit_is_kept_and_the_rest_stays_in_the_source() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            for limit in [0, 1, 5000, 100_000] {
                let (feed, mut source) = pair(from).await;
                let (sink, catch) = pair(to).await;
                let bytes = pattern(200_000, 4);
                let feeding = writing(feed, bytes.clone(), 200_000);
                let catching = reading(catch);
                let result = Transfer::new(&source, sink).limit(limit).run().await;
                if moved(result).is_none() {
                    feeding.abort();
                    continue;
                }
                let at = usize::try_from(limit).unwrap();
                assert!(catching.await.unwrap() == bytes[..at], "{from:?} -> {to:?}");
                let mut rest = Vec::new();
                source.read_to_end(&mut rest).await.unwrap();
                assert!(rest == bytes[at..], "{from:?} -> {to:?}, {limit}");
            }
        }
    });
}

#[test]
fn h07_dropping_the_future_at_any_await_loses_nothing() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            for routes in [Routes::all(), Routes::only(Route::ReadWrite)] {
                let (feed, source) = pair(from).await;
                let (sink, catch) = pair(to).await;
                narrow(&sink);
                let bytes = pattern(400_000, 7);
                let feeding = writing(feed, bytes.clone(), 30_000);
                let catching = reading_slowly(catch);
                let mut transfer = Transfer::new(source, sink).routes(routes);
                let mut polls = 0;
                let report = loop {
                    polls = polls % 3 + 1;
                    if let Some(ended) = at_most(polls, transfer.run()).await {
                        break ended.unwrap();
                    }
                    tokio::task::yield_now().await;
                };
                assert_eq!(report.bytes(), 400_000);
                drop(transfer);
                feeding.await.unwrap();
                assert!(catching.await.unwrap() == bytes, "{from:?} -> {to:?}");
            }
        }
    });
}

#[test]
fn h07_what_was_staged_when_it_was_dropped_is_handed_out() {
    on_each_runtime(|| async {
        let (mut feed, source) = pair(Sort::Unix).await;
        let (sink, mut catch) = pair(Sort::Unix).await;
        narrow(&sink);
        let bytes = pattern(150_000, 8);
        let sent = bytes.clone();
        let feeding = tokio::spawn(async move { feed.write_all(&sent).await.is_ok() });
        let mut transfer = Transfer::new(source, sink).routes(Routes::all());
        while transfer.ledger().staged() == 0 {
            assert!(at_most(1, transfer.run()).await.is_none());
            tokio::task::yield_now().await;
        }
        let parts = transfer.into_parts();
        drop(parts.sink);
        let mut all = Vec::new();
        catch.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len() as u64, parts.report.bytes());
        all.extend_from_slice(&parts.undelivered);
        let mut source = parts.source;
        source.read_to_end(&mut all).await.unwrap();
        assert!(feeding.await.unwrap() && all == bytes);
    });
}

#[test]
fn h18_a_reset_is_an_error_of_the_source_and_never_its_end() {
    on_each_runtime(|| async {
        let (mut feed, source) = tcp().await;
        let (sink, catch) = tcp().await;
        let bytes = pattern(50_000, 18);
        feed.write_all(&bytes).await.unwrap();
        source.peek(&mut [0]).await.unwrap();
        reset(feed);
        let mut transfer = Transfer::new(source, sink).routes(Routes::all());
        let error = transfer.run().await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::ConnectionReset, Some(Side::Source)));
        drop(transfer);
        let arrived = reading(catch).await.unwrap();
        assert_eq!(arrived.len() as u64, error.report().bytes());
        assert!(arrived == bytes[..arrived.len()]);
    });
}

#[test]
fn h20_small_segments_and_slow_readers_do_not_hang() {
    on_each_runtime(|| async {
        let (feed, mut source) = tcp_of_segments(536).await;
        let (mut sink, catch) = tcp_of_segments(536).await;
        narrow(&sink);
        let bytes = pattern(1_000_003, 20);
        let feeding = writing(feed, bytes.clone(), 700);
        let catching = reading_slowly(catch);
        if moved(copy(&mut source, &mut sink).await).is_none() {
            return feeding.abort();
        }
        drop(sink);
        feeding.await.unwrap();
        assert!(catching.await.unwrap() == bytes);
    });
}

#[test]
fn h20_a_pipe_of_one_page_and_dribbles_of_one_byte() {
    on_each_runtime(|| async {
        for page in [false, true] {
            let (feed, mut source) = pair(Sort::Tcp).await;
            let (mut sink, catch) = pipe::pipe().unwrap();
            if page {
                rustix::pipe::fcntl_setpipe_size(&sink, 4096).unwrap();
            }
            let bytes = pattern(if page { 300_000 } else { 3000 }, 21);
            let feeding = writing(feed, bytes.clone(), if page { 20_000 } else { 1 });
            let catching = reading_slowly(catch);
            if moved(copy(&mut source, &mut sink).await).is_none() {
                feeding.abort();
                continue;
            }
            drop(sink);
            feeding.await.unwrap();
            assert!(catching.await.unwrap() == bytes);
        }
    });
}

#[test]
fn h21_a_full_pipe_waits_for_its_reader_and_does_not_spin() {
    on_each_runtime(|| async {
        let (mut feed, source) = pipe::pipe().unwrap();
        let (sink, mut catch) = pipe::pipe().unwrap();
        let room = rustix::pipe::fcntl_setpipe_size(&sink, 4096).unwrap();
        sink.writable().await.unwrap();
        while sink.try_write(&[7; 4096]).is_ok() {}
        feed.write_all(b"after the full pipe").await.unwrap();
        source.readable().await.unwrap();
        let wakes = Arc::<Wakes>::default();
        let mut transfer = Transfer::new(source, sink).routes(Routes::all());
        let mut run = Box::pin(async move { transfer.run().await });
        assert!(poll_once(run.as_mut(), &wakes).is_pending());
        let quiet = wakes.count();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(wakes.count(), quiet, "woken while the pipe is full");
        catch.read_exact(&mut vec![0; room]).await.unwrap();
        drop(feed);
        let mut rest = Vec::new();
        let (ended, read) = tokio::join!(run, catch.read_to_end(&mut rest));
        ended.unwrap();
        read.unwrap();
        assert_eq!(rest, b"after the full pipe");
    });
}

#[test]
fn h22_an_idle_flow_is_not_polled_again_and_holds_no_pipe() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            let (mut feed, source) = pair(from).await;
            let (sink, mut catch) = pair(to).await;
            let wakes = Arc::<Wakes>::default();
            let before = support::pipes();
            let mut transfer = Transfer::new(source, sink).routes(Routes::all());
            let mut run = Box::pin(transfer.run());
            let mut arrived = vec![0; 40_000];
            for _ in 0..20 {
                feed.write_all(&[1; 40_000]).await.unwrap();
                let moving = std::future::poll_fn(|cx| run.as_mut().poll(cx));
                tokio::select! {
                    _ = moving => panic!("it has not ended"),
                    read = catch.read_exact(&mut arrived) => assert_eq!(read.unwrap(), 40_000),
                }
            }
            // Whatever readiness is left is used up; after that a poll leaves no wake behind.
            for _ in 0..10 {
                assert!(poll_once(run.as_mut(), &wakes).is_pending());
                tokio::task::yield_now().await;
            }
            let quiet = wakes.count();
            assert!(poll_once(run.as_mut(), &wakes).is_pending());
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(wakes.count(), quiet, "{from:?} -> {to:?}: an idle flow was woken");
            fdflow::clear_pool();
            assert_eq!(support::pipes(), before, "{from:?} -> {to:?}: an idle flow holds a pipe");
        }
    });
}

#[test]
fn h25_the_streams_of_child_processes_are_pipes_like_others() {
    let test = || async {
        let mut child = tokio::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = fdflow_tokio::child_stdin(child.stdin.take().unwrap()).unwrap();
        let mut stdout = fdflow_tokio::child_stdout(child.stdout.take().unwrap()).unwrap();
        let (feed, mut source) = pair(Sort::Unix).await;
        let (mut sink, catch) = pair(Sort::Unix).await;
        let bytes = pattern(1_000_003, 25);
        let feeding = writing(feed, bytes.clone(), 50_000);
        let catching = reading(catch);
        let input = async {
            let moved = copy(&mut source, &mut stdin).await;
            drop(stdin);
            moved
        };
        let (input, output) = tokio::join!(input, copy(&mut stdout, &mut sink));
        drop(sink);
        child.wait().await.unwrap();
        let (Some(_), Some(_)) = (moved(input), moved(output)) else { return feeding.abort() };
        feeding.await.unwrap();
        assert!(catching.await.unwrap() == bytes);
    };
    on_each_runtime(test);
}

#[test]
fn any_reader_and_writer_pass_through_user_space() {
    on_each_runtime(|| async {
        let (near, far) = tokio::io::duplex(1000);
        let (feed, mut source) = pair(Sort::Tcp).await;
        let bytes = pattern(300_000, 30);
        let feeding = writing(feed, bytes.clone(), 10_000);
        let mut into = Plain::new(tokio::io::BufWriter::new(near));
        let mut from = Plain::new(far);
        let mut out = Plain::new(Vec::new());
        let first = async {
            let moved = copy(&mut source, &mut into).await;
            drop(into);
            moved
        };
        let (first, second) = tokio::join!(first, copy(&mut from, &mut out));
        let (Some(first), Some(_)) = (moved(first), moved(second)) else { return feeding.abort() };
        assert_eq!(first.bytes_by(Route::ReadWrite), 300_000);
        assert!(out.into_inner() == bytes);
    });
}

#[test]
fn a_sink_with_a_buffer_is_flushed_while_the_source_is_waited_for() {
    on_each_runtime(|| async {
        if without_user_space() {
            return;
        }
        let (near, mut far) = tokio::io::duplex(1000);
        let (mut feed, mut source) = pair(Sort::Unix).await;
        let mut sink = Plain::new(tokio::io::BufWriter::new(near));
        let talk = async {
            feed.write_all(b"question").await.unwrap();
            far.read_exact(&mut [0; 8]).await.unwrap();
            drop(feed);
        };
        let (report, ()) = tokio::join!(copy(&mut source, &mut sink), talk);
        assert_eq!(report.unwrap().bytes(), 8);
    });
}

#[test]
fn split_halves_are_ends() {
    on_each_runtime(|| async {
        let (feed, mut stream) = tcp().await;
        let bytes = pattern(100_000, 31);
        let (feed_reads, feed_writes) = feed.into_split();
        let feeding = writing(feed_writes, bytes.clone(), 9_999);
        let echoed = reading(feed_reads);
        let (mut reads, mut writes) = stream.split();
        let done = moved(copy(&mut reads, &mut writes).await);
        drop(stream);
        if done.is_none() {
            return feeding.abort();
        }
        feeding.await.unwrap();
        assert!(echoed.await.unwrap() == bytes);
    });
}

#[test]
fn h27_the_idle_timeout_spares_a_flow_that_moves_and_ends_one_that_does_not() {
    in_paused_time(|| async {
        let (mut feed, source) = pair(Sort::Unix).await;
        let (sink, catch) = pair(Sort::Unix).await;
        let catching = reading(catch);
        let idle = Duration::from_secs(10);
        let mut transfer = Transfer::new(source, sink).idle_timeout(idle).routes(Routes::all());
        let start = tokio::time::Instant::now();
        let feeding = async {
            for _ in 0..20 {
                feed.write_all(&[3; 100_000]).await.unwrap();
                tokio::time::sleep(Duration::from_secs(9)).await;
            }
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = transfer.run() => ended,
            () = feeding => unreachable!("it never ends"),
        };
        let error = ended.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::TimedOut, Some(Side::Source)));
        assert_eq!(error.report().bytes(), 2_000_000);
        // Ten seconds after the last byte, which came nine before the feeder fell silent.
        assert_eq!(start.elapsed().as_secs(), 19 * 9 + 10);
        drop(transfer);
        assert_eq!(catching.await.unwrap().len(), 2_000_000);
    });
}

#[test]
fn a_rate_is_kept_over_time_and_the_prefix_goes_first() {
    in_paused_time(|| async {
        if without_user_space() || !denied().is_empty() {
            return;
        }
        let (feed, source) = pair(Sort::Unix).await;
        let (sink, catch) = pair(Sort::Unix).await;
        let bytes = pattern(1_000_000, 33);
        let feeding = writing(feed, bytes[100_000..].to_vec(), 1 << 20);
        let catching = reading(catch);
        let start = tokio::time::Instant::now();
        let mut transfer =
            Transfer::new(source, sink).rate(100_000).prefix(bytes[..100_000].to_vec());
        let counters = transfer.counters();
        let report = transfer.run().await.unwrap();
        assert_eq!((report.bytes(), counters.bytes()), (1_000_000, 1_000_000));
        // All but the bucket's depth, and what goes ahead, takes its time.
        let seconds = start.elapsed().as_secs_f64();
        assert!((8.8..10.1).contains(&seconds), "{seconds} s of the paused clock");
        drop(transfer);
        feeding.await.unwrap();
        assert!(catching.await.unwrap() == bytes);
    });
}
