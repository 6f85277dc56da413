//! A client, the proxy, an upstream, and the folder that flows are recorded in.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support;
use crate::support::server::Server;

/// Long enough for anything on a busy machine; a test that reaches it fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Line {
    pub proxy: Server,
    upstream: TcpListener,
}

impl Line {
    /// A proxy that records in `dir`, with these flags too.
    pub fn new(dir: &Path, flags: &[&str]) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = upstream.local_addr().unwrap().to_string();
        let mut command = support::fdflow();
        command.args(["proxy", "--listen", "127.0.0.1:0", "--to", &to, "--threads", "1"]);
        command.arg("--tap").arg(dir).args(flags);
        Self { proxy: Server::run(command, 1), upstream }
    }

    fn address(&self) -> SocketAddr {
        self.proxy.greeting[0].rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// The two ends of a flow.
    pub fn flow(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.address()).unwrap();
        let upstream = self.upstream.accept().unwrap().0;
        for end in [&client, &upstream] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_write_timeout(Some(PATIENCE)).unwrap();
            end.set_nodelay(true).unwrap();
        }
        (client, upstream)
    }

    /// Ends the proxy, which writes what is to be written.
    pub fn end(mut self) {
        self.proxy.signal(rustix::process::Signal::TERM);
        assert!(self.proxy.wait().success(), "{}", self.proxy.errors());
    }
}

/// Sends `bytes` in pieces, and the end; what the other end gets.
pub fn pass(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8], piece: usize) -> Vec<u8> {
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for piece in bytes.chunks(piece) {
                from.write_all(piece).unwrap();
            }
            from.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        to.read_to_end(&mut got).unwrap();
        got
    })
}

/// The same, without the end.
pub fn pass_on(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8]) {
    std::thread::scope(|scope| {
        scope.spawn(move || from.write_all(bytes).unwrap());
        let mut got = vec![0; bytes.len()];
        to.read_exact(&mut got).unwrap();
        assert!(got == bytes, "something else arrived");
    });
}

/// The files of a recording, in order.
pub fn files(dir: &Path, who: &str) -> Vec<PathBuf> {
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let (_, number) = name.split_once(&format!("-{who}.bin"))?;
        Some(number.strip_prefix('.').map_or(0, |number| number.parse().unwrap()))
    };
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(u32, PathBuf)> =
        all.filter_map(|path| Some((number(&path)?, path))).collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// What they hold together.
pub fn recorded(dir: &Path, who: &str) -> Vec<u8> {
    files(dir, who).iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}

/// The numbers in a line of the proxy's standard error.
pub fn numbers(errors: &str, line: &str) -> Vec<usize> {
    let line = errors.lines().find(|text| text.contains(line)).unwrap();
    let (_, said) = line.split_once("bytes ").unwrap();
    said.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}
