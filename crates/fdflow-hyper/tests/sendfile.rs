//! Files on a connection that is a transport: by sendfile, whole, in order, nothing left behind.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::Write;
use std::net::Shutdown;

use fdflow::{Route, Routes};
use fdflow_hyper::{FileBody, OpenFile, Piece, Transport, Why};
use http_body::Body as _;
use http_body_util::BodyExt;
use support::{Folder, Server, boxed, content_length, pattern, sendfile_allowed};

#[test]
fn a_file_goes_out_by_sendfile_on_every_request_of_a_connection() {
    let folder = Folder::with(5_000_001);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    let mut client = server.connect();
    for round in 1..=3 {
        assert!(client.get("/") == folder.bytes, "round {round}");
    }
    if sendfile_allowed() {
        for delivery in server.deliveries() {
            support::assert_sendfile(&delivery, 5_000_001);
            assert_eq!((delivery.copied(), delivery.why()), (0, None));
        }
    }
}

#[test]
fn a_small_file_is_read_and_goes_with_its_head() {
    let folder = Folder::with(1000);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    assert_eq!(server.connect().get("/"), folder.bytes);
    let delivery = &server.deliveries()[0];
    assert_eq!((delivery.sendfile(), delivery.copied()), (0, 1000));
    assert_eq!(delivery.why(), Some(Why::Small));
}

#[test]
fn two_hundred_ranges_with_bytes_between_them_arrive_in_order() {
    let folder = Folder::with(8 << 20);
    let file = folder.open();
    let ranges: Vec<_> = (0..200u64).map(|i| i * 41_000..i * 41_000 + 100 + i * 300).collect();
    let mut expected = Vec::new();
    let mut pieces = Vec::new();
    let files = ranges.iter().map(|range| range.end - range.start).sum::<u64>();
    for (i, range) in ranges.into_iter().enumerate() {
        let head = format!("--part {i}\r\n");
        expected.extend(head.as_bytes());
        expected.extend(&folder.bytes[range.start as usize..range.end as usize]);
        pieces.push(Piece::Bytes(head.into()));
        pieces.push(Piece::File(file.clone(), range));
    }
    let server = Server::of(move |_| FileBody::of_pieces(pieces.clone()));
    let mut client = server.connect();
    support::slow(&client);
    assert!(client.get("/") == expected);
    assert!(client.get("/") == expected);
    if sendfile_allowed() {
        let delivery = &server.deliveries()[0];
        support::assert_sendfile(delivery, files - delivery.copied());
        assert!(delivery.sendfile() > delivery.copied());
    }
}

#[test]
fn an_empty_file_and_an_empty_range_have_no_body() {
    let folder = Folder::with(0);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    let mut client = server.connect();
    assert_eq!(client.get("/"), b"");
    let full = Folder::with(100_000);
    let file = full.open();
    let server = Server::of(move |_| FileBody::of_range(file.clone(), 90_000..90_000));
    assert_eq!(server.connect().get("/"), b"");
}

#[test]
fn a_range_past_the_end_stops_at_the_end() {
    let folder = Folder::with(100_000);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::of_range(file.clone(), 40_000..u64::MAX));
    assert!(server.connect().get("/") == folder.bytes[40_000..]);
}

#[test]
fn a_body_without_a_length_goes_in_chunks_by_sendfile() {
    let folder = Folder::with(300_000);
    let file = folder.open();
    let unsized_body = |body: FileBody| boxed(StreamOf(body));
    let server = Server::start(
        move |_| FileBody::new(file.clone()),
        unsized_body,
        |stream| Box::new(Transport::new(stream)),
    );
    let mut client = server.connect();
    client.ask("/");
    assert!(client.head().contains("transfer-encoding: chunked"));
    let mut body = Vec::new();
    loop {
        let length = client.line();
        let chunk = client.bytes(usize::from_str_radix(&length, 16).unwrap());
        assert_eq!(client.line(), "");
        if chunk.is_empty() {
            break;
        }
        body.extend(chunk);
    }
    assert!(body == folder.bytes);
    if sendfile_allowed() {
        support::assert_sendfile(&server.deliveries()[0], 300_000);
    }
}

/// The frames of a body whose length is not told.
struct StreamOf(FileBody);

impl http_body::Body for StreamOf {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    let folder = Folder::with(3_000_000);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    let mut client = server.connect();
    support::slow(&client);
    client.ask("/");
    let length = content_length(&client.head()).unwrap();
    let mut got = Vec::new();
    while got.len() < length {
        let n = (length - got.len()).min(1000);
        got.extend(client.bytes(n));
    }
    assert!(got == folder.bytes);
}

#[test]
fn an_aborted_download_leaves_no_region_mapping_or_descriptor() {
    let folder = Folder::with(50 << 20);
    let path = folder.path.clone();
    let server = Server::of(move |_| FileBody::new(support::open(&path)));
    let mut client = server.connect();
    client.ask("/");
    assert_eq!(content_length(&client.head()), Some(50 << 20));
    client.bytes(100_000);
    if sendfile_allowed() {
        assert!(folder.in_use(), "it is sent while the client is there");
    }
    client.stream.shutdown(Shutdown::Both).unwrap();
    drop(client);
    assert!(server.ended.recv().unwrap().is_err());
    assert!(!folder.in_use());
}

#[test]
fn a_connection_that_is_kept_alive_holds_nothing_of_the_last_answer() {
    let folder = Folder::with(2 << 20);
    let path = folder.path.clone();
    let small = Folder::with(10);
    let other = small.path.clone();
    let server = Server::of(move |asked| match asked {
        "/film" => FileBody::new(support::open(&path)),
        _ => FileBody::new(support::open(&other)),
    });
    let mut client = server.connect();
    assert!(client.get("/film") == folder.bytes);
    // The answer to the next request cannot come before the last one is put away.
    assert_eq!(client.get("/small"), small.bytes);
    assert!(!folder.in_use());
}

#[test]
fn h15_a_file_that_is_cut_closes_the_connection() {
    let folder = Folder::with(12 << 20);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    let mut client = server.connect();
    support::slow(&client);
    client.ask("/");
    assert_eq!(content_length(&client.head()), Some(12 << 20));
    let first = client.bytes(10_000);
    std::fs::OpenOptions::new().write(true).open(&folder.path).unwrap().set_len(11 << 20).unwrap();
    // A second request must get no answer: what came would be taken for the rest of the first.
    client.ask("/");
    let rest = client.rest();
    assert!(first.len() + rest.len() < 12 << 20);
    let error = server.ended.recv().unwrap().unwrap_err();
    assert!(error.contains("cut while it was sent"), "{error}");
}

#[test]
fn h16_a_file_that_grows_sends_what_was_promised() {
    let folder = Folder::with(12 << 20);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    let mut client = server.connect();
    support::slow(&client);
    client.ask("/");
    assert_eq!(content_length(&client.head()), Some(12 << 20));
    let mut grown = std::fs::OpenOptions::new().append(true).open(&folder.path).unwrap();
    grown.write_all(&pattern(1 << 20)).unwrap();
    assert!(client.bytes(12 << 20) == folder.bytes);
    // What follows is the next answer, and nothing else.
    client.ask("/");
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn without_sendfile_among_its_routes_a_connection_reads() {
    let folder = Folder::with(1 << 20);
    let file = folder.open();
    let routes = Routes::all().without(Route::Sendfile);
    let server = Server::start(
        move |_| FileBody::new(file.clone()),
        boxed,
        move |stream| Box::new(Transport::with_routes(stream, routes)),
    );
    assert!(server.connect().get("/") == folder.bytes);
    let delivery = &server.deliveries()[0];
    assert_eq!((delivery.sendfile(), delivery.copied()), (0, 1 << 20));
    assert_eq!(delivery.why(), Some(Why::Denied));
}

#[test]
fn a_file_that_is_not_in_the_page_cache_is_sent_from_another_thread() {
    let folder = Folder::with(4 << 20);
    let raw = std::fs::File::open(&folder.path).unwrap();
    raw.sync_all().unwrap();
    rustix::fs::fadvise(&raw, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let file = OpenFile::new(raw).unwrap();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    assert!(server.connect().get("/") == folder.bytes);
    if sendfile_allowed() {
        support::assert_sendfile(&server.deliveries()[0], 4 << 20);
    }
}

#[test]
fn one_who_reads_without_end_does_not_keep_others_waiting() {
    let folder = Folder::with(0);
    let huge = std::fs::OpenOptions::new().write(true).open(&folder.path).unwrap();
    huge.set_len(1 << 40).unwrap();
    let huge = folder.open();
    let small = Folder::with(20_000);
    let file = small.open();
    let server = Server::of(move |path| match path {
        "/huge" => FileBody::new(huge.clone()),
        _ => FileBody::new(file.clone()),
    });
    let mut greedy = server.connect();
    greedy.ask("/huge");
    std::thread::spawn(move || while !greedy.bytes(1 << 20).is_empty() {});
    let mut other = server.connect();
    for _ in 0..20 {
        assert_eq!(other.get("/small"), small.bytes);
    }
}

#[tokio::test]
async fn a_body_says_its_length_before_and_while_it_is_read() {
    let folder = Folder::with(100_000);
    let mut body = FileBody::new(folder.open());
    assert_eq!((body.length(), body.size_hint().exact()), (100_000, Some(100_000)));
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(body.length(), 100_000 - first.len() as u64);
    let rest = body.collect().await.unwrap().to_bytes();
    assert!([first, rest].concat() == folder.bytes);
}
