//! Bodies where sendfile cannot be: other transports, readers on the way, several connections in
//! one task.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use fdflow_hyper::{FileBody, Listener, Transport, Why};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Folder, Server, boxed, sendfile_allowed};

#[test]
fn on_a_plain_connection_the_same_body_is_read() {
    let folder = Folder::with(3 << 20);
    let file = folder.open();
    let server =
        Server::start(move |_| FileBody::new(file.clone()), boxed, |stream| Box::new(stream));
    assert!(server.connect().get("/") == folder.bytes);
    let delivery = &server.deliveries()[0];
    assert_eq!((delivery.sendfile(), delivery.copied()), (0, 3 << 20));
    assert_eq!(delivery.why(), Some(Why::OtherTransport));
}

#[test]
fn a_layer_that_reads_the_frames_sees_the_file_and_so_does_the_client() {
    let folder = Folder::with(3 << 20);
    let file = folder.open();
    let server = Server::start(
        move |_| FileBody::new(file.clone()),
        |body| boxed(Inverted(body)),
        |stream| Box::new(Transport::new(stream)),
    );
    let inverted: Vec<u8> = folder.bytes.iter().map(|byte| !byte).collect();
    assert!(server.connect().get("/") == inverted);
    assert_eq!(server.deliveries()[0].sendfile(), 0);
}

/// Turns every bit of what it reads.
struct Inverted(FileBody);

impl http_body::Body for Inverted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let turn =
            |frame: Frame<Bytes>| frame.map_data(|bytes| bytes.iter().map(|byte| !byte).collect());
        Pin::new(&mut self.0).poll_frame(cx).map_ok(turn)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

#[test]
fn a_copied_body_under_such_a_layer_survives_a_file_that_is_cut() {
    let folder = Folder::with(8 << 20);
    let file = folder.open();
    let server = Server::start(
        move |_| FileBody::new(file.clone()).copied(),
        |body| boxed(Inverted(body)),
        |stream| Box::new(Transport::new(stream)),
    );
    let mut client = server.connect();
    support::slow(&client);
    client.ask("/");
    client.head();
    let first = client.bytes(1000);
    assert!(first.iter().zip(&folder.bytes).all(|(a, b)| *a == !b));
    std::fs::OpenOptions::new().write(true).open(&folder.path).unwrap().set_len(5).unwrap();
    assert!(first.len() + client.rest().len() < 8 << 20);
    let error = server.ended.recv().unwrap().unwrap_err();
    assert!(error.contains("cut while it was sent"), "{error}");
    assert_eq!(server.deliveries()[0].why(), Some(Why::Asked));
}

/// What the documentation warns of: a lent frame that is read after the file was cut.
#[test]
fn reading_a_lent_frame_of_a_file_that_was_cut_raises_sigbus() {
    const CHILD: &str = "FDFLOW_TEST_READS_A_CUT_FILE";
    if !sendfile_allowed() {
        return;
    }
    if std::env::var_os(CHILD).is_some() {
        return read_a_cut_file();
    }
    let this_test = "reading_a_lent_frame_of_a_file_that_was_cut_raises_sigbus";
    let status = Command::new(std::env::current_exe().unwrap())
        .args([this_test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(7), "SIGBUS");
}

fn read_a_cut_file() {
    let folder = Folder::with(8 << 20);
    let (file, path) = (folder.open(), folder.path.clone());
    let cut = move |body: FileBody| {
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        boxed(Inverted(body))
    };
    let server = Server::start(
        move |_| FileBody::new(file.clone()),
        cut,
        |stream| Box::new(Transport::new(stream)),
    );
    server.connect().get("/");
}

#[test]
fn through_axum_with_its_own_listener_files_go_by_sendfile() {
    let folder = Folder::with(2 << 20);
    let file = folder.open();
    let body = FileBody::new(file.clone());
    let delivery = body.delivery();
    let body = Arc::new(Mutex::new(Some(body)));
    let address = axum_server(
        Router::new()
            .route("/film", get(async move || Body::new(body.lock().unwrap().take().unwrap()))),
    );
    let mut client = support::Client::new(address);
    assert!(client.get("/film") == folder.bytes);
    if sendfile_allowed() {
        support::assert_sendfile(&delivery, 2 << 20);
    }
}

#[test]
fn over_http_2_the_body_is_read() {
    let folder = Folder::with(2 << 20);
    let (file, expected) = (folder.open(), folder.bytes.clone());
    let address = axum_server(
        Router::new().route("/film", get(async move || Body::new(FileBody::new(file.clone())))),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let got = runtime.block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get("http://test/film").body(String::new()).unwrap();
        client.send_request(request).await.unwrap().collect().await.unwrap().to_bytes()
    });
    assert!(got == expected);
}

fn axum_server(app: Router) -> std::net::SocketAddr {
    let (begun, address) = std::sync::mpsc::channel();
    support::on_a_thread(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        begun.send(listener.local_addr().unwrap()).unwrap();
        axum::serve(Listener::new(listener), app).await.unwrap();
    });
    address.recv().unwrap()
}
