//! Who is let in to `fdflow serve`, and what it tells of its work.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rustix::process::Signal;
use support::server::{Client, Server, eventually};
use support::{Folder, fdflow, unrestricted};

/// `open sesame`, by bcrypt with the cost of 10.
const ALI: &str = "ali:$2b$10$4VVDngiyTEkw9wUSRON7i.vDCeCEjM84ZTz9bMFZj2q1sxFDygWte";
/// `Hello world!`, by SHA-crypt.
const SHA: &str = "sha:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

fn ask(server: &Server, authorization: &str) -> String {
    server.ask(
        format!(
            "GET /from HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {authorization}\r\n\r\n"
        )
        .as_bytes(),
    )
}

fn basic(pair: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
}

#[test]
fn only_users_with_their_passwords_are_let_in() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &["--auth", ALI, "--auth", SHA]);
    let refused = server.get("/from");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert!(refused.contains("www-authenticate: Basic realm="), "{refused}");
    for good in ["ali:open sesame", "sha:Hello world!", "ali:open sesame"] {
        assert!(ask(&server, &basic(good)).starts_with("HTTP/1.1 200"), "{good}");
    }
    for bad in ["ali:open", "ali:", "sha:open sesame", "eve:open sesame", "ali", ":", ""] {
        assert!(ask(&server, &basic(bad)).starts_with("HTTP/1.1 401"), "{bad}");
    }
    for bad in ["Basic", "Basic ~~~", "Bearer x", ""] {
        assert!(ask(&server, bad).starts_with("HTTP/1.1 401"), "{bad}");
    }
}

#[test]
fn a_password_that_was_right_is_not_hashed_again() {
    let folder = Folder::with(10);
    // Of the cost of 31, which takes days.
    let slow = ALI.replace("ali:$2b$10$", "slow:$2b$31$");
    let server = Server::start(folder.dir(), &["--auth", ALI, "--auth", &slow]);
    let right = basic("ali:open sesame");
    assert!(ask(&server, &right).starts_with("HTTP/1.1 200"));
    let before = server.threads();
    // Two are hashed at once, and these two are never done: whoever needs a turn waits for ever.
    let forever = [(); 2].map(|()| {
        let mut client = server.connect();
        let authorization = basic("slow:open sesame");
        let request =
            format!("GET /from HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n");
        client.send(request.as_bytes());
        client
    });
    // The thread that hashed before, and another.
    eventually(|| server.threads() > before, "both being hashed");
    assert!(ask(&server, &right).starts_with("HTTP/1.1 200"));
    drop(forever);
}

#[test]
fn pages_of_named_origins_may_read_and_preflights_need_no_password() {
    let folder = Folder::with(10);
    let server = Server::start(
        folder.dir(),
        &["--cors", "https://a.example", "--cors", "https://b.example", "--auth", ALI],
    );
    let from = |origin: &str| {
        let request = format!(
            "OPTIONS /from HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: PUT\r\n\r\n"
        );
        server.ask(request.as_bytes())
    };
    let allowed = from("https://b.example");
    assert!(allowed.starts_with("HTTP/1.1 200"), "{allowed}");
    assert!(allowed.contains("access-control-allow-origin: https://b.example"), "{allowed}");
    assert!(!from("https://c.example").contains("access-control-allow-origin"));
    let request = format!(
        "GET /from HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: https://a.example\r\nAuthorization: {}\r\n\r\n",
        basic("ali:open sesame")
    );
    let answer = server.ask(request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://a.example"), "{answer}");
}

/// Asks for a large and a small file and one that is not there.
fn three(server: &Server) {
    let mut client = server.connect();
    client.send(
        b"GET /from?a=%22 HTTP/1.1\r\nHost: x\r\nUser-Agent: a\"b\r\nReferer: http://r/\r\n\r\n",
    );
    client.answer();
    client.get("/small");
    client.get("/none");
}

#[test]
fn the_log_tells_bytes_duration_route_and_why_not_sendfile() {
    let folder = Folder::with(3_000_000);
    std::fs::write(folder.path("small"), "small").unwrap();
    let mut command = unrestricted();
    command.args(["serve", "--listen", "127.0.0.1:0", "--access-log", "-", "--log-format", "json"]);
    let mut server = Server::run(with_dir(command, &folder), 1);
    three(&server);
    let mut line = || serde_json::from_str::<serde_json::Value>(&server.line()).unwrap();
    let large = line();
    assert_eq!(large["route"], "sendfile", "{large}");
    assert_eq!(large["bytes"], 3_000_000, "{large}");
    assert_eq!(large["sendfile"], 3_000_000, "{large}");
    assert_eq!(large["target"], "/from?a=%22", "{large}");
    assert_eq!((&large["agent"], &large["referer"]), (&"a\"b".into(), &"http://r/".into()));
    assert!(large["seconds"].as_f64().unwrap() > 0.0 && large["complete"] == true, "{large}");
    let small = line();
    assert_eq!((&small["bytes"], &small["status"]), (&5.into(), &200.into()), "{small}");
    assert_ne!(small["route"], "sendfile", "{small}");
    assert_eq!(line()["status"], 404);
}

fn with_dir(mut command: std::process::Command, folder: &Folder) -> std::process::Command {
    command.args(["--threads", "1"]).arg(folder.dir());
    command
}

#[test]
fn a_denied_route_is_not_taken_and_the_log_says_so() {
    let folder = Folder::with(3_000_000);
    let mut command = unrestricted();
    command.args(["serve", "--listen", "127.0.0.1:0", "--access-log", "-", "--deny", "sendfile"]);
    let mut server = Server::run(with_dir(command, &folder), 1);
    assert_eq!(server.connect().get("/from").1, folder.bytes);
    let line = server.line();
    assert!(line.contains(" 200 3000000 ") && line.contains(" read_write \""), "{line}");
    assert!(line.ends_with("denied\""), "{line}");
}

#[test]
fn an_aborted_download_is_told_with_what_was_sent() {
    let folder = Folder::with(64_000_000);
    let mut server = Server::start(folder.dir(), &["--access-log", "-", "--log-format", "json"]);
    let mut client = server.connect();
    client.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
    client.head();
    drop(client);
    let line: serde_json::Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!(line["complete"], false, "{line}");
    assert!(line["bytes"].as_u64().unwrap() < 64_000_000, "{line}");
}

#[test]
fn the_log_file_is_opened_anew_at_sighup() {
    let folder = Folder::with(10);
    let logs = tempfile::tempdir().unwrap();
    let (log, old) = (logs.path().join("log"), logs.path().join("log.1"));
    let server = Server::start(folder.dir(), &["--access-log", log.to_str().unwrap()]);
    server.get("/one");
    let has = |path: &std::path::Path, text: &str| {
        std::fs::read_to_string(path).is_ok_and(|log| log.contains(text))
    };
    eventually(|| has(&log, "GET /one HTTP/1.1\" 404 "), "the first line");
    std::fs::rename(&log, &old).unwrap();
    server.signal(Signal::HUP);
    eventually(|| log.exists(), "a new log");
    server.get("/two");
    eventually(|| has(&log, "/two"), "the second line");
    assert!(!has(&old, "/two") && !has(&log, "/one"));
}

#[test]
fn a_reload_changes_what_is_served_and_a_wrong_file_changes_nothing() {
    let folder = Folder::with(10);
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "header = [\"X-Is: old\"]\n").unwrap();
    let server = Server::start(folder.dir(), &["--config", config.path().to_str().unwrap()]);
    let mut kept = server.connect();
    assert!(kept.get("/from").0.contains("x-is: old"));
    std::fs::write(config.path(), "nonsense = 1\n").unwrap();
    server.signal(Signal::HUP);
    server.said("not reloaded: ");
    assert!(server.errors().contains("`nonsense`"), "{}", server.errors());
    assert!(kept.get("/from").0.contains("x-is: old"));
    std::fs::write(config.path(), "header = [\"X-Is: new\"]\n").unwrap();
    server.signal(Signal::HUP);
    eventually(|| server.errors().lines().any(|line| line.ends_with(": reloaded")), "a reload");
    // For open connections too.
    assert!(kept.get("/from").0.contains("x-is: new"));
}

#[test]
fn metrics_and_health_are_on_a_listener_of_their_own() {
    let folder = Folder::with(3_000_000);
    std::fs::write(folder.path("small"), "small").unwrap();
    let mut command = unrestricted();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let server = Server::run(with_dir(command, &folder), 2);
    assert!(server.get("/metrics").starts_with("HTTP/1.1 404"));
    three(&server);
    let mut open = server.connect();
    open.get("/small");
    let admin = server.address_in(1);
    let ask = |path| Client::new(std::net::TcpStream::connect(admin).unwrap()).get(path);
    assert_eq!(ask("/healthz").1, b"ok\n");
    assert!(ask("/from").0.starts_with("HTTP/1.1 404"));
    let metrics = || String::from_utf8(ask("/metrics").1).unwrap();
    // An answer is counted when it is done with, which is after its client has it.
    let is_settled = |text: &str| {
        text.contains("connections_open 1") && text.contains("fdflow_request_seconds_count 5")
    };
    eventually(|| is_settled(&metrics()), "one open connection, and five requests");
    let text = metrics();
    for line in [
        "fdflow_requests_total{method=\"GET\",status=\"200\"} 3",
        "fdflow_requests_total{method=\"GET\",status=\"404\"} 2",
        "fdflow_request_seconds_count 5",
        "fdflow_sent_bytes_total{route=\"sendfile\"} 3000000",
        "fdflow_connections_accepted_total 3",
        "fdflow_open_files ",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.trim_end().ends_with("# EOF"));
    let mut refused = Client::new(std::net::TcpStream::connect(admin).unwrap());
    refused.send(b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(refused.answer().0.contains("allow: GET, HEAD"));
}

#[test]
fn a_client_cannot_forge_a_line_of_the_log() {
    let folder = Folder::with(10);
    let mut command = fdflow();
    command.args(["serve", "--listen", "127.0.0.1:0", "--access-log", "-"]);
    let mut server = Server::run(with_dir(command, &folder), 1);
    server.ask(
        b"GET /from HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: x\" 200\\\r\n\r\n",
    );
    let line = server.line();
    assert!(line.contains("\"x\\\" 200\\\\\""), "{line}");
}

#[test]
fn an_upload_is_taken_only_where_it_is_wanted_and_told_with_its_size() {
    let folder = Folder::with(10);
    let put = "PUT /new HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let server = Server::start(folder.dir(), &[]);
    assert!(server.ask(put.as_bytes()).starts_with("HTTP/1.1 405"));
    let flags = ["--upload", "--max-upload", "5", "--access-log", "-", "--log-format", "json"];
    let mut server = Server::start(folder.dir(), &flags);
    assert!(server.ask(put.as_bytes()).starts_with("HTTP/1.1 201"));
    assert_eq!(folder.read("new"), b"hello");
    assert!(server.line().contains("\"received\":5"));
    assert!(server.ask(put.as_bytes()).starts_with("HTTP/1.1 409"));
    assert!(
        server
            .ask(put.replace(": 5", ": 6").replace("hello", "hello!").as_bytes())
            .starts_with("HTTP/1.1 413")
    );
    let server = Server::start(folder.dir(), &["--upload", "--overwrite"]);
    assert!(server.ask(put.replace("hello", "other").as_bytes()).starts_with("HTTP/1.1 204"));
    assert_eq!(folder.read("new"), b"other");
}
