//! SIGPIPE stays away from programs that do not ignore it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "the disposition of a signal is libc's alone")]

mod support;

use std::io::{self, ErrorKind, PipeWriter, Write};
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};

use fdflow::{Operation, Route, Routes, Side, TransferError};
use fdflow_tokio::{AsyncSink, Plain, Transfer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixStream, unix::pipe};

use support::{Room, current_thread};

const CHILD: &str = "FDFLOW_TEST_CHILD";

/// The end of a transfer of short messages into `sink`, whose reader is gone after the first of
/// them: the first step of a transfer is made with more care than those that follow.
async fn into_closed(
    sink: impl AsyncSink,
    mut reader: impl AsyncRead + Unpin,
    routes: Routes,
) -> TransferError {
    let (source, mut far) = UnixStream::pair().unwrap();
    let mut transfer = Transfer::new(source, sink).routes(routes);
    let (ended, ()) = tokio::join!(transfer.run(), async {
        far.write_all(&[7; 64]).await.unwrap();
        reader.read_exact(&mut [0; 64]).await.unwrap();
        drop(reader);
        far.write_all(&[7; 64]).await.unwrap();
    });
    ended.expect_err("nobody reads, and it says that all is well")
}

/// Takes everything, and writes to a pipe only at the second flush.
struct Late {
    pipe: PipeWriter,
    asked: bool,
}

impl AsyncWrite for Late {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.asked, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.pipe.write_all(b"late"))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn h62_a_closed_sink_is_an_error_and_no_signal() {
    let name = "h62_a_closed_sink_is_an_error_and_no_signal";
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let status = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").status();
        assert!(status.as_ref().unwrap().success(), "{status:?}");
        return;
    }
    let _room = Room::enter();
    // SAFETY: no handler is installed; the default, which is deadly, needs none.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_ne!(before, libc::SIG_ERR);
    current_thread().block_on(async {
        let (plain, spliced) = (Routes::only(Route::ReadWrite), Routes::only(Route::Splice));
        for routes in [Routes::all(), plain, spliced] {
            let (sink, reader) = UnixStream::pair().unwrap();
            let error = into_closed(sink, reader, routes).await;
            assert_eq!((error.kind(), error.side()), (ErrorKind::BrokenPipe, Some(Side::Sink)));

            let (sink, reader) = pipe::pipe().unwrap();
            let error = into_closed(sink, reader, routes).await;
            assert_eq!((error.kind(), error.side()), (ErrorKind::BrokenPipe, Some(Side::Sink)));
        }
        let (far, pipe) = io::pipe().unwrap();
        drop(far);
        let late = Plain::new(Late { pipe, asked: false });
        let error = into_closed(late, tokio::io::repeat(7), plain).await;
        assert_eq!((error.kind(), error.operation()), (ErrorKind::BrokenPipe, Operation::Flush));
    });
}
