//! A connection's end: what the client still sends is read, or the kernel would answer it with a
//! reset, and that would take away the answer that is on its way.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};

use super::socket::Socket;

/// For so long.
const AT_MOST: Duration = Duration::from_secs(2);
/// And so much.
const MOST: usize = 16 << 20;

/// Says that nothing more comes, and reads until the client says so too.
pub(super) async fn linger<S: Socket>(socket: &S) {
    if shutdown(socket, Shutdown::Write).is_err() {
        return;
    }
    let mut left = MOST;
    let ended = poll_fn(|cx| {
        loop {
            let mut buffer = [0; 4096];
            match socket.try_take(&mut buffer) {
                Ok(0) => return Poll::Ready(()),
                Ok(n) if n >= left => return Poll::Ready(()),
                Ok(n) => left -= n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    match socket.poll_readable(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                    }
                }
                Err(_) => return Poll::Ready(()),
            }
        }
    });
    // A client that goes on sending does not read the answer either.
    let _ended = tokio::time::timeout(AT_MOST, ended).await.is_ok();
}
