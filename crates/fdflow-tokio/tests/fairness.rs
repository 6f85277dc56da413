//! One thread, many flows: a fast one leaves the others their turns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use fdflow::Routes;
use fdflow_tokio::{Bidirectional, Plain, Transfer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use support::socket::{Socket, Sort, pair};
use support::{Room, current_thread, guarded};

/// Always has more, and never says "not yet".
struct Endless;

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.initialize_unfilled();
        buffer.advance(buffer.remaining());
        Poll::Ready(Ok(()))
    }
}

#[test]
fn two_fast_flows_and_a_thousand_slow_ones_all_progress_on_one_thread() {
    let _room = Room::enter();
    current_thread().block_on(guarded(async {
        let done = Arc::new(AtomicBool::new(false));
        let nowhere = std::fs::File::options().write(true).open("/dev/null").unwrap();
        let mut flow = Transfer::new(Plain::new(Endless), nowhere).routes(Routes::all());
        let endless = tokio::spawn(async move { flow.run().await.map(drop) });
        let ((client, a), (b, server)) = (pair(Sort::Unix).await, pair(Sort::Unix).await);
        let mut flow = Bidirectional::new(a, b).routes(Routes::all());
        let fast = tokio::spawn(async move { flow.run().await.map(drop) });
        // Peers on threads of their own: the flow is always ready.
        let (stop, [client, server]) = (Arc::clone(&done), [client, server].map(Socket::into_std));
        let feeding = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                io::Write::write_all(&mut &client, &[1; 65_536]).unwrap();
            }
        });
        let eating = std::thread::spawn(move || io::copy(&mut &server, &mut io::sink()).unwrap());
        let mut slow = Vec::new();
        for _ in 0..1000 {
            let ((mut client, a), (b, mut server)) =
                (pair(Sort::Unix).await, pair(Sort::Unix).await);
            let mut flow = Bidirectional::new(a, b).routes(Routes::all());
            let flow = tokio::spawn(async move { flow.run().await.map(drop) });
            let talk = tokio::spawn(async move {
                for i in 0..5 {
                    client.write_all(&[i]).await.unwrap();
                    assert_eq!(server.read_u8().await.unwrap(), i);
                }
            });
            slow.push((flow, talk));
        }
        for (flow, talk) in slow {
            talk.await.unwrap();
            flow.await.unwrap().unwrap();
        }
        assert!(!fast.is_finished() && !endless.is_finished(), "they were busy all the time");
        endless.abort();
        done.store(true, Ordering::Relaxed);
        // The feeder's end is closed with its thread, the other as soon as that is seen.
        let joined = tokio::task::spawn_blocking(move || {
            feeding.join().unwrap();
            eating.join().unwrap()
        });
        assert!(joined.await.unwrap() > 0);
        fast.await.unwrap().unwrap();
    }));
}
