//! A server on a real socket, and a client that says exactly what it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use fdflow_files::{Symlinks, UploadOptions, Uploads};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that is uploaded to.
pub(crate) struct DropBox {
    pub(crate) path: PathBuf,
    pub(crate) address: SocketAddr,
    ended: Mutex<mpsc::Receiver<()>>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    kept: Option<TempDir>,
}

impl DropBox {
    pub(crate) fn new(options: UploadOptions) -> Self {
        let kept = TempDir::new().expect("a folder");
        let mut new = Self::at(kept.path(), options);
        new.kept = Some(kept);
        new
    }

    /// Serves a folder that there is.
    pub(crate) fn at(path: &Path, options: UploadOptions) -> Self {
        let service = Uploads::new(path, Symlinks::Inside, options).expect("a service");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let ended = Mutex::new(ended);
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(listener, service, end) => {}
                    _ = stopped => {}
                }
            });
            // The runtime waits here for what its blocking threads are at.
        });
        let (stop, server) = (Some(stop), Some(server));
        Self { path: path.to_owned(), address, ended, stop, server, kept: None }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).expect("a connection"))
    }

    /// Sends one request on a connection of its own, and reads the answer.
    pub(crate) fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut client = self.connect();
        client.request(head, Some(body.len()));
        client.send(body);
        if head.starts_with("HEAD ") { client.answer_to_head() } else { client.answer() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until so many connections have ended, with all that was done for them.
    pub(crate) fn wait_for_ends(&self, number: usize) {
        let ended = self.ended.lock().expect("no panic");
        for _ in 0..number {
            ended.recv_timeout(PATIENCE).expect("a connection ends");
        }
    }

    /// All names in the folder, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.path)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path.join(name)).expect("a file")
    }

    /// Ends the server and waits for all that it was at.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            server.join().expect("the server has not panicked");
        }
    }

    /// What is there once nothing is going on any more.
    pub(crate) fn left(&mut self) -> Vec<String> {
        self.stop();
        self.names()
    }
}

impl Drop for DropBox {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

pub(crate) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        String::from_utf8_lossy(name.as_bytes()).into_owned()
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

async fn accept(listener: tokio::net::TcpListener, service: Uploads, end: mpsc::Sender<()>) {
    loop {
        // Out of descriptors: the next connection waits for one.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let (service, end) = (TowerToHyperService::new(service.clone()), end.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .half_close(false)
                .serve_connection(TokioIo::new(stream), service);
            // Clients that go away are what these tests are about.
            drop(connection.await);
            let _nobody_waits = end.send(());
        });
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, ahead: Vec::new() }
    }

    /// Sends a head: the request line, further lines, and the length where there is one.
    pub(crate) fn request(&mut self, head: &str, length: Option<usize>) {
        let mut lines = head.lines();
        let line = lines.next().expect("a request line");
        let mut text = format!("{line} HTTP/1.1\r\nHost: test\r\n");
        for field in lines {
            text.push_str(field.trim());
            text.push_str("\r\n");
        }
        if let Some(length) = length {
            text.push_str(&format!("Content-Length: {length}\r\n"));
        }
        text.push_str("\r\n");
        self.send(text.as_bytes());
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Sends a chunk; an empty one ends the body.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes());
        self.send(bytes);
        self.send(b"\r\n");
    }

    /// Goes away without another word.
    pub(crate) fn go(self) {
        self.stream.shutdown(Shutdown::Both).expect("a shutdown");
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.ahead.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).expect("text");
            }
            assert!(self.more(), "the answer breaks off");
        }
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).expect("an answer in time");
        self.ahead.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// Reads an answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.answer_to_head();
        let length = answer.field("content-length").and_then(|text| text.parse().ok());
        let length: usize = length.unwrap_or(0);
        while self.ahead.len() < length {
            assert!(self.more(), "the answer breaks off");
        }
        answer.body = String::from_utf8(self.ahead.drain(..length).collect()).expect("text");
        answer
    }

    /// Reads an answer that has no body whatever it says.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        let line = self.line();
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Answer { status, fields, body: String::new() }
    }

    /// Whether the server has closed the connection after its answer.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Bytes that are nowhere the same for long.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
