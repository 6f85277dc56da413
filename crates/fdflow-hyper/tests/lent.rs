//! A file that goes on without the frame that it was handed over in.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::future::poll_fn;
use std::pin::pin;

use fdflow_hyper::{FileBody, Transport};
use http_body::Body as _;
use support::{Client, Folder, on_a_thread, sendfile_allowed};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

#[test]
fn what_is_lent_goes_on_by_sendfile_after_its_frame_is_gone_and_leaves_nothing() {
    if !sendfile_allowed() {
        return;
    }
    let folder = Folder::with(12 << 20);
    let file = folder.open();
    let (tell, told) = std::sync::mpsc::channel();
    on_a_thread(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tell.send(Err(listener.local_addr().unwrap())).unwrap();
        let mut transport = Transport::new(listener.accept().await.unwrap().0);
        // A transport knows its task from its first byte on.
        let work = tokio::spawn(async move {
            transport.write_all(b"head").await.unwrap();
            let body = FileBody::new(file);
            let delivery = body.delivery();
            let mut body = pin!(body);
            let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().unwrap();
            let frame = frame.into_data().unwrap();
            transport.write_all(&frame[..5 << 20]).await.unwrap();
            let mut rest = transport.lent(&frame[5 << 20..]).unwrap();
            assert!(transport.lent(b"other memory").is_none());
            drop(frame);
            transport.write_all_buf(&mut rest).await.unwrap();
            delivery
        });
        tell.send(Ok(work.await.unwrap())).unwrap();
    });
    let address = told.recv().unwrap().unwrap_err();
    let mut client = Client::new(address);
    support::slow(&client);
    assert_eq!(client.bytes(4), b"head");
    assert!(client.rest() == folder.bytes);
    let delivery = told.recv().unwrap().unwrap();
    assert_eq!((delivery.sendfile(), delivery.copied()), (12 << 20, 0));
    assert!(!folder.in_use());
}
