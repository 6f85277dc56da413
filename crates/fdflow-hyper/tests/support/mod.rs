//! A server of hyper's on a thread of its own, and a client that reads what really came.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "each test binary uses its own part of it, and fails by panicking"
)]

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fdflow_hyper::{Delivery, FileBody, OpenFile, Transport};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a handler answers with.
pub(crate) type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A running server; it ends with the process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// How each connection ended, in the order in which they did.
    pub(crate) ended: Receiver<Result<(), String>>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Server {
    /// Serves the bodies that `make` makes of a request's path, on transports.
    pub(crate) fn of(make: impl Fn(&str) -> FileBody + Send + Sync + 'static) -> Self {
        Self::start(move |path| make(path), boxed, |stream| Box::new(Transport::new(stream)))
    }

    /// Serves whatever `wrap` makes of the bodies, on whatever `carry` makes of a connection.
    pub(crate) fn start(
        make: impl Fn(&str) -> FileBody + Send + Sync + 'static,
        wrap: impl Fn(FileBody) -> Answer + Send + Sync + 'static,
        carry: impl Fn(tokio::net::TcpStream) -> Box<dyn Carrier> + Send + 'static,
    ) -> Self {
        let (begun, address) = channel();
        let (end, ended) = channel();
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&deliveries);
        let answer = Arc::new(move |path: &str| {
            let body = make(path);
            told.lock().unwrap().push(body.delivery());
            wrap(body)
        });
        on_a_thread(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            begun.send(listener.local_addr().unwrap()).unwrap();
            accept(listener, answer, end, carry).await;
        });
        Self { address: address.recv().unwrap(), ended, deliveries }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(self.address)
    }

    /// The figures of the bodies so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }
}

/// A connection for hyper.
pub(crate) trait Carrier:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin
{
}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Carrier for T {}

pub(crate) fn boxed<B>(body: B) -> Answer
where
    B: Body<Data = Bytes, Error = io::Error> + Send + 'static,
{
    UnsyncBoxBody::new(body)
}

/// Drives a future on a thread of its own.
pub(crate) fn on_a_thread(work: impl Future<Output = ()> + Send + 'static) {
    thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    });
}

async fn accept(
    listener: TcpListener,
    answer: Arc<impl Fn(&str) -> Answer + Send + Sync + 'static>,
    end: Sender<Result<(), String>>,
    carry: impl Fn(tokio::net::TcpStream) -> Box<dyn Carrier>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, end) = (Arc::clone(&answer), end.clone());
        let stream = TokioIo::new(carry(stream));
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let body = answer(request.uri().path());
                async { Ok::<_, io::Error>(Response::new(body)) }
            });
            let done = http1::Builder::new().serve_connection(stream, service).await;
            // The test may have ended.
            let _told = end.send(done.map_err(|error| format!("{error:?}"))).is_ok();
        });
    }
}

/// A client that speaks just enough HTTP.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).unwrap() }
    }

    pub(crate) fn ask(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.stream.read(&mut byte).unwrap(), 1, "the head is cut: {head:?}");
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.bytes(1));
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// The next `n` bytes.
    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Everything until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset ends it too.
        let _ended = self.stream.read_to_end(&mut bytes).is_ok();
        bytes
    }

    /// Asks, and gives back the body that `Content-Length` announces.
    pub(crate) fn get(&mut self, path: &str) -> Vec<u8> {
        self.ask(path);
        let head = self.head();
        let length = content_length(&head).unwrap();
        self.bytes(length)
    }
}

pub(crate) fn content_length(head: &str) -> Option<usize> {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    line.parse().ok()
}

/// Bytes in which every place is different from its neighbours.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| u8::try_from((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) & 255).unwrap())
        .collect()
}

/// A folder with one file.
pub(crate) struct Folder {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl Folder {
    pub(crate) fn with(length: usize) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("film.bin");
        let bytes = pattern(length);
        std::fs::write(&path, &bytes).unwrap();
        Self { _folder: folder, path, bytes }
    }

    pub(crate) fn open(&self) -> OpenFile {
        open(&self.path)
    }

    /// Whether this process has the file open, or mapped.
    pub(crate) fn in_use(&self) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let name = self.path.to_str().unwrap();
        maps.contains(name) || open_files().iter().any(|path| path == &self.path)
    }
}

pub(crate) fn open(path: &Path) -> OpenFile {
    OpenFile::new(File::open(path).unwrap()).unwrap()
}

fn open_files() -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    all.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
}

/// Whether routes are as they are by default: a test of a route that is denied cannot be made.
pub(crate) fn sendfile_allowed() -> bool {
    let allowed = fdflow::Policy::default().routes.contains(fdflow::Route::Sendfile);
    if !allowed {
        println!("SKIPPED: sendfile is denied by FDFLOW_DENY");
    }
    allowed
}

/// A socket whose receive buffer is small, so that the sender has to wait.
pub(crate) fn slow(client: &Client) {
    rustix::net::sockopt::set_socket_recv_buffer_size(&client.stream, 64 << 10).unwrap();
}

/// Checks how many bytes went out by sendfile: the client may have them all before its last call has
/// been counted.
#[track_caller]
pub(crate) fn assert_sendfile(delivery: &Delivery, n: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while delivery.sendfile() < n && Instant::now() < deadline {
        thread::yield_now();
    }
    assert_eq!(delivery.sendfile(), n, "by sendfile");
}
