//! A relay that answers HTTP, and those who ask it.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::support::fdflow;
use super::support::relay::{Ended, Relay};
use super::support::server::{Client, eventually};

/// More than ever goes with a head.
pub const LARGE: usize = 3_000_000;

/// A relay, and a folder for what it records.
pub struct Site {
    pub dir: tempfile::TempDir,
    pub relay: Relay,
}

impl Site {
    /// Records, with these flags too.
    pub fn recorded(flags: &[&str]) -> Self {
        Self::run(fdflow(), true, flags)
    }

    /// Records nothing.
    pub fn fanned(flags: &[&str]) -> Self {
        Self::run(fdflow(), false, flags)
    }

    pub fn run(mut command: Command, records: bool, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        command.args(["relay", "--from", "tcp-listen://127.0.0.1:0", "--log-format", "json"]);
        command.args(["--threads", "1", "--http", "127.0.0.1:0"]).args(flags);
        if records {
            command.arg("--record").arg(dir.path().join("cam.ts"));
        }
        Self { relay: Relay::run(command), dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn address(&self) -> SocketAddr {
        let line = |line: &&String| line.starts_with("HTTP at http://");
        let line = self.relay.server.greeting.iter().find(line).unwrap();
        line.rsplit_once("://").unwrap().1.trim_end_matches('/').parse().unwrap()
    }

    pub fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address()).unwrap())
    }

    /// With a receive buffer of so many bytes, which are soon too few.
    pub fn connect_narrow(&self) -> Client {
        let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::STREAM);
        let socket = socket2::Socket::new(domain, kind, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&self.address().into()).unwrap();
        Client::new(socket.into())
    }

    /// One who gets the body as it is, and the connection's end at its end. The head has come.
    #[track_caller]
    pub fn follow(&self, path: &str) -> Client {
        let mut client = self.connect();
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        let head = client.head();
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        client
    }

    /// The whole answer, up to the connection's end.
    pub fn ask(&self, request: &str) -> String {
        let mut client = self.connect();
        client.send(request.replace('\n', "\r\n").as_bytes());
        client.rest()
    }

    /// A head and a body of a request on a connection that stays.
    pub fn range(client: &mut Client, range: &str) -> (String, Vec<u8>) {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nRange: bytes={range}\r\n\r\n");
        client.send(request.as_bytes());
        client.answer()
    }

    /// Waits until the recording has so many bytes. Leaves a line in the log.
    #[track_caller]
    pub fn has_recorded(&self, bytes: usize) {
        let last = format!("{0}-{0}", bytes - 1);
        let mut client = self.connect();
        let is_there = || Self::range(&mut client, &last).0.starts_with("HTTP/1.1 206");
        eventually(is_there, "bytes that are recorded");
        assert_eq!(self.relay.ended_by("done").bytes, 1);
    }

    /// The next line of the log is of a reader that speaks HTTP.
    #[track_caller]
    pub fn ended_by(&self, why: &str) -> Ended {
        let ended = self.relay.ended_by(why);
        assert_eq!(ended.kind, "http");
        ended
    }

    pub fn curl(&self, path: &str) -> Option<Curl> {
        if Command::new("curl").arg("-V").stdout(Stdio::null()).status().is_err() {
            eprintln!("SKIPPED: there is no curl");
            return None;
        }
        let out = self.path("curl.out");
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "--max-time", "120", "--noproxy", "*", "-N", "-D"]);
        command.arg(self.path("curl.head")).arg("-o").arg(&out);
        command.arg(format!("http://{}{path}", self.address()));
        Some(Curl { command, head: self.path("curl.head"), out, child: None })
    }
}

/// curl, which writes what it gets into a file.
pub struct Curl {
    pub command: Command,
    head: PathBuf,
    pub out: PathBuf,
    child: Option<Child>,
}

impl Curl {
    /// Starts it. The head of the answer has come.
    #[track_caller]
    pub fn start(mut self) -> Self {
        self.child = Some(self.command.spawn().unwrap());
        let has_head = || std::fs::read(&self.head).is_ok_and(|head| head.ends_with(b"\r\n\r\n"));
        eventually(has_head, "a head");
        self
    }

    /// Waits until it has so many bytes.
    #[track_caller]
    pub fn has(&self, bytes: usize) {
        let length = || File::open(&self.out).map_or(0, |file| file.metadata().unwrap().len());
        eventually(|| length() == bytes as u64, "bytes at curl's");
    }

    /// How it ends, and what it has got.
    #[track_caller]
    pub fn rest(mut self) -> (Option<i32>, Vec<u8>) {
        let mut child = match self.child.take() {
            Some(child) => child,
            None => self.command.spawn().unwrap(),
        };
        let status = child.wait().unwrap();
        (status.code(), std::fs::read(&self.out).unwrap_or_default())
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _killed = child.kill().is_ok();
            let _waited = child.wait().is_ok();
        }
    }
}
