//! The proxy as a child process, what it leaves behind, and what its log says.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::ends::{At, Stream};
use super::fdflow;
use super::process::Process;
use super::server::{Server, eventually};

/// Empty pipes that the program keeps for later.
const POOLED: usize = 8;

/// A running `fdflow proxy`, ended when it is dropped.
pub struct Proxy {
    server: Server,
    /// Where it listens, in the order of what it printed.
    pub at: Vec<At>,
    /// Descriptors but for pipes, and pipes, before anybody came.
    baseline: (usize, usize),
}

/// A line of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub service: String,
    pub who: String,
    pub why: String,
    /// Bytes from the client, and to it.
    pub up: u64,
    pub down: u64,
    pub detail: String,
}

impl Ended {
    /// Reads a line. Only this knows what one looks like.
    fn read(line: &str) -> Self {
        let mut words = words(line);
        if !line.contains(" why=") {
            let names = ["service", "who", "why"];
            for (name, word) in names.into_iter().zip(line.split(' ')) {
                words.insert(name.to_owned(), word.to_owned());
            }
            let detail =
                line.split_once('"').map(|(_, rest)| rest.trim_end_matches('"').to_owned());
            words.insert("detail".to_owned(), detail.unwrap_or_default());
        }
        let mut word = |name: &str| words.remove(name).unwrap_or_default();
        Self {
            up: word("up").parse().unwrap_or(0),
            down: word("down").parse().unwrap_or(0),
            service: word("service"),
            who: word("who"),
            why: word("why"),
            detail: word("detail"),
        }
    }

    /// Who ended it and why.
    pub fn ending(&self) -> (&str, &str) {
        (&self.who, &self.why)
    }

    pub fn bytes(&self) -> (u64, u64) {
        (self.up, self.down)
    }
}

/// Of `key=value` and `key="some words"`.
fn words(line: &str) -> HashMap<String, String> {
    let mut words = HashMap::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('=') {
        let key = before.rsplit(' ').next().unwrap_or(before);
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\" ").unwrap_or((quoted.trim_end_matches('"'), "")),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        words.insert(key.to_owned(), value.to_owned());
        rest = next;
    }
    words
}

/// `fdflow proxy` with one thread on a free port of 127.0.0.1.
pub fn proxy(flags: &[&str]) -> Command {
    let mut command = fdflow();
    command.args(["proxy", "--threads", "1", "--listen", "127.0.0.1:0"]).args(flags);
    command
}

impl Proxy {
    /// Passes connections on to `to`.
    pub fn to(to: &At, flags: &[&str]) -> Self {
        let to = to.to_string();
        let mut all = vec!["--to", &to];
        all.extend(flags);
        Self::run(proxy(&all), 1)
    }

    /// Runs a command that prints so many addresses.
    pub fn run(command: Command, lines: usize) -> Self {
        Self::run_on(command, lines, Stdio::null())
    }

    /// The same, with this as standard input.
    pub fn run_on(command: Command, lines: usize, stdin: Stdio) -> Self {
        let server = Server::run_on(command, lines, stdin);
        let at = server.greeting.iter().map(|line| {
            let text = line.rsplit_once(" at ").unwrap().1;
            text.parse().unwrap()
        });
        let at = at.collect();
        let mut proxy = Self { server, at, baseline: (0, 0) };
        proxy.baseline = (proxy.descriptors(), proxy.pipes().1);
        proxy
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn connect(&self) -> Stream {
        self.at[0].connect()
    }

    /// From this address of the machine.
    pub fn connect_from(&self, from: &str) -> Stream {
        Stream::from_address(from, self.address())
    }

    /// Its address, which is one of TCP.
    pub fn address(&self) -> SocketAddr {
        match &self.at[0] {
            At::Tcp(address) => *address,
            At::Unix(path) => panic!("{} is no port", path.display()),
        }
    }

    /// The next line of its log.
    #[track_caller]
    pub fn ended(&self) -> Ended {
        let line = self.server.next_line();
        Ended::read(&line.unwrap_or_else(|| panic!("no line: {}", self.errors())))
    }

    /// Ends it by a signal, which no flow is to outlast: every line of its log that has not been
    /// read.
    #[track_caller]
    pub fn log(mut self) -> Vec<Ended> {
        self.signal(Signal::TERM);
        let code = self.wait().code();
        assert_eq!(code, Some(0), "{}", self.errors());
        std::iter::from_fn(|| self.server.next_line()).map(|line| Ended::read(&line)).collect()
    }

    /// The next line says this of who ended a flow and why.
    #[track_caller]
    pub fn ended_by(&self, who: &str, why: &str) -> Ended {
        let ended = self.ended();
        assert_eq!(ended.ending(), (who, why), "{ended:?}");
        ended
    }

    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.server.wait()
    }

    pub fn errors(&self) -> String {
        self.server.errors()
    }

    pub fn said(&self, text: &str) {
        self.server.said(text);
    }

    fn process(&self) -> Process {
        Process(self.pid())
    }

    /// How many descriptors it has, but for pipes.
    pub fn descriptors(&self) -> usize {
        self.process().held().descriptors
    }

    /// Pipes that hold bytes, and how many there are.
    pub fn pipes(&self) -> (usize, usize) {
        self.process().pipes()
    }

    /// How many flows rest: their sockets are in an epoll that no runtime waits in, and each
    /// runtime has an eventfd in its own.
    pub fn resting(&self) -> usize {
        let all = self.process().all_descriptors();
        let kind = |number: &str| {
            let is_it = |(path, _): &&(PathBuf, String)| path.ends_with(number);
            all.iter().find(is_it).map_or("", |(_, what)| what)
        };
        let epolls = all.iter().filter(|(_, what)| what.contains("[eventpoll]"));
        let sockets = epolls.map(|(path, _)| {
            let number = path.file_name().unwrap().to_str().unwrap();
            let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{number}", self.pid()));
            let info = info.unwrap_or_default();
            let watched = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
            let watched: Vec<&str> =
                watched.filter_map(|rest| rest.split_whitespace().next()).collect();
            let is_runtime = watched.iter().any(|fd| kind(fd).contains("[eventfd]"));
            if is_runtime { 0 } else { watched.len() }
        });
        sockets.sum::<usize>() / 2
    }

    /// Waits until so many flows rest.
    #[track_caller]
    pub fn rests(&self, flows: usize) {
        eventually(|| self.resting() == flows, "flows that rest");
    }

    /// Sockets of its own whose peer has closed, and it has not.
    pub fn close_wait(&self) -> usize {
        self.tcp_sockets("08")
    }

    /// Its TCP sockets that listen.
    pub fn sockets_that_listen(&self) -> usize {
        self.tcp_sockets("0A")
    }

    /// Its TCP sockets in a state.
    fn tcp_sockets(&self, state: &str) -> usize {
        let inode =
            |what: &str| what.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned);
        let all = self.process().all_descriptors();
        let ours: HashSet<String> = all.iter().filter_map(|(_, what)| inode(what)).collect();
        let count = |table: &str| {
            let table = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            let is_one = |line: &&str| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                fields.get(3) == Some(&state) && fields.get(9).is_some_and(|i| ours.contains(*i))
            };
            table.lines().filter(is_one).count()
        };
        count("tcp") + count("tcp6")
    }

    /// Bytes of memory that it has in use.
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Nanoseconds that its threads have run.
    pub fn ran(&self) -> u64 {
        self.process().ran()
    }

    /// No flow is left: descriptors at the baseline, no socket in CLOSE_WAIT, no pipe in use, and
    /// none of its threads runs any more.
    #[track_caller]
    pub fn is_at_rest(&self) {
        eventually(|| self.descriptors() == self.baseline.0, "descriptors at the baseline");
        assert_eq!(self.close_wait(), 0, "sockets in CLOSE_WAIT");
        let (full, pipes) = self.pipes();
        let own = pipes - self.baseline.1;
        assert!(full == 0 && own <= POOLED, "{full} pipes are in use, of {own}");
        self.runs_no_more();
    }

    /// None of its threads runs.
    pub fn runs_no_more(&self) {
        // Longer than any of its timers, of which nobody is to be left.
        self.process().rests_for(Duration::from_millis(300));
    }
}
