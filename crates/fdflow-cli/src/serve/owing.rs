//! The rest of a file that a client has been promised, when nothing else is left of its answer:
//! the socket, the place in the file, and whoever wants to be told in the end.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::connection::Plain;
use super::meter::Order;
use super::socket::Socket;

/// A connection without HTTP, in the middle of an answer.
pub(super) struct Owing<S> {
    pub(super) carrier: Plain<S>,
    /// A mapping, not to be read.
    pub(super) owed: Bytes,
    /// The connection ends behind it.
    pub(super) last: bool,
}

impl<S: Socket> Owing<S> {
    /// Sends it as the client takes it. Gives the connection back, and whether it is to end;
    /// `None`: it has ended.
    pub(super) async fn send(mut self) -> Option<(Plain<S>, bool)> {
        self.carrier.meter().set_parked(true);
        let sent = poll_fn(|cx| self.poll_send(cx)).await;
        self.carrier.meter().set_parked(false);
        sent.then_some((self.carrier, self.last))
    }

    /// `false`: it cannot be sent any more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let meter = self.carrier.meter();
        meter.set_waker(cx.waker());
        match meter.take_order() {
            Some(Order::Cut | Order::Close) => return Poll::Ready(false),
            Some(Order::Drain) => self.last = true,
            Some(Order::Park | Order::TooSlow) | None => {}
        }
        let mut carrier = Pin::new(&mut self.carrier);
        while self.owed.has_remaining() {
            let rest = [IoSlice::new(&self.owed)];
            match ready!(carrier.as_mut().poll_write_vectored(cx, &rest)) {
                // A file that was cut is an error, too: the client sees that it is not whole.
                Ok(0) | Err(_) => return Poll::Ready(false),
                Ok(n) => self.owed.advance(n),
            }
        }
        carrier.poll_flush(cx).map(|flushed| flushed.is_ok())
    }
}
