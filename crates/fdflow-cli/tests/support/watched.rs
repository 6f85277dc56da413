//! A proxy that is looked at: its log, and its answers to those who look after it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};

use super::server::{Client, Server, eventually};
use super::{fdflow, unrestricted};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running proxy, and what it passes connections on to.
pub struct Proxy {
    pub server: Server,
    pub upstream: TcpListener,
}

impl Proxy {
    /// Runs with these flags too, and with a log of JSON.
    pub fn start(flags: &[&str]) -> Self {
        Self::run(fdflow(), "json", flags)
    }

    /// The same with every route allowed, for what is about routes.
    pub fn unrestricted(format: &str, flags: &[&str]) -> Self {
        Self::run(unrestricted(), format, flags)
    }

    pub fn run(mut command: Command, format: &str, flags: &[&str]) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = upstream.local_addr().unwrap().to_string();
        command.args(["proxy", "--listen", "127.0.0.1:0", "--to", &to, "--threads", "1"]);
        command.args(["--admin", "127.0.0.1:0", "--log-format", format]).args(flags);
        Self { server: Server::run(command, 2), upstream }
    }

    /// Runs with a file of services, one of which passes on to the upstream at `TO`.
    pub fn with_file(config: &std::path::Path, text: &str, services: usize) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy_to = |text: &str| text.replace("TO", &upstream.local_addr().unwrap().to_string());
        std::fs::write(config, proxy_to(text)).unwrap();
        let mut command = fdflow();
        command.args(["proxy", "--threads", "1", "--admin", "127.0.0.1:0", "--config"]);
        command.arg(config).args(["--log-format", "json"]);
        Self { server: Server::run(command, services + 1), upstream }
    }

    pub fn rewrite(&self, config: &std::path::Path, text: &str) {
        let to = self.upstream.local_addr().unwrap().to_string();
        std::fs::write(config, text.replace("TO", &to)).unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        let line = &self.server.greeting[0];
        line.rsplit_once(" at ").unwrap().1.parse().unwrap()
    }

    /// A client's connection, and the upstream's.
    pub fn pair(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        (client, self.accept())
    }

    pub fn accept(&self) -> TcpStream {
        self.upstream.set_nonblocking(true).unwrap();
        let mut accepted = None;
        eventually(
            || {
                accepted = self.upstream.accept().ok();
                accepted.is_some()
            },
            "a connection to the upstream",
        );
        let (server, _) = accepted.unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        server
    }

    /// The next line of the log.
    pub fn line(&mut self) -> Value {
        serde_json::from_str(&self.server.line()).unwrap()
    }

    /// The whole answer of the admin's side.
    pub fn ask(&self, method: &str, path: &str) -> String {
        self.admin().ask(method, path)
    }

    pub fn get(&self, path: &str) -> String {
        self.admin().get(path)
    }

    pub fn flows(&self) -> Vec<Value> {
        serde_json::from_str(&self.get("/flows")).unwrap()
    }

    /// The sum of a metric over all its labels that contain these.
    pub fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        self.admin().metric(name, labels)
    }

    fn admin(&self) -> Admin {
        Admin::of(&self.server)
    }
}

/// Where a command answers those who look after it.
#[derive(Debug, Clone, Copy)]
pub struct Admin(SocketAddr);

impl Admin {
    /// The last line of its greeting says where.
    pub fn of(server: &Server) -> Self {
        Self(server.address_in(server.greeting.len() - 1))
    }

    /// The whole answer.
    pub fn ask(&self, method: &str, path: &str) -> String {
        let mut client = Client::new(TcpStream::connect(self.0).unwrap());
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.send(request.as_bytes());
        client.rest()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let answer = self.ask("GET", path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The sum of a metric over all its labels that contain these.
    pub fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let text = self.get("/metrics");
        assert!(text.ends_with("# EOF\n"), "{text}");
        let of = |line: &str| {
            let (line, value) = line.rsplit_once(' ')?;
            let rest =
                line.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('{'))?;
            labels.iter().all(|label| rest.contains(label)).then(|| value.parse::<u64>().unwrap())
        };
        text.lines().filter_map(of).sum()
    }
}

/// An address where nobody listens, and nobody else may.
pub fn unheard() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Sends all of it, and reads as much at the other end.
pub fn pass(from: &mut (impl Write + Send), to: &mut impl Read, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    std::thread::scope(|scope| {
        scope.spawn(|| from.write_all(bytes).unwrap());
        to.read_exact(&mut read).unwrap();
    });
    assert!(read == bytes, "{} bytes came through, and not as they were", bytes.len());
}

pub fn end(line: &Value) -> (&str, &str) {
    (line["who"].as_str().unwrap(), line["why"].as_str().unwrap())
}

/// A service, whose upstream is at `TO`.
pub const ONE: &str = "[[service]]\nname = \"one\"\nlisten = [\"127.0.0.1:0\"]\nto = [\"TO\"]\n";
