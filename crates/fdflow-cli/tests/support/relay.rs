//! The relay as a child process, its producer and its readers, and what its log says.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use ring::digest::{Digest, SHA256, digest};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;

use super::ends::{At, Stream};
use super::fdflow;
use super::process::{Held, Process};
use super::server::{Server, eventually};

/// Empty pipes that the program keeps for later.
const POOLED: usize = 8;

/// A running `fdflow relay`, ended when it is dropped.
pub struct Relay {
    pub server: Server,
    /// Where a producer connects to, with `--from tcp-listen://` and `unix-listen://`.
    pub producers: Option<At>,
    /// Where readers connect to, in the order of what it printed.
    pub readers: Vec<At>,
}

/// A line of its log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ended {
    pub reader: u64,
    pub kind: String,
    pub peer: String,
    /// The byte of the stream that it began with.
    pub start: Option<u64>,
    pub bytes: u64,
    pub missed: u64,
    pub lag: u64,
    pub why: String,
    pub detail: Option<String>,
}

/// `fdflow relay` with a log of JSON. Nobody may read yet: add `--listen`.
pub fn relay(from: &str, flags: &[&str]) -> Command {
    let mut command = fdflow();
    command.args(["relay", "--from", from, "--log-format", "json"]).args(flags);
    command
}

impl Relay {
    /// For a producer and for readers that connect to ports of 127.0.0.1.
    pub fn start(flags: &[&str]) -> Self {
        Self::from("tcp-listen://127.0.0.1:0", flags)
    }

    /// For readers that connect to a port of 127.0.0.1.
    pub fn from(from: &str, flags: &[&str]) -> Self {
        let mut command = relay(from, flags);
        command.args(["--listen", "127.0.0.1:0"]);
        Self::run(command)
    }

    /// Runs a command. Ready when it has printed where producers and readers are awaited.
    pub fn run(command: Command) -> Self {
        Self::run_on(command, Stdio::null())
    }

    /// The same, with this as standard input.
    pub fn run_on(command: Command, stdin: Stdio) -> Self {
        // What is listened on has a line each, and so have the producer and the recording.
        let listens = |name: &&std::ffi::OsStr| {
            ["--listen", "--http", "--admin", "--record"].iter().any(|flag| name == flag)
        };
        let lines = 1 + command.get_args().filter(listens).count();
        Self::run_with(command, lines, stdin)
    }

    /// The same for a command that prints so many lines.
    pub fn run_with(command: Command, lines: usize, stdin: Stdio) -> Self {
        let server = Server::run_on(command, lines, stdin);
        let from = server.greeting[0].strip_prefix("relaying ").unwrap();
        let tcp = from.strip_prefix("tcp-listen://").map(|at| At::Tcp(at.parse().unwrap()));
        let unix = || from.strip_prefix("unix-listen://").map(|at| At::Unix(at.into()));
        let producers = tcp.or_else(unix);
        let at = |line: &String| line.strip_prefix("readers at ").map(|at| at.parse().unwrap());
        let readers = server.greeting.iter().filter_map(at).collect();
        Self { server, producers, readers }
    }

    /// A producer, connected.
    #[track_caller]
    pub fn produce(&self) -> Stream {
        self.producers.as_ref().unwrap().connect()
    }

    /// A reader, connected: at the first address.
    #[track_caller]
    pub fn read(&self) -> Stream {
        self.readers[0].connect()
    }

    /// So many of them, in turns at every address.
    #[track_caller]
    pub fn read_by(&self, n: usize) -> Vec<Stream> {
        self.readers.iter().cycle().take(n).map(At::connect).collect()
    }

    /// Waits until so many readers have joined its fan-out: each has a pipe there, as the stream
    /// has one. Bytes that are sent after that are for all of them.
    #[track_caller]
    pub fn has_joined(&self, readers: usize) {
        eventually(|| self.process().pipes().1 > readers, "readers that have joined");
    }

    /// Sends it this until it takes nothing more, since somebody is waited for. How much it was.
    #[track_caller]
    pub fn fill(&self, producer: &Stream, stream: &[u8]) -> usize {
        let mut sent = 0;
        let is_full = || {
            let (before, ran) = (sent, self.process().ran());
            sent += producer.send_what_fits(&stream[sent..]);
            assert!(sent < stream.len(), "it has taken everything");
            let rests = || self.process().sleeps() && self.process().ran() == ran;
            sent == before && (0..20).all(|_| rests())
        };
        eventually(is_full, "a relay that waits");
        sent
    }

    pub fn process(&self) -> Process {
        Process(self.server.pid())
    }

    /// What it has open.
    pub fn held(&self) -> Held {
        self.process().held()
    }

    /// Waits until it has no more open than this, but for pipes that it keeps for later.
    #[track_caller]
    pub fn holds(&self, held: Held) {
        let is_back = || self.held().descriptors == held.descriptors;
        eventually(is_back, "descriptors at the baseline");
        let pipes = || self.process().pipes();
        eventually(|| pipes().1 <= held.pipes + POOLED, "pipes at the baseline");
    }

    /// The next line of its log.
    #[track_caller]
    pub fn ended(&self) -> Ended {
        let line = self.server.next_line();
        let line = line.unwrap_or_else(|| panic!("no line: {}", self.errors()));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The next line, with every key.
    pub fn line(&self) -> Value {
        serde_json::from_str(&self.server.next_line().unwrap()).unwrap()
    }

    /// The next line says this of why a reader ended.
    #[track_caller]
    pub fn ended_by(&self, why: &str) -> Ended {
        let ended = self.ended();
        assert_eq!(ended.why, why, "{ended:?}");
        ended
    }

    /// So many lines, in the order of the readers.
    #[track_caller]
    pub fn all_ended(&self, readers: usize) -> Vec<Ended> {
        let mut all: Vec<Ended> = (0..readers).map(|_| self.ended()).collect();
        all.sort_by_key(|ended| ended.reader);
        all
    }

    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.server.wait()
    }

    /// Waits for its end, which is a good one.
    #[track_caller]
    pub fn is_done(&mut self) {
        assert_eq!(self.wait().code(), Some(0), "{}", self.errors());
    }

    pub fn errors(&self) -> String {
        self.server.errors()
    }

    /// Waits until it has written `text` to standard error.
    #[track_caller]
    pub fn said(&self, text: &str) {
        let said = || self.errors().contains(text);
        eventually(said, &format!("`{text}` in: {}", self.errors()));
    }
}

/// A reader that can be stopped and continued by signals: a `cat` whose standard input is the
/// connection.
pub struct Cat {
    child: Child,
    out: File,
}

impl Cat {
    pub fn new(stream: Stream) -> Self {
        let out = tempfile::tempfile().unwrap();
        let mut command = Command::new("cat");
        command.stdin(OwnedFd::from(stream)).stdout(out.try_clone().unwrap());
        Self { child: command.spawn().unwrap(), out }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stopped for certain.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let status = format!("/proc/{}/status", self.child.id());
        let is_stopped = || std::fs::read_to_string(&status).unwrap().contains("State:\tT");
        eventually(is_stopped, "a process that is stopped");
    }

    /// How many bytes it has got.
    pub fn bytes(&self) -> u64 {
        self.out.metadata().unwrap().len()
    }

    /// Goes on, if it was stopped: all that it gets until the end.
    #[track_caller]
    pub fn rest(mut self) -> Vec<u8> {
        self.signal(Signal::CONT);
        let mut status = None;
        let ended = || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        };
        eventually(ended, "the end of a reader");
        let mut bytes = Vec::new();
        self.out.seek(SeekFrom::Start(0)).unwrap();
        self.out.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

impl Drop for Cat {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill().is_ok();
        let _waited = self.child.wait().is_ok();
    }
}

/// The same bytes, as far as SHA-256 tells.
#[track_caller]
pub fn same(one: &[u8], other: &[u8]) {
    assert_eq!(one.len(), other.len());
    assert_eq!(sum(one).as_ref(), sum(other).as_ref());
}

fn sum(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes)
}

/// How many bytes of `stream` are left out of `got`, which has pieces of it in their order; the first
/// piece begins the stream. A stream of [`pattern`](super::pattern) tells the place of every piece.
#[track_caller]
pub fn left_out(got: &[u8], stream: &[u8]) -> u64 {
    let (mut at, mut from, mut missed) = (0, 0, 0);
    loop {
        let (rest, there) = (&got[from..], &stream[at..]);
        let alike = rest.iter().zip(there).take_while(|(one, other)| one == other).count();
        (at, from) = (at + alike, from + alike);
        if from == got.len() {
            return missed;
        }
        let needle = &got[from..got.len().min(from + 16)];
        let gap = memchr::memmem::find(&stream[at..], needle);
        let gap = gap.unwrap_or_else(|| panic!("byte {from} is of no place after {at}"));
        missed += gap as u64;
        at += gap;
    }
}

/// A FIFO.
pub fn fifo(path: PathBuf) -> PathBuf {
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    path
}
