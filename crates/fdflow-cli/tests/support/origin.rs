//! Upstreams that a test plays: each says its name to whoever comes, and then what it is told.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::server::{Client, Server};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is up until it is dropped.
pub struct Origin {
    listener: TcpListener,
    came: Arc<Mutex<Came>>,
    accepting: Option<JoinHandle<()>>,
}

/// Who came.
#[derive(Default)]
struct Came {
    open: Vec<TcpStream>,
    /// What each said, and whether it ended well.
    ended: Vec<(Vec<u8>, bool)>,
}

impl Origin {
    pub fn new(name: &'static str) -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), name)
    }

    /// There again where another was.
    pub fn at(address: SocketAddr, name: &'static str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let came = Arc::new(Mutex::new(Came::default()));
        let (accepts, all) = (listener.try_clone().unwrap(), Arc::clone(&came));
        let accepting = std::thread::spawn(move || {
            while let Ok((stream, _)) = accepts.accept() {
                all.lock().unwrap().open.push(stream.try_clone().unwrap());
                let all = Arc::clone(&all);
                std::thread::spawn(move || {
                    let ended = echo(stream, name);
                    all.lock().unwrap().ended.push(ended);
                });
            }
        });
        Self { listener, came, accepting: Some(accepting) }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// What those said who are gone, and whether they ended well.
    pub fn ended(&self) -> Vec<(Vec<u8>, bool)> {
        self.came.lock().unwrap().ended.clone()
    }

    /// Takes nobody any more, and resets who is there. Where it was nobody listens.
    pub fn die(mut self) -> SocketAddr {
        let address = self.address();
        self.stop();
        address
    }

    fn stop(&mut self) {
        // It wakes who accepts.
        let _woken = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).is_ok();
        if let Some(accepting) = self.accepting.take() {
            let _ended = accepting.join().is_ok();
        }
        let mut came = self.came.lock().unwrap();
        for stream in came.open.drain(..) {
            // The thread that reads from it has it too, so that closing alone says nothing.
            let _set = SockRef::from(&stream).set_linger(Some(Duration::ZERO)).is_ok();
            let _ended = stream.shutdown(Shutdown::Both).is_ok();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn echo(mut stream: TcpStream, name: &str) -> (Vec<u8>, bool) {
    let mut said = Vec::new();
    if stream.write_all(name.as_bytes()).is_err() {
        return (said, false);
    }
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => {
                // A reset after the end is no end that `read` tells of.
                let ended_well = stream.take_error().unwrap().is_none();
                // The test has another descriptor of it.
                let _ended = stream.shutdown(Shutdown::Both).is_ok();
                return (said, ended_well);
            }
            Ok(n) => {
                said.extend_from_slice(&buffer[..n]);
                if stream.write_all(&buffer[..n]).is_err() {
                    return (said, false);
                }
            }
            Err(_) => return (said, false),
        }
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    Origin::new("").die()
}

/// One that is there and answers nothing: nobody accepts, and there is no room to wait in.
pub struct Hanging {
    address: SocketAddr,
    _sockets: Vec<Socket>,
}

impl Hanging {
    pub fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        loop {
            let waits = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let connected = waits.connect_timeout(&address, Duration::from_millis(200)).is_ok();
            sockets.push(waits);
            if !connected {
                return Self { address: address.as_socket().unwrap(), _sockets: sockets };
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// `fdflow proxy` on a free port of 127.0.0.1, with these flags.
pub fn proxy(flags: &[&str]) -> Server {
    let mut command = super::fdflow();
    command.args(["proxy", "--listen", "127.0.0.1:0", "--threads", "1", "--log", "none"]);
    command.args(flags);
    started(command)
}

/// A proxy, started by a command that prints one address.
pub fn started(command: Command) -> Server {
    Server::run(command, 1)
}

/// Where it listens.
pub fn address(proxy: &Server) -> SocketAddr {
    proxy.greeting[0].rsplit_once(" at ").unwrap().1.parse().unwrap()
}

pub fn connect(proxy: &Server) -> Client {
    Client::new(TcpStream::connect(address(proxy)).unwrap())
}

/// Who answers a client, which speaks first; nobody, if the connection ends without an answer.
pub fn who(proxy: &Server) -> String {
    who_to(TcpStream::connect(address(proxy)).unwrap())
}

/// The same to a client from another address of this machine.
pub fn who_from(proxy: &Server, last: u8) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).unwrap();
    socket.connect(&address(proxy).into()).unwrap();
    who_to(socket.into())
}

fn who_to(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Where nobody is it may be closed already.
    let _sent = stream.write_all(b"!").and_then(|()| stream.shutdown(Shutdown::Write)).is_ok();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => String::from_utf8(answer).unwrap().trim_end_matches('!').to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => String::new(),
        Err(error) => panic!("{error}"),
    }
}
