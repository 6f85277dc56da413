//! TLS of `fdflow serve`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;
use support::Folder;
use support::server::{Server, eventually};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A folder to serve, and apart from it the files of TLS.
struct Setup {
    folder: Folder,
    tls: tempfile::TempDir,
}

impl Setup {
    fn new(n: usize) -> Self {
        let setup = Self { folder: Folder::with(n), tls: tempfile::tempdir().unwrap() };
        setup.use_certificate("first");
        setup
    }

    fn use_certificate(&self, name: &str) {
        std::fs::copy(data(&format!("{name}.crt")), self.path("crt")).unwrap();
        std::fs::copy(data(&format!("{name}.key")), self.path("key")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tls.path().join(name)
    }

    fn serve(&self, flags: &[&str]) -> Server {
        let (crt, key) = (self.path("crt"), self.path("key"));
        let tls = ["--tls-cert", crt.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        Server::start(self.folder.dir(), &[&tls, flags].concat())
    }
}

fn connect(server: &Server) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    for name in ["first.crt", "second.crt"] {
        roots.add(CertificateDer::from_pem_file(data(name)).unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(server.address()).unwrap());
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

fn get(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> Vec<u8> {
    stream.write_all(b"GET /from HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn http_1_under_tls_serves_the_same_bytes_and_says_why_not_by_sendfile() {
    let setup = Setup::new(3_000_000);
    let mut server = setup.serve(&["--access-log", "-", "--log-format", "json"]);
    assert!(server.greeting[0].contains(" at https://127.0.0.1:"), "{:?}", server.greeting);
    assert!(get(&mut connect(&server)).ends_with(&setup.folder.bytes));
    let line: serde_json::Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!((&line["bytes"], &line["copied"]), (&3_000_000.into(), &3_000_000.into()), "{line}");
    assert!(line["why"].as_str().unwrap().contains("sendfile"), "{line}");
}

#[test]
fn http_2_is_spoken_with_those_who_prefer_it() {
    let setup = Setup::new(3_000_000);
    let server = setup.serve(&[]);
    let url = format!("https://localhost:{}/from", server.address().port());
    let ask = |version: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-s", version, "-w", "%{stderr}%{http_version}", "--cacert"])
            .arg(data("first.crt"));
        curl.arg(&url).output()
    };
    let Ok(output) = ask("--http2") else {
        eprintln!("SKIPPED: there is no curl");
        return;
    };
    let version = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout == setup.folder.bytes, "{} bytes, {version}", output.stdout.len());
    assert_eq!(version, "2");
    let output = ask("--http1.1").unwrap();
    assert!(output.stdout == setup.folder.bytes);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "1.1");
}

#[test]
fn a_new_certificate_is_taken_at_sighup_and_a_bad_one_is_not() {
    let setup = Setup::new(10);
    let server = setup.serve(&[]);
    let shown = |server: &Server| {
        let stream = connect(server);
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let certificate = |name| CertificateDer::from_pem_file(data(name)).unwrap();
    assert_eq!(shown(&server), certificate("first.crt"));
    std::fs::write(setup.path("key"), "no key").unwrap();
    server.signal(Signal::HUP);
    server.said("not reloaded: ");
    assert_eq!(shown(&server), certificate("first.crt"));
    setup.use_certificate("second");
    server.signal(Signal::HUP);
    eventually(|| server.errors().lines().any(|line| line.ends_with(": reloaded")), "a reload");
    assert_eq!(shown(&server), certificate("second.crt"));
}

#[test]
fn a_key_of_another_certificate_is_told_at_the_start() {
    let mut command = support::fdflow();
    command.args(["serve", "--listen", "127.0.0.1:0", "--tls-cert"]).arg(data("first.crt"));
    let output = command.arg("--tls-key").arg(data("second.key")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(support::stderr(&output).contains("belong together"), "{}", support::stderr(&output));
}

#[test]
fn h70_who_does_not_shake_hands_is_cut() {
    let setup = Setup::new(10);
    let server = setup.serve(&["--header-timeout", "300ms", "--idle-timeout", "600ms"]);
    assert!(server.connect().is_cut());
    let mut plain = server.connect();
    plain.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(plain.is_cut());
    let mut silent = connect(&server);
    assert_eq!(silent.read(&mut [0; 10]).unwrap_or(0), 0);
}
