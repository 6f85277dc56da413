//! Transfers between sockets of every sort, in every rhythm; and what is left when they end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use fdflow::Routes;
use fdflow_tokio::{Transfer, copy, copy_bidirectional};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::socket::{PAIRS, Socket, Sort, narrow, pair, tcp_of_segments};
use support::{Room, moved, on_each_runtime, pattern, reading, reading_slowly, writing};

#[test]
fn a_hundred_and_twenty_eight_bytes_are_passed_on() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            let (mut feed, mut source) = pair(from).await;
            let (mut sink, catch) = pair(to).await;
            let bytes = pattern(128, 60);
            feed.write_all(&bytes).await.unwrap();
            drop(feed);
            let catching = reading(catch);
            let report = moved(copy(&mut source, &mut sink).await);
            drop(sink);
            let arrived = catching.await.unwrap();
            assert!(report.is_none_or(|report| report.bytes() == 128 && arrived == bytes));
        }
    });
}

#[test]
fn many_writes_of_growing_size_arrive_as_they_were() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            let (mut feed, mut source) = pair(from).await;
            let (mut sink, catch) = pair(to).await;
            let sizes = (12..=20).flat_map(|power| [1 << power; 3]);
            let bytes = pattern(sizes.clone().sum(), 61);
            let sent = bytes.clone();
            let feeding = tokio::spawn(async move {
                let mut rest = &sent[..];
                for size in sizes {
                    let (piece, later) = rest.split_at(size);
                    feed.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                    rest = later;
                }
            });
            let catching = reading(catch);
            if moved(copy(&mut source, &mut sink).await).is_none() {
                feeding.abort();
                continue;
            }
            drop(sink);
            assert!(catching.await.unwrap() == bytes, "{from:?} -> {to:?}");
        }
    });
}

/// In a thread of its own: the same block again and again.
fn feed_blocks(feed: Socket, block: Vec<u8>, total: usize) -> std::thread::JoinHandle<bool> {
    let feed = feed.into_std();
    std::thread::spawn(move || {
        let mut left = total;
        while left > 0 {
            let n = left.min(block.len());
            if std::io::Write::write_all(&mut &feed, &block[..n]).is_err() {
                return false;
            }
            left -= n;
        }
        true
    })
}

/// In a thread of its own: how many bytes came, all of which were those of the block.
fn check_blocks(catch: Socket, block: Vec<u8>) -> std::thread::JoinHandle<usize> {
    let catch = catch.into_std();
    std::thread::spawn(move || {
        let (mut total, mut piece) = (0, vec![0; 1 << 18]);
        loop {
            let at = total % block.len();
            let most = piece.len().min(block.len() - at);
            let n = std::io::Read::read(&mut &catch, &mut piece[..most]).unwrap();
            assert!(piece[..n] == block[at..at + n], "after {total} bytes");
            if n == 0 {
                return total;
            }
            total += n;
        }
    })
}

#[test]
fn a_quarter_of_a_gibibyte_in_writes_of_five_mebibytes() {
    const TOTAL: usize = 256 << 20;
    let _room = Room::enter();
    for (at, (from, to)) in PAIRS.into_iter().enumerate() {
        let runtime = if at % 2 == 0 { support::current_thread() } else { support::multi_thread() };
        runtime.block_on(support::guarded(async {
            let (feed, mut source) = pair(from).await;
            let (mut sink, catch) = pair(to).await;
            let block = pattern(5 << 20, 62);
            let feeding = feed_blocks(feed, block.clone(), TOTAL);
            let catching = check_blocks(catch, block);
            let ended = moved(copy(&mut source, &mut sink).await);
            drop((source, sink));
            let came = tokio::task::spawn_blocking(move || (feeding.join(), catching.join()));
            let (fed, came) = came.await.unwrap();
            if let Some(report) = ended {
                assert!(fed.unwrap() && report.bytes() == TOTAL as u64, "{from:?} -> {to:?}");
                assert_eq!(came.unwrap(), TOTAL, "{from:?} -> {to:?}");
            }
        }));
    }
}

#[test]
fn a_source_at_its_end_leaves_the_sink_usable() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            for length in [0, 40_000] {
                let (feed, mut source) = pair(from).await;
                let (mut sink, catch) = pair(to).await;
                let mut bytes = pattern(length, 63);
                let feeding = writing(feed, bytes.clone(), 10_000);
                let catching = reading(catch);
                if moved(copy(&mut source, &mut sink).await).is_none() {
                    feeding.abort();
                    continue;
                }
                // At its end already: nothing more comes, nothing fails.
                assert_eq!(copy(&mut source, &mut sink).await.unwrap().bytes(), 0);
                sink.write_all(b"and after it").await.unwrap();
                drop(sink);
                bytes.extend_from_slice(b"and after it");
                assert!(catching.await.unwrap() == bytes, "{from:?} -> {to:?}");
            }
        }
    });
}

#[test]
fn a_proxy_between_every_two_sorts_finishes_whoever_ends_first() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            let ((client, mut a), (mut b, mut server)) = (pair(from).await, pair(to).await);
            let proxy = async move { copy_bidirectional(&mut a, &mut b).await };
            let bytes = pattern(128, 64);
            let talk = async {
                let (mut reads, mut writes) = tokio::io::split(client);
                writes.write_all(&bytes).await.unwrap();
                writes.shutdown().await.unwrap();
                let mut echo = Vec::new();
                let echoing = async {
                    let mut heard = Vec::new();
                    server.read_to_end(&mut heard).await?;
                    server.write_all(&heard).await?;
                    server.shutdown().await
                };
                let (said, heard) = tokio::join!(echoing, reads.read_to_end(&mut echo));
                said.and(heard).map(|_| echo)
            };
            let (ended, echo) = tokio::join!(proxy, talk);
            if ended.is_ok() || support::denied().is_empty() {
                ended.unwrap();
                assert!(echo.unwrap() == bytes, "{from:?} <-> {to:?}");
            }
        }
    });
}

#[test]
fn h23_nothing_is_held_back_for_more_while_the_source_is_silent() {
    on_each_runtime(|| async {
        for from in [Sort::Tcp, Sort::Unix] {
            let ((mut feed, source), (sink, mut catch)) = (pair(from).await, pair(Sort::Tcp).await);
            let mut transfer = Transfer::new(source, &sink).routes(Routes::all());
            let bytes = pattern(900_023, 65);
            let talk = async {
                for piece in [100, 1400, 400_000, 498_523] {
                    let mut piece = vec![0; piece];
                    feed.write_all(&bytes[..piece.len()]).await.unwrap();
                    catch.read_exact(&mut piece).await.unwrap();
                    assert!(piece == bytes[..piece.len()]);
                }
            };
            tokio::select! {
                ended = transfer.run() => panic!("{ended:?}"),
                () = talk => {}
            }
            assert_eq!(support::socket::not_sent(&sink), 0, "{from:?}");
        }
    });
}

#[test]
fn h20_every_pair_with_a_sink_that_is_nearly_always_full() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            let (feed, mut source) = pair(from).await;
            let (mut sink, catch) = pair(to).await;
            narrow(&sink);
            let bytes = pattern(400_001, 67);
            let feeding = writing(feed, bytes.clone(), 400_001);
            let catching = reading_slowly(catch);
            if moved(copy(&mut source, &mut sink).await).is_none() {
                feeding.abort();
                continue;
            }
            drop(sink);
            feeding.await.unwrap();
            assert!(catching.await.unwrap() == bytes, "{from:?} -> {to:?}");
        }
    });
}

#[test]
fn h20_h26_small_segments_and_dribbles_both_ways_end_each_on_their_own() {
    on_each_runtime(|| async {
        for piece in [1, 700, 50_000] {
            let (client, mut a) = tcp_of_segments(536).await;
            let (mut b, server) = tcp_of_segments(536).await;
            narrow(&a);
            narrow(&b);
            let length = if piece == 1 { 3000 } else { 300_001 };
            let (up, down) = (pattern(length, 68), pattern(2 * length, 69));
            let (client_reads, client_writes) = client.into_split();
            let (server_reads, server_writes) = server.into_split();
            let asking = writing(client_writes, up.clone(), piece);
            let answering = writing(server_writes, down.clone(), piece);
            let (heard, answered) = (reading_slowly(server_reads), reading_slowly(client_reads));
            let ended = copy_bidirectional(&mut a, &mut b).await;
            if ended.is_err() && !support::denied().is_empty() {
                asking.abort();
                answering.abort();
                continue;
            }
            let reports = ended.unwrap();
            assert!(heard.await.unwrap() == up && answered.await.unwrap() == down, "{piece}");
            assert_eq!(reports.a_to_b.bytes() + reports.b_to_a.bytes(), 3 * length as u64);
        }
    });
}
