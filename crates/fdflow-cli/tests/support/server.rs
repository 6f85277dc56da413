//! The server as a child process, and clients that write raw bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Long enough for anything on a busy machine; a test that reaches it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `fdflow serve`, ended when it is dropped.
pub struct Server {
    child: Child,
    out: mpsc::Receiver<String>,
    errors: Arc<Mutex<String>>,
    /// What it printed up to the first line that says where.
    pub greeting: Vec<String>,
}

impl Server {
    /// Serves `dir` on a free port of 127.0.0.1, with these flags too.
    pub fn start(dir: &Path, flags: &[&str]) -> Self {
        let mut command = super::fdflow();
        command.args(["serve", "--listen", "127.0.0.1:0", "--threads", "1"]).args(flags).arg(dir);
        Self::run(command, 1)
    }

    /// Runs a command that prints so many addresses.
    pub fn run(command: Command, lines: usize) -> Self {
        Self::run_on(command, lines, Stdio::null())
    }

    /// The same, with this as standard input.
    pub fn run_on(mut command: Command, lines: usize, stdin: Stdio) -> Self {
        let mut child =
            command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, out) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The pipe is emptied even when nobody asks for the lines any more.
                let _asked_for = send.send(line).is_ok();
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let (kept, stderr) = (Arc::clone(&errors), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut greeting = Vec::new();
        for _ in 0..lines {
            let line = out.recv_timeout(PATIENCE);
            greeting.push(line.unwrap_or_else(|_| panic!("it ended: {}", errors.lock().unwrap())));
        }
        Self { child, out, errors, greeting }
    }

    /// The next line of its standard output.
    pub fn line(&mut self) -> String {
        self.next_line().unwrap()
    }

    /// The same; `None` where none comes.
    pub fn next_line(&self) -> Option<String> {
        self.out.recv_timeout(PATIENCE).ok()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address in a line of the greeting.
    pub fn address_in(&self, line: usize) -> SocketAddr {
        let text = self.greeting[line].rsplit_once("://").unwrap().1;
        text.trim_end_matches('/').parse().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.address_in(0)
    }

    pub fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// Waits until it has written `text` to standard error.
    pub fn said(&self, text: &str) {
        eventually(|| self.errors().contains(text), text);
    }

    pub fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address()).unwrap())
    }

    /// With a receive buffer of so many bytes, so that a client that does not read is noticed soon.
    pub fn connect_narrow(&self, buffer: usize) -> Client {
        let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::STREAM);
        let socket = socket2::Socket::new(domain, kind, None).unwrap();
        socket.set_recv_buffer_size(buffer).unwrap();
        socket.connect(&self.address().into()).unwrap();
        Client::new(socket.into())
    }

    /// Sends bytes, and reads all that comes until the server closes.
    pub fn ask(&self, bytes: &[u8]) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.rest()
    }

    /// The whole answer to a GET.
    pub fn get(&self, path: &str) -> String {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually(
            || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            },
            "its end",
        );
        status.unwrap()
    }

    /// Open descriptors of the server.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().count()
    }

    /// How often the thread of this name has gone to sleep by itself.
    pub fn sleeps(&self, thread: &str) -> u64 {
        let statuses = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let statuses = statuses.filter_map(|task| {
            // A thread may end meanwhile.
            std::fs::read_to_string(task.ok()?.path().join("status")).ok()
        });
        let field = |status: &str, name| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().to_owned()
        };
        let mut named = statuses.filter(|status| field(status, "Name:") == thread);
        let status = named.next().expect("a thread of this name");
        field(&status, "voluntary_ctxt_switches:").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill().is_ok();
        let _waited = self.child.wait().is_ok();
    }
}

/// What a command that refuses to start says; one that starts fails the test.
pub fn refusal(mut command: Command) -> std::process::Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE / 4 {
            child.kill().unwrap();
            panic!("it serves: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

/// Waits until something is so.
pub fn eventually(mut is_so: impl FnMut() -> bool, what: &str) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::yield_now();
    }
}

/// A client that writes what it is told.
pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A server that has refused already may have closed.
        let _sent = self.stream.write_all(bytes).is_ok();
    }

    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    pub fn get(&mut self, path: &str) -> (String, Vec<u8>) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        self.answer()
    }

    /// A head and as much of a body as it promises.
    pub fn answer(&mut self) -> (String, Vec<u8>) {
        let head = self.head();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
            })
            .unwrap_or(0);
        while self.read.len() < length {
            assert!(self.more() > 0, "ended in a body: {head}");
        }
        let rest = self.read.split_off(length);
        (head, std::mem::replace(&mut self.read, rest))
    }

    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            assert!(self.more() > 0, "ended in a head: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    fn more(&mut self) -> usize {
        let mut buffer = vec![0; 64 << 10];
        let n = self.stream.read(&mut buffer).unwrap();
        self.read.extend_from_slice(&buffer[..n]);
        n
    }

    /// All that comes until the server closes; a reset fails the test.
    pub fn rest(mut self) -> String {
        String::from_utf8_lossy(&self.rest_bytes()).into_owned()
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        while self.read.len() < n {
            assert!(self.more() > 0, "ended after {:?}", String::from_utf8_lossy(&self.read));
        }
        let rest = self.read.split_off(n);
        std::mem::replace(&mut self.read, rest)
    }

    pub fn rest_bytes(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Whether the server has ended the connection, in whatever way.
    pub fn is_cut(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return true,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
