//! `fdflow serve` as its users start, ask and end it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use rustix::process::Signal;
use support::server::{Server, eventually, refusal};
use support::{Folder, fdflow, stderr, stdout};

#[test]
fn the_help_names_every_flag_in_the_issue() {
    let output = fdflow().args(["serve", "--help"]).output().unwrap();
    let help = stdout(&output);
    for flag in [
        "[DIR]",
        "--listen <ADDR>",
        "--hidden",
        "--no-listing",
        "--index <NAME>",
        "--symlinks",
        "--spa",
        "--not-found <FILE>",
        "--header <N: V>",
        "--cache-control <VALUE>",
        "--compress",
        "--cors <ORIGIN>",
        "--auth <USER:HASH>",
        "--upload",
        "--overwrite",
        "--max-upload <SIZE>",
        "--rate <SIZE/s>",
        "--max-connections <N>",
        "--header-timeout",
        "--idle-timeout",
        "--write-timeout",
        "--tls-cert",
        "--tls-key",
        "--admin <ADDR>",
        "--access-log <-|FILE>",
        "--log-format",
        "--threads <N>",
        "--qr",
        "--open",
        "--deny <ROUTE>",
        "--config <FILE.toml>",
    ] {
        assert!(help.contains(flag), "{flag} is missing in\n{help}");
    }
}

#[test]
fn without_an_address_it_serves_the_current_folder_on_port_8080_and_says_so() {
    // The port may be somebody's; then the message must be the one for that.
    let folder = Folder::with(100);
    let taken = TcpListener::bind("127.0.0.1:8080");
    let mut command = fdflow();
    command.arg("serve").current_dir(folder.dir());
    if taken.is_err() {
        let output = refusal(command);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("127.0.0.1:8080"), "{}", stderr(&output));
        return;
    }
    drop(taken);
    let server = Server::run(command, 1);
    assert!(server.greeting[0].ends_with(" at http://127.0.0.1:8080/"), "{:?}", server.greeting);
    assert_eq!(server.connect().get("/from").1, folder.bytes);
}

#[test]
fn several_listeners_of_both_kinds_serve_the_same() {
    let folder = Folder::with(70_000);
    let socket = folder.path("socket");
    let unix = format!("unix://{}", socket.display());
    let mut command = fdflow();
    command.args(["serve", "--threads", "2", "--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    command.args(["--listen", &unix]).arg(folder.dir());
    let mut server = Server::run(command, 3);
    for line in [0, 1] {
        let stream = std::net::TcpStream::connect(server.address_in(line)).unwrap();
        assert_eq!(support::server::Client::new(stream).get("/from").1, folder.bytes);
    }
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /from HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&folder.bytes));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!socket.exists(), "its socket is left over");
}

#[test]
fn a_stale_socket_is_replaced_and_one_in_use_or_a_file_is_not() {
    let folder = Folder::with(10);
    let serve = |path: &std::path::Path| {
        let mut command = fdflow();
        command.args(["serve", "--listen", &format!("unix://{}", path.display())]);
        command.arg(folder.dir());
        command
    };
    let stale = folder.path("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let server = Server::run(serve(&stale), 1);
    assert!(UnixStream::connect(&stale).is_ok());
    let second = refusal(serve(&stale));
    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("somebody listens there"), "{}", stderr(&second));
    assert!(UnixStream::connect(&stale).is_ok());
    drop(server);
    let file = refusal(serve(&folder.path("from")));
    assert_eq!(file.status.code(), Some(2));
    assert!(stderr(&file).contains("no socket"), "{}", stderr(&file));
    assert_eq!(folder.read("from"), folder.bytes);
}

#[test]
fn a_socket_of_the_service_manager_is_served() {
    let folder = Folder::with(1000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The shell makes it descriptor 3 and says that it is for this process.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_fdflow")).args(["serve", "--threads", "2"]).arg(folder.dir());
    let server = Server::run_on(command, 1, std::os::fd::OwnedFd::from(listener).into());
    assert_eq!(server.address(), address);
    assert_eq!(server.connect().get("/from").1, folder.bytes);
}

#[test]
fn what_is_wrong_at_the_start_is_one_line_and_exit_code_2() {
    let folder = Folder::with(10);
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let dir = folder.dir().to_str().unwrap();
    let config = folder.path("wrong.toml");
    std::fs::write(&config, "spa = true\nlisten = [\"127.0.0.1:0\"]\nidle-timeot = \"5s\"\n")
        .unwrap();
    let from = folder.path("from");
    for (flags, told) in [
        (&["/no/such/folder"][..], "name a folder that is there"),
        (&[from.to_str().unwrap()], "is no folder"),
        (&[dir, "--listen", &busy], "end what listens there"),
        (&[dir, "--listen", "unix:///no/such/folder/x"], "choose a path"),
        (&[dir, "--tls-cert", "/no/such", "--tls-key", "/no/such"], "give --tls-cert a file"),
        (&[dir, "--tls-cert", "x"], "give --tls-key too"),
        (&[dir, "--tls-cert", from.to_str().unwrap(), "--tls-key", "x"], "--tls-cert reads PEM"),
        (&[dir, "--config", "/no/such.toml"], "name another file with --config"),
        (&[dir, "--config", config.to_str().unwrap()], "wrong.toml:3: "),
        (&[dir, "--access-log", "/no/such/log"], "name another file with --access-log"),
        (&[dir, "--index", "../x"], "correct --index"),
    ] {
        let mut command = fdflow();
        command.arg("serve").args(flags);
        let output = refusal(command);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{flags:?}: {errors}");
        assert!(
            errors.starts_with("fdflow: serve: ") && errors.contains(told),
            "{flags:?}: {errors}"
        );
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_flag_that_cannot_be_read_says_how_it_is_written() {
    for (flags, told) in [
        (&["--listen", "nowhere"][..], "write 8080, 0.0.0.0:8080"),
        (&["--max-upload", "much"], "is no size"),
        (&["--idle-timeout", "soon"], "write one as 500ms, 5s or 1m"),
        (&["--rate", "0"], "1M/s"),
        (&["--header", "x"], "Name: value"),
        (&["--cors", "example.org"], "https://example.org"),
        (&["--symlinks", "some"], "never, inside, follow"),
        (&["--deny", "teleport"], "teleport"),
        (&["--auth", "bob:secret"], "htpasswd -nB"),
        (&["--threads", "0"], "--threads"),
        (&["--log-format", "xml"], "combined and json"),
    ] {
        let mut command = fdflow();
        command.arg("serve").args(flags);
        let output = refusal(command);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(told), "{flags:?}: {}", stderr(&output));
    }
}

#[test]
fn a_port_that_another_of_its_own_has_is_busy_too() {
    let folder = Folder::with(10);
    let mut command = fdflow();
    command.args(["serve", "--threads", "2", "--listen", "127.0.0.1:0"]).arg(folder.dir());
    let first = Server::run(command, 1);
    let address = first.address().to_string();
    let mut second = fdflow();
    second.args(["serve", "--threads", "2", "--listen", &address]).arg(folder.dir());
    let second = refusal(second);
    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("end what listens there"), "{}", stderr(&second));
}

#[test]
fn flags_go_before_the_configuration_file() {
    let folder = Folder::with(10);
    std::fs::write(folder.path(".secret"), "s").unwrap();
    let config = folder.path("c.toml");
    std::fs::write(&config, "hidden = true\nno-listing = true\nheader = [\"X-From: file\"]\n")
        .unwrap();
    let config = config.to_str().unwrap();
    let server = Server::start(folder.dir(), &["--config", config]);
    assert!(server.get("/.secret").contains("x-from: file"), "{}", server.get("/.secret"));
    assert!(!server.get("/").starts_with("HTTP/1.1 200"));
    let server = Server::start(
        folder.dir(),
        &["--config", config, "--hidden=false", "--header", "X-From: flag"],
    );
    assert!(server.get("/.secret").starts_with("HTTP/1.1 404"));
    assert!(server.get("/from").contains("x-from: flag"));
}

#[test]
fn the_qr_code_is_of_an_address_that_others_can_reach() {
    let folder = Folder::with(10);
    let mut command = fdflow();
    command.args(["serve", "--listen", "127.0.0.1:0", "--qr"]).arg(folder.dir());
    let server = Server::run(command, 2);
    assert!(server.greeting[1].contains("--listen 0.0.0.0:8080"), "{:?}", server.greeting);
    let mut command = fdflow();
    command.args(["serve", "--listen", "0.0.0.0:0", "--qr"]).arg(folder.dir());
    let server = Server::run(command, 4);
    let told = server.greeting.join("\n");
    assert!(told.contains('█') || told.contains("no QR code"), "{told}");
}

#[test]
fn a_client_that_half_closes_still_gets_the_whole_answer() {
    let folder = Folder::with(48_000_000);
    let server = Server::start(folder.dir(), &[]);
    let mut client = server.connect();
    client.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
    client.half_close();
    assert_eq!(client.answer().1, folder.bytes);
    assert_eq!(client.rest_bytes(), b"");
}

#[test]
fn it_ends_by_itself_once_what_runs_is_done() {
    let folder = Folder::with(8_000_000);
    let mut server = Server::start(folder.dir(), &[]);
    let (mut idle, mut busy) = (server.connect(), server.connect());
    idle.get("/from");
    busy.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = busy.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    server.signal(Signal::TERM);
    assert!(idle.is_cut());
    // Nobody new is let in, but the answer that was begun comes whole.
    eventually(|| std::net::TcpStream::connect(server.address()).is_err(), "no more accepting");
    assert_eq!(busy.rest_bytes(), folder.bytes);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_and_the_deadline_end_it_at_once() {
    let folder = Folder::with(64_000_000);
    for (flags, second) in [(&["--drain", "1h"][..], true), (&["--drain", "200ms"], false)] {
        let mut server = Server::start(folder.dir(), flags);
        let mut client = server.connect();
        client.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
        client.head();
        server.signal(Signal::INT);
        if second {
            eventually(|| std::net::TcpStream::connect(server.address()).is_err(), "draining");
            server.signal(Signal::TERM);
        }
        assert_eq!(server.wait().code(), Some(1));
        server.said("connections cut: 1");
    }
}
