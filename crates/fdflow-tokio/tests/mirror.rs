//! A direction with a mirror: every byte in both, and what becomes of one that does not keep up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use fdflow::{Report, Route, Routes};
use fdflow_tokio::{Bidirectional, BidirectionalError, Both, Direction, Mirror};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{self, Receiver};

use support::socket::{PAIRS, Socket, Sort, pair, reset, tcp};
use support::{denied, in_paused_time, on_each_runtime, pattern, reading, writing};

const UP: Direction = Direction::AToB;
const DOWN: Direction = Direction::BToA;

/// A client, a proxy, a server.
async fn line(from: Sort, to: Sort) -> (Socket, Bidirectional<Socket, Socket>, Socket) {
    let ((client, a), (b, server)) = (pair(from).await, pair(to).await);
    (client, Bidirectional::new(a, b), server)
}

fn mirror() -> (Mirror, Receiver) {
    let (sender, receiver) = pipe::pipe().unwrap();
    (Mirror::new(sender), receiver)
}

/// Whether the environment denies every route between the two.
fn refused(ended: &Result<Both<Report>, BidirectionalError>) -> bool {
    let kind = ended.as_ref().map_err(BidirectionalError::kind).err();
    kind == Some(ErrorKind::Unsupported) && !denied().is_empty()
}

#[test]
fn both_directions_are_in_their_mirrors_byte_for_byte_however_they_come_and_go() {
    on_each_runtime(|| async {
        let splicing = Routes::all().difference(denied());
        let copying = splicing.without(Route::Splice);
        for (from, to) in PAIRS {
            for (routes, n, piece) in
                [(splicing, 2_000_003, 65_536), (splicing, 9_001, 7), (copying, 500_009, 10_000)]
            {
                let (client, proxy, server) = line(from, to).await;
                let ((up, up_mirror), (down, down_mirror)) = (mirror(), mirror());
                let mut proxy = proxy.routes(routes).mirror(UP, up).mirror(DOWN, down);
                let (up, down) = (pattern(n, 1), pattern(n / 2, 2));
                let (client_reads, client_writes) = tokio::io::split(client);
                let (server_reads, server_writes) = tokio::io::split(server);
                drop(writing(client_writes, up.clone(), piece));
                drop(writing(server_writes, down.clone(), piece));
                let heard = (reading(server_reads), reading(client_reads));
                let mirrored = (reading(up_mirror), reading(down_mirror));
                let ended = proxy.run().await;
                if refused(&ended) {
                    continue;
                }
                ended.unwrap();
                assert_eq!(proxy.mirrored(UP).bytes, n as u64);
                assert!(proxy.mirrored(DOWN).left.is_none());
                drop(proxy);
                let what = format!("{from:?} {to:?} {routes:?} {piece}");
                assert!(heard.0.await.unwrap() == up, "{what}");
                assert!(heard.1.await.unwrap() == down, "{what}");
                assert!(mirrored.0.await.unwrap() == up, "{what}");
                assert!(mirrored.1.await.unwrap() == down, "{what}");
            }
        }
    });
}

#[test]
fn a_mirror_does_not_keep_a_stream_from_being_spliced() {
    on_each_runtime(|| async {
        let (client, proxy, server) = line(Sort::Tcp, Sort::Tcp).await;
        let (up, up_mirror) = mirror();
        let mut proxy = proxy.mirror(UP, up);
        let (_, client_writes) = tokio::io::split(client);
        let (server_reads, mut server_writes) = tokio::io::split(server);
        drop(writing(client_writes, pattern(4_000_000, 1), 1 << 20));
        let (heard, mirrored) = (reading(server_reads), reading(up_mirror));
        tokio::io::AsyncWriteExt::shutdown(&mut server_writes).await.unwrap();
        let ended = proxy.run().await;
        if refused(&ended) {
            return;
        }
        let report = ended.unwrap().a_to_b;
        drop(proxy);
        assert!(mirrored.await.unwrap() == heard.await.unwrap());
        let spliced = report.legs().iter().any(|leg| leg.route == Route::Splice);
        assert_eq!(spliced, !denied().contains(Route::Splice), "{report}");
    });
}

#[test]
fn a_full_mirror_that_is_waited_for_holds_its_direction_up_and_misses_nothing() {
    in_paused_time(|| async {
        let (client, proxy, server) = line(Sort::Tcp, Sort::Tcp).await;
        let (up, up_mirror) = mirror();
        let mut proxy = proxy.mirror(UP, up);
        let bytes = pattern(3_000_000, 1);
        let (_client_reads, client_writes) = tokio::io::split(client);
        let (server_reads, _server_writes) = tokio::io::split(server);
        drop(writing(client_writes, bytes.clone(), 4_096));
        let heard = reading(server_reads);
        let counters = proxy.counters(UP);
        let ended = tokio::time::timeout(Duration::from_secs(3600), proxy.run()).await;
        if ended.as_ref().is_ok_and(refused) {
            return;
        }
        assert!(ended.is_err(), "it goes on without its mirror");
        assert!(proxy.mirrored(UP).left.is_none());
        assert!(counters.bytes() <= proxy.mirrored(UP).bytes, "the sink was first");
        assert!(proxy.mirrored(UP).bytes < 3_000_000, "nothing is full");
        let mirrored = reading(up_mirror);
        let idle = tokio::time::timeout(Duration::from_secs(3600), proxy.run()).await;
        assert!(idle.is_err(), "the server has not ended");
        drop(proxy);
        assert!(heard.await.unwrap() == bytes);
        assert!(mirrored.await.unwrap() == bytes);
    });
}

#[test]
fn a_mirror_that_takes_nothing_for_its_patience_is_left_and_has_what_it_was_given() {
    in_paused_time(|| async {
        let (client, proxy, server) = line(Sort::Tcp, Sort::Unix).await;
        let (up, up_mirror) = mirror();
        let mut proxy = proxy.mirror(UP, up.patience(Duration::from_secs(7)));
        let bytes = pattern(3_000_000, 1);
        let (_client_reads, client_writes) = tokio::io::split(client);
        let (server_reads, mut server_writes) = tokio::io::split(server);
        drop(writing(client_writes, bytes.clone(), 4_096));
        let heard = reading(server_reads);
        tokio::io::AsyncWriteExt::shutdown(&mut server_writes).await.unwrap();
        let began = tokio::time::Instant::now();
        let ended = proxy.run().await;
        if refused(&ended) {
            return;
        }
        ended.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(7));
        let mirrored = proxy.mirrored(UP);
        let left = mirrored.left.unwrap();
        assert_eq!(
            (left.kind(), &*left.to_string()),
            (ErrorKind::TimedOut, "it took nothing for 7s")
        );
        assert!(heard.await.unwrap() == bytes);
        let there = reading(up_mirror).await.unwrap();
        assert_eq!(there.len() as u64, mirrored.bytes);
        assert!(there.len() < bytes.len() && bytes.starts_with(&there));
    });
}

#[test]
fn a_mirror_that_nobody_reads_any_more_is_left_at_once() {
    on_each_runtime(|| async {
        let (client, proxy, server) = line(Sort::Unix, Sort::Tcp).await;
        let (up, up_mirror) = mirror();
        drop(up_mirror);
        let mut proxy = proxy.mirror(UP, up);
        let bytes = pattern(300_000, 1);
        let (_client_reads, client_writes) = tokio::io::split(client);
        let (server_reads, mut server_writes) = tokio::io::split(server);
        drop(writing(client_writes, bytes.clone(), 4_096));
        let heard = reading(server_reads);
        tokio::io::AsyncWriteExt::shutdown(&mut server_writes).await.unwrap();
        let ended = proxy.run().await;
        if refused(&ended) {
            return;
        }
        ended.unwrap();
        assert!(heard.await.unwrap() == bytes);
        let mirrored = proxy.mirrored(UP);
        assert_eq!(mirrored.bytes, 0);
        assert_eq!(mirrored.left.unwrap().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn bytes_that_go_first_are_mirrored_but_for_those_that_are_skipped() {
    on_each_runtime(|| async {
        let (client, proxy, server) = line(Sort::Tcp, Sort::Tcp).await;
        let (up, up_mirror) = mirror();
        let first = [&b"a header"[..], &pattern(100, 3)].concat();
        let mut proxy = proxy.prefix(UP, first.clone()).mirror(UP, up.skip(8));
        let bytes = pattern(70_000, 1);
        let (_client_reads, client_writes) = tokio::io::split(client);
        let (server_reads, mut server_writes) = tokio::io::split(server);
        drop(writing(client_writes, bytes.clone(), 4_096));
        let (heard, mirrored) = (reading(server_reads), reading(up_mirror));
        tokio::io::AsyncWriteExt::shutdown(&mut server_writes).await.unwrap();
        let ended = proxy.run().await;
        if refused(&ended) {
            return;
        }
        ended.unwrap();
        assert_eq!(proxy.mirrored(UP).bytes, 70_100);
        drop(proxy);
        let all = [first, bytes].concat();
        assert!(heard.await.unwrap() == all);
        assert!(mirrored.await.unwrap() == all[8..]);
    });
}

#[test]
fn a_reset_is_passed_on_after_what_came_before_it_and_the_mirror_has_that_too() {
    on_each_runtime(|| async {
        let ((client, a), (b, mut server)) = (tcp().await, tcp().await);
        let (up, up_mirror) = mirror();
        let mut proxy = Bidirectional::new(a, b).mirror(UP, up);
        let counters = proxy.counters(UP);
        client.writable().await.unwrap();
        assert_eq!(client.try_write(b"the last words").unwrap(), 14);
        let proxied = tokio::spawn(async move {
            let ended = proxy.run().await;
            drop(proxy);
            ended
        });
        while counters.bytes() < 14 && !proxied.is_finished() {
            tokio::task::yield_now().await;
        }
        reset(&client);
        drop(client);
        let ended = proxied.await.unwrap();
        if refused(&ended) {
            return;
        }
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut heard = [0; 14];
        server.read_exact(&mut heard).await.unwrap();
        let end = server.read(&mut [0]).await.unwrap_err();
        assert_eq!((&heard, end.kind()), (b"the last words", ErrorKind::ConnectionReset));
        assert_eq!(reading(up_mirror).await.unwrap(), b"the last words");
    });
}
