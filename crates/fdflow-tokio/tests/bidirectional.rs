//! Both directions: half-closes, resets, timeouts, counters, fairness.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use fdflow::{Report, Routes};
use fdflow_tokio::{
    Bidirectional, BidirectionalError, Both, Direction, End, Plain, copy_bidirectional,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use socket2::SockRef;
use support::socket::{PAIRS, Socket, Sort, narrow, pair, reset, tcp, tcp_of_window};
use support::{at_most, denied, in_paused_time, on_each_runtime, pattern, reading};
use support::{reading_slowly, writing};

type Ended = Result<Both<Report>, BidirectionalError>;

/// Whether the environment denies every route between the two.
fn refused(ended: &Ended) -> bool {
    let kind = ended.as_ref().map_err(BidirectionalError::kind).err();
    kind == Some(ErrorKind::Unsupported) && !denied().is_empty()
}

/// A client, the proxy's two ends, a server.
async fn line(from: Sort, to: Sort) -> (Socket, Socket, Socket, Socket) {
    let ((client, a), (b, server)) = (pair(from).await, pair(to).await);
    (client, a, b, server)
}

#[test]
fn h26_each_direction_ends_on_its_own_in_either_order() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            for client_first in [true, false] {
                let (client, mut a, mut b, server) = line(from, to).await;
                let (up, down) = (pattern(300_001, 1), pattern(700_003, 2));
                let (first, second) =
                    if client_first { (client, server) } else { (server, client) };
                let proxy = tokio::spawn(async move { copy_bidirectional(&mut a, &mut b).await });
                let (mut first_reads, mut first_writes) = tokio::io::split(first);
                let (mut second_reads, mut second_writes) = tokio::io::split(second);
                let sent = up.clone();
                let one = tokio::spawn(async move {
                    first_writes.write_all(&sent).await?;
                    first_writes.shutdown().await?;
                    let mut answer = Vec::new();
                    first_reads.read_to_end(&mut answer).await.map(|_| answer)
                });
                // The other end speaks only after it has heard everything.
                let answer = down.clone();
                let other = tokio::spawn(async move {
                    let mut heard = Vec::new();
                    second_reads.read_to_end(&mut heard).await?;
                    second_writes.write_all(&answer).await?;
                    second_writes.shutdown().await.map(|()| heard)
                });
                let ended = proxy.await.unwrap();
                if refused(&ended) {
                    continue;
                }
                assert!(one.await.unwrap().unwrap() == down, "{from:?} {to:?} {client_first}");
                assert!(other.await.unwrap().unwrap() == up, "{from:?} {to:?} {client_first}");
                let Both { a_to_b, b_to_a } = ended.unwrap();
                assert_eq!(a_to_b.bytes() + b_to_a.bytes(), 1_000_004);
            }
        }
    });
}

#[test]
fn h05_the_end_is_told_only_after_the_last_byte() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            let (mut client, a, b, server) = line(from, to).await;
            narrow(&b);
            let bytes = pattern(500_000, 5);
            let sent = bytes.clone();
            let sending = tokio::spawn(async move {
                client.write_all(&sent).await?;
                client.shutdown().await?;
                client.read_to_end(&mut Vec::new()).await
            });
            let hearing = reading_slowly(server);
            let mut flow = Bidirectional::new(a, b).routes(Routes::all());
            flow.run().await.unwrap();
            assert!(hearing.await.unwrap() == bytes, "{from:?} -> {to:?}");
            drop(flow);
            sending.await.unwrap().unwrap();
        }
    });
}

#[test]
fn h06_a_reset_is_passed_on_after_what_had_been_received() {
    on_each_runtime(|| async {
        for swapped in [false, true] {
            let ((mut client, a), (b, mut server)) = (tcp().await, tcp().await);
            narrow(&b);
            let bytes = pattern(200_000, 6);
            let mut flow =
                if swapped { Bidirectional::new(b, a) } else { Bidirectional::new(a, b) }
                    .routes(Routes::all());
            client.write_all(&bytes[..100_000]).await.unwrap();
            let up = if swapped { Direction::BToA } else { Direction::AToB };
            let counters = flow.counters(up);
            let proxy = tokio::spawn(async move {
                let ended = flow.run().await;
                (ended, flow)
            });
            while counters.bytes() == 0 {
                tokio::task::yield_now().await;
            }
            client.write_all(&bytes[100_000..]).await.unwrap();
            let mut heard = Vec::new();
            // All of it has come to the proxy's side before the reset does.
            while fdflow::sys::unsent(std::os::fd::AsFd::as_fd(&client)) != Ok(0) {
                let mut block = [0; 1000];
                if let Ok(n @ 1..) = server.try_read(&mut block) {
                    heard.extend_from_slice(&block[..n]);
                }
                tokio::task::yield_now().await;
            }
            reset(client);
            let error = server.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the reset is passed on");
            assert!(heard == bytes, "{} of {} bytes", heard.len(), bytes.len());
            let error = proxy.await.unwrap().0.unwrap_err();
            assert_eq!(error.direction(), Some(up));
            assert_eq!(error.end(), Some(if swapped { End::B } else { End::A }));
        }
    });
}

#[test]
fn h06_a_reset_waits_for_the_acknowledgement_of_what_was_given_before_it() {
    on_each_runtime(|| async {
        let ((mut client, a), (b, mut server)) = (tcp().await, tcp_of_window(4096).await);
        // All of it fits into the proxy's own end, and little of it into the server's.
        SockRef::from(&b).set_send_buffer_size(1 << 20).unwrap();
        let bytes = pattern(200_000, 36);
        let mut flow = Bidirectional::new(a, b).routes(Routes::all());
        let counters = flow.counters(Direction::AToB);
        let mut run = Box::pin(flow.run());
        client.write_all(&bytes).await.unwrap();
        while counters.bytes() < 200_000 {
            assert!(at_most(1, run.as_mut()).await.is_none());
            tokio::task::yield_now().await;
        }
        reset(client);
        // The server reads nothing meanwhile: the proxy knows of the reset, and waits.
        for _ in 0..50 {
            assert!(at_most(1, run.as_mut()).await.is_none(), "it has not been acknowledged");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut heard = Vec::new();
        let (ended, read) = tokio::join!(run, server.read_to_end(&mut heard));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(heard == bytes, "{} of {} bytes", heard.len(), bytes.len());
        assert_eq!(ended.unwrap_err().end(), Some(End::A));
    });
}

#[test]
fn h06_what_a_failed_sink_had_sent_is_delivered_too() {
    on_each_runtime(|| async {
        let ((client, a), (b, mut server)) = (tcp().await, tcp().await);
        let bytes = pattern(60_000, 16);
        server.write_all(&bytes).await.unwrap();
        b.peek(&mut [0]).await.unwrap();
        reset(server);
        // The reset is found by whichever direction is polled first: the one that writes.
        let (mut reads, mut writes) = tokio::io::split(client);
        writes.write_all(b"to nobody").await.unwrap();
        a.peek(&mut [0]).await.unwrap();
        let mut flow = Bidirectional::new(a, b).routes(Routes::all()).pass_resets(false);
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.end(), Some(End::B));
        drop(flow);
        let mut heard = Vec::new();
        // The proxy's own end is closed in order, or reset where it had something unread.
        let _closed = reads.read_to_end(&mut heard).await.is_ok();
        assert!(heard == bytes, "{} of {}", heard.len(), bytes.len());
    });
}

#[test]
fn h30_the_first_error_ends_both_directions_and_names_its_end() {
    on_each_runtime(|| async {
        let (_client, a, b, server) = line(Sort::Unix, Sort::Tcp).await;
        let Socket::Tcp(server) = server else { panic!("it was asked for") };
        reset(server);
        // The client never says anything, nor ends.
        let mut flow = Bidirectional::new(a, b).routes(Routes::all());
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!((error.direction(), error.end()), (Some(Direction::BToA), Some(End::B)));
        assert_eq!(error.reports().a_to_b.bytes(), 0);
    });
}

#[test]
fn h07_dropping_the_future_of_both_directions_loses_nothing() {
    on_each_runtime(|| async {
        for (from, to) in PAIRS {
            let (client, a, b, server) = line(from, to).await;
            narrow(&b);
            let (up, down) = (pattern(200_000, 7), pattern(300_000, 8));
            let (client_reads, client_writes) = tokio::io::split(client);
            let (server_reads, server_writes) = tokio::io::split(server);
            let sending = [
                writing(client_writes, up.clone(), 30_000),
                writing(server_writes, down.clone(), 7000),
            ];
            let (answered, heard) = (reading_slowly(client_reads), reading_slowly(server_reads));
            let mut flow = Bidirectional::new(a, b).routes(Routes::all());
            let mut polls = 0;
            while at_most(polls % 3 + 1, flow.run()).await.map(Result::unwrap).is_none() {
                polls += 1;
                tokio::task::yield_now().await;
            }
            let parts = flow.into_parts();
            assert_eq!(parts.undelivered, Both::default());
            drop(parts);
            for sending in sending {
                sending.await.unwrap();
            }
            assert!(heard.await.unwrap() == up && answered.await.unwrap() == down);
        }
    });
}

#[test]
fn h24_h27_timeouts_see_spliced_bytes_and_end_quiet_flows() {
    in_paused_time(|| async {
        let seconds = Duration::from_secs;
        let (mut client, a, b, server) = line(Sort::Unix, Sort::Unix).await;
        let (server_reads, _server_writes) = tokio::io::split(server);
        let hearing = reading(server_reads);
        let mut flow = Bidirectional::new(a, b)
            .routes(Routes::all())
            .idle_timeout(seconds(10))
            .half_closed_timeout(seconds(3));
        let start = tokio::time::Instant::now();
        let talk = async {
            for _ in 0..10 {
                client.write_all(&[5; 100_000]).await.unwrap();
                tokio::time::sleep(seconds(9)).await;
            }
            client.shutdown().await.unwrap();
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = flow.run() => ended,
            () = talk => unreachable!("it never ends"),
        };
        let error = ended.unwrap_err();
        assert_eq!((error.kind(), error.direction()), (ErrorKind::TimedOut, None));
        assert!(error.to_string().contains("one direction has ended"), "{error}");
        let took = start.elapsed();
        assert!(took >= seconds(93) && took < seconds(94), "{took:?}");
        drop(flow);
        assert_eq!(hearing.await.unwrap().len(), 1_000_000);
    });
}

#[test]
fn idle_and_lifetime_timeouts_end_a_flow() {
    in_paused_time(|| async {
        let seconds = Duration::from_secs;
        let (_client, a, b, _server) = line(Sort::Unix, Sort::Unix).await;
        let start = tokio::time::Instant::now();
        let mut idle = Bidirectional::new(&a, &b).routes(Routes::all()).idle_timeout(seconds(10));
        assert_eq!(idle.run().await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 10);
        let mut bounded = Bidirectional::new(&a, &b)
            .routes(Routes::all())
            .idle_timeout(seconds(100))
            .lifetime(seconds(20));
        assert!(bounded.run().await.unwrap_err().to_string().contains("lifetime"));
        assert_eq!(start.elapsed().as_secs(), 30);
    });
}

#[test]
fn counters_tell_while_it_runs_and_prefixes_go_first_in_each_direction() {
    on_each_runtime(|| async {
        let (mut client, a, b, mut server) = line(Sort::Tcp, Sort::Unix).await;
        let mut flow = Bidirectional::new(a, b)
            .routes(Routes::all())
            .prefix(Direction::AToB, b"PROXY\r\n".to_vec())
            .prefix(Direction::BToA, b"hello ".to_vec());
        let (up, down) = (flow.counters(Direction::AToB), flow.counters(Direction::BToA));
        assert_eq!((up.bytes(), up.route()), (0, None));
        let made = up.last_activity();
        let proxy = tokio::spawn(async move { flow.run().await.map(|_| flow) });
        client.write_all(b"question").await.unwrap();
        server.write_all(b"answer").await.unwrap();
        let (mut heard, mut answered) = ([0; 15], [0; 12]);
        server.read_exact(&mut heard).await.unwrap();
        client.read_exact(&mut answered).await.unwrap();
        assert_eq!((&heard, &answered), (b"PROXY\r\nquestion", b"hello answer"));
        // The peers may hear of the bytes before the proxy has noted them.
        while (up.bytes(), down.bytes()) != (15, 12) || up.last_activity() <= made {
            tokio::task::yield_now().await;
        }
        assert!(up.route().is_some());
        drop((client, server));
        proxy.await.unwrap().unwrap();
    });
}

#[test]
fn a_rate_bounds_its_own_direction_alone() {
    in_paused_time(|| async {
        let (client, a, b, server) = line(Sort::Unix, Sort::Unix).await;
        let mut flow = Bidirectional::new(a, b).routes(Routes::all()).rate(Direction::AToB, 50_000);
        let (client_reads, client_writes) = tokio::io::split(client);
        let (server_reads, server_writes) = tokio::io::split(server);
        let sending = writing(client_writes, pattern(500_000, 9), 1 << 20);
        let answering = writing(server_writes, pattern(2_000_000, 10), 1 << 20);
        let (heard, answered) = (reading(server_reads), reading(client_reads));
        let start = tokio::time::Instant::now();
        flow.run().await.unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert!((9.5..10.5).contains(&seconds), "{seconds} s of the paused clock");
        drop(flow);
        sending.await.unwrap();
        answering.await.unwrap();
        assert_eq!(heard.await.unwrap().len() + answered.await.unwrap().len(), 2_500_000);
    });
}

#[test]
fn any_stream_can_be_an_end() {
    on_each_runtime(|| async {
        let ((mut client, near), (b, server)) = (tokio::io::duplex(500), pair(Sort::Tcp).await);
        let mut flow = Bidirectional::new(Plain::new(near), b).routes(Routes::all());
        let proxy = tokio::spawn(async move { flow.run().await.map(drop) });
        let (mut reads, mut writes) = tokio::io::split(server);
        let echo = tokio::spawn(async move {
            tokio::io::copy(&mut reads, &mut writes).await?;
            writes.shutdown().await
        });
        let bytes = pattern(100_000, 11);
        let (mut client_reads, mut client_writes) = tokio::io::split(&mut client);
        let mut answer = Vec::new();
        let send = async {
            client_writes.write_all(&bytes).await?;
            client_writes.shutdown().await
        };
        let (sent, read) = tokio::join!(send, client_reads.read_to_end(&mut answer));
        sent.unwrap();
        read.unwrap();
        echo.await.unwrap().unwrap();
        proxy.await.unwrap().unwrap();
        assert!(answer == bytes);
    });
}
