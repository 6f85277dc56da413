//! What is told when an end fails, and what becomes of the bytes that were on their way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;

use fdflow::{Operation, Routes, Side};
use fdflow_tokio::{Bidirectional, Direction, End, Plain, Transfer, copy, copy_bidirectional};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::socket::{Sort, narrow, pair, reset, tcp};
use support::{at_most, is_readable, on_each_runtime, pattern, without_user_space};

#[test]
fn h07_copy_hands_out_what_its_sink_did_not_take() {
    on_each_runtime(|| async {
        if without_user_space() {
            return;
        }
        let (mut feed, mut source) = pair(Sort::Unix).await;
        let bytes = pattern(5000, 90);
        feed.write_all(&bytes).await.unwrap();
        // Takes so many bytes, and fails then.
        let (near, mut far) = tokio::io::duplex(2000);
        let mut sink = Plain::new(near);
        let breaking = async {
            let mut heard = vec![0; 1000];
            far.read_exact(&mut heard).await.unwrap();
            // It has room for 1000 more by now, and may have got them.
            drop(far);
            heard
        };
        let (ended, mut all) = tokio::join!(copy(&mut source, &mut sink), breaking);
        let error = ended.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::BrokenPipe, Some(Side::Sink)));
        let given = usize::try_from(error.report().bytes()).unwrap();
        all.extend_from_slice(&bytes[1000..given]);
        all.extend_from_slice(error.undelivered());
        drop(feed);
        source.read_to_end(&mut all).await.unwrap();
        assert!(all == bytes && !error.undelivered().is_empty());
    });
}

#[test]
fn h07_both_directions_hand_out_what_was_not_taken() {
    on_each_runtime(|| async {
        if without_user_space() {
            return;
        }
        for by_parts in [false, true] {
            let (mut client, mut a) = pair(Sort::Unix).await;
            let bytes = pattern(5000, 91);
            client.write_all(&bytes).await.unwrap();
            is_readable(&a).await;
            let (near, far) = tokio::io::duplex(2000);
            let mut b = Plain::new(near);
            // It takes 2000 bytes and is gone then: the rest is on its way.
            let undelivered = if by_parts {
                let mut flow = Bidirectional::new(a, b);
                while flow.reports().a_to_b.bytes() < 2000 {
                    assert!(at_most(1, flow.run()).await.is_none());
                    tokio::task::yield_now().await;
                }
                drop(far);
                let ended = flow.run().await;
                assert!(ended.is_err());
                flow.into_parts().undelivered
            } else {
                let ended = copy_bidirectional(&mut a, &mut b);
                let breaking = async {
                    // Each is a poll of both.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    drop(far);
                };
                let (ended, ()) = tokio::join!(ended, breaking);
                ended.unwrap_err().undelivered().clone()
            };
            assert!(undelivered.a_to_b == bytes[2000..], "{by_parts}");
            assert!(undelivered.b_to_a.is_empty());
        }
    });
}

#[test]
fn h07_a_prefix_that_was_not_sent_is_handed_out_in_its_place() {
    on_each_runtime(|| async {
        let ((mut feed, source), (sink, mut catch)) =
            (pair(Sort::Unix).await, pair(Sort::Unix).await);
        narrow(&sink);
        let bytes = pattern(900_000, 92);
        feed.write_all(&bytes[800_000..]).await.unwrap();
        let prefix = bytes[..800_000].to_vec();
        let mut transfer = Transfer::new(source, sink).routes(Routes::all()).prefix(prefix);
        while at_most(1, transfer.run()).await.is_none() && transfer.report().bytes() == 0 {
            tokio::task::yield_now().await;
        }
        let parts = transfer.into_parts();
        drop((parts.sink, feed));
        let (mut all, mut source) = (Vec::new(), parts.source);
        catch.read_to_end(&mut all).await.unwrap();
        all.extend_from_slice(&parts.undelivered);
        source.read_to_end(&mut all).await.unwrap();
        assert!(all == bytes);
    });
}

#[test]
fn h30_of_two_errors_the_first_is_told_with_its_direction_and_end() {
    on_each_runtime(|| async {
        for reversed in [false, true] {
            let ((client, a), (b, server)) = (tcp().await, tcp().await);
            let ends = if reversed { (&b, &a) } else { (&a, &b) };
            let mut flow = Bidirectional::new(ends.0, ends.1).routes(Routes::all());
            assert!(at_most(1, flow.run()).await.is_none());
            // Both are gone: the direction that is polled first finds the one that it reads from.
            reset(client);
            reset(server);
            is_readable(&a).await;
            is_readable(&b).await;
            let error = flow.run().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!((error.direction(), error.end()), (Some(Direction::AToB), Some(End::A)));
            assert_eq!(error.error().side(), Some(Side::Source));
        }
    });
}

#[test]
fn h30_each_direction_and_each_end_is_named_by_its_own_name() {
    on_each_runtime(|| async {
        for (gone, direction, end) in [(0, Direction::AToB, End::A), (1, Direction::BToA, End::B)] {
            let ((client, a), (b, server)) = (tcp().await, tcp().await);
            let mut flow = Bidirectional::new(a, b).routes(Routes::all());
            let mut peers = [Some(client), Some(server)];
            reset(peers[gone].take().unwrap());
            let error = flow.run().await.unwrap_err();
            assert_eq!((error.direction(), error.end()), (Some(direction), Some(end)), "{error}");
        }
        // A sink that fails: the other end of the same direction.
        let ((mut client, a), (b, _server)) = (pair(Sort::Unix).await, pair(Sort::Unix).await);
        rustix::net::shutdown(&b, rustix::net::Shutdown::Write).unwrap();
        client.write_all(b"to nobody").await.unwrap();
        let mut flow = Bidirectional::new(a, b).routes(Routes::all());
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!((error.direction(), error.end()), (Some(Direction::AToB), Some(End::B)));
        assert_eq!(error.error().operation(), Operation::Write);
    });
}

#[test]
fn the_idle_timeout_names_the_end_that_was_waited_for() {
    support::in_paused_time(|| async {
        let idle = std::time::Duration::from_secs(5);
        let ((mut feed, source), (sink, _catch)) = (pair(Sort::Unix).await, pair(Sort::Unix).await);
        let mut transfer = Transfer::new(source, sink).routes(Routes::all()).idle_timeout(idle);
        let error = transfer.run().await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::TimedOut, Some(Side::Source)));
        // Nobody reads: the sink is full before the source is empty.
        let feeding = async { while feed.write_all(&[1; 65_536]).await.is_ok() {} };
        let error = tokio::select! {
            ended = transfer.run() => ended.unwrap_err(),
            () = feeding => unreachable!("it never ends"),
        };
        assert_eq!((error.kind(), error.side()), (ErrorKind::TimedOut, Some(Side::Sink)));
    });
}

#[test]
fn counters_of_a_transfer_tell_bytes_route_and_activity_while_it_runs() {
    support::in_paused_time(|| async {
        let second = std::time::Duration::from_secs(1);
        let ((mut feed, source), (sink, mut catch)) =
            (pair(Sort::Unix).await, pair(Sort::Unix).await);
        let mut transfer = Transfer::new(source, sink).routes(Routes::only(fdflow::Route::Splice));
        let (counters, made) = (transfer.counters(), tokio::time::Instant::now());
        let look = async {
            tokio::time::sleep(second).await;
            assert_eq!((counters.bytes(), counters.route()), (0, None));
            assert_eq!(counters.last_activity(), made);
            for i in 1..=3 {
                feed.write_all(&[1; 1000]).await.unwrap();
                catch.read_exact(&mut [0; 1000]).await.unwrap();
                let moved = tokio::time::Instant::now();
                tokio::time::sleep(second).await;
                assert_eq!(
                    (counters.bytes(), counters.route()),
                    (i * 1000, Some(fdflow::Route::Splice))
                );
                assert_eq!(counters.last_activity(), moved);
            }
        };
        tokio::select! {
            ended = transfer.run() => panic!("{ended:?}"),
            () = look => {}
        }
    });
}
