//! `fdflow proxy` as its users start, reload, replace and end it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Command;

use rustix::process::Signal;
use support::ends::{At, Backend, Stream};
use support::proxy::{Proxy, proxy};
use support::server::{eventually, refusal};
use support::{fdflow, pattern, stderr, stdout};

/// A connection through the proxy that both ends have spoken on.
fn flow(at: &At, backend: &Backend) -> (Stream, Stream) {
    let client = at.connect();
    let server = backend.accept();
    speak(&client, &server);
    (client, server)
}

fn speak(client: &Stream, server: &Stream) {
    client.send(b"ping");
    assert_eq!(server.receive(4), b"ping");
    server.send(b"pong");
    assert_eq!(client.receive(4), b"pong");
}

/// Ends a flow as most end.
fn close(client: &Stream, server: &Stream) {
    client.half_close();
    assert_eq!(server.rest(), b"");
    server.half_close();
    assert_eq!(client.rest(), b"");
}

#[test]
fn the_help_names_every_flag_in_the_issue() {
    let output = fdflow().args(["proxy", "--help"]).output().unwrap();
    let help = stdout(&output);
    for flag in [
        "--listen <ADDR>",
        "--to <ADDR>",
        "--config <FILE.toml>",
        "--balance <HOW>",
        "--backup <ADDR>",
        "--connect-timeout",
        "--idle-timeout",
        "--half-closed-timeout",
        "--lifetime",
        "--header-timeout",
        "--send-proxy <v1|v2>",
        "--accept-proxy",
        "--trust <CIDR>",
        "--allow-from <CIDR>",
        "--deny-from <CIDR>",
        "--max-connections <N>",
        "--max-per-source <N>",
        "--rate <SIZE/s>",
        "--total-rate <SIZE/s>",
        "--bind <IP>",
        "--sni <NAME=ADDR>",
        "--tap <DIR>",
        "--tap-policy <block|detach>",
        "--drain-timeout",
        "--threads <N>",
        "--admin <ADDR>",
        "--deny <ROUTE>",
        "--check-interval",
        "--max-fails <N>",
        "--explain",
    ] {
        assert!(help.contains(flag), "{flag} is missing in\n{help}");
    }
}

#[test]
fn what_is_wrong_at_the_start_is_one_line_and_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = file("key.toml", "threads = 1\n[[service]]\nlisten = [\"0\"]\nlissen = [\"x\"]\n");
    let value =
        file("value.toml", "[[service]]\nto = [\"127.0.0.1:1\"]\nidle_timeout = \"soon\"\n");
    let empty = file("empty.toml", "threads = 1\n");
    let one = |name: &str, port: u16| {
        format!(
            "[[service]]\nname = \"{name}\"\nlisten = [\"127.0.0.1:{port}\"]\nto = [\"127.0.0.1:1\"]\n"
        )
    };
    let twice = file("twice.toml", &one("a", 0).repeat(2));
    let port = file("port.toml", &(one("a", 9) + &one("b", 9)));
    let plain = format!("unix://{}", file("plain", ""));
    let to = ["--to", "127.0.0.1:1"];
    for (flags, told) in [
        (&["--listen", "127.0.0.1:0"][..], "add --to HOST:PORT"),
        (&to, "nowhere to listen; add --listen HOST:PORT"),
        (&["--listen", &busy, to[0], to[1]], "end what listens there"),
        (&["--listen", "192.0.2.1:0", to[0], to[1]], "does not have that address"),
        (&["--listen", "127.0.0.1:9", "--listen", "127.0.0.1:9", to[0], to[1]], "twice"),
        (&["--listen", "unix:///no/such/folder/x", to[0], to[1]], "choose a path"),
        (&["--listen", &plain, to[0], to[1]], "is no socket"),
        (&["--listen", "0", "--accept-proxy", to[0], to[1]], "with --trust 127.0.0.0/8"),
        (&["--config", "/no/such.toml"], "name another file with --config"),
        (&["--config", &key], "key.toml:4: "),
        (&["--config", &value], "value.toml:3: idle_timeout: "),
        (&["--config", &empty], "there is no [[service]]"),
        (&["--config", &twice], "two services are called a"),
        (&["--config", &port], "service b: cannot listen on 127.0.0.1:9 twice"),
        (&["--config", &key, to[0], to[1]], "write them into the file"),
        (&["--listen", "0", "--log", "/no/such/log", to[0], to[1]], "name another file with --log"),
    ] {
        let mut command = fdflow();
        command.arg("proxy").args(flags);
        let output = refusal(command);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{flags:?}: {errors}");
        let begins = errors.starts_with("fdflow: proxy: ");
        assert!(begins && errors.contains(told), "{flags:?}: {errors}");
        assert_eq!(stdout(&output), "");
    }
    assert!(dir.path().join("plain").is_file());
}

#[test]
fn a_flag_that_cannot_be_read_says_how_it_is_written() {
    for (flags, told) in [
        (&["--listen", "nowhere"][..], "write 8080, 0.0.0.0:8080"),
        (&["--to", "nowhere"], "write HOST:PORT"),
        (&["--to", "x:80,weight=0"], "weight=3"),
        (&["--balance", "chance"], "chance"),
        (&["--idle-timeout", "soon"], "write one as 500ms, 5s or 1m"),
        (&["--rate", "0"], "1M/s"),
        (&["--send-proxy", "v3"], "v3"),
        (&["--allow-from", "10.0.0.1/8"], "10.0.0.0/8"),
        (&["--sni", "example.org"], "NAME=ADDR"),
        (&["--bind", "here"], "192.0.2.1"),
        (&["--tap-policy", "maybe"], "block and detach"),
        (&["--log-format", "xml"], "text and json"),
        (&["--deny", "teleport"], "teleport"),
        (&["--max-connections", "0"], "--max-connections"),
        (&["--threads", "0"], "--threads"),
    ] {
        let mut command = fdflow();
        command.arg("proxy").args(flags);
        let output = refusal(command);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(told), "{flags:?}: {}", stderr(&output));
    }
}

#[test]
fn several_listeners_of_both_kinds_lead_to_the_same_upstream() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("in");
    let unix = format!("unix://{}", socket.display());
    for backend in [Backend::tcp(), Backend::unix(dir.path().join("out"))] {
        let to = backend.at().to_string();
        let command = proxy(&["--listen", "[::1]:0", "--listen", &unix, "--to", &to]);
        let mut proxy = Proxy::run(command, 3);
        for at in &proxy.at {
            let (client, server) = flow(at, &backend);
            close(&client, &server);
            assert_eq!(proxy.ended_by("client", "done").bytes(), (4, 4));
        }
        proxy.is_at_rest();
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.wait().code(), Some(0));
        assert!(!socket.exists(), "its socket is left over");
    }
}

#[test]
fn a_stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let stale = dir.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let backend = Backend::tcp();
    let listen = format!("unix://{}", stale.display());
    let mut command = fdflow();
    command.args(["proxy", "--listen", &listen, "--to", &backend.at().to_string()]);
    let proxy = Proxy::run(command, 1);
    flow(&proxy.at[0], &backend);
}

#[test]
fn a_socket_of_the_service_manager_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let backend = Backend::tcp();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("two.toml");
    let to = backend.at();
    let text = format!(
        "[[service]]\nname = \"other\"\nlisten = [\"127.0.0.1:0\"]\nto = [\"127.0.0.1:1\"]\n\
         [[service]]\nname = \"handed\"\nto = [\"{to}\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let to = to.to_string();
    let config = ["--config", config.to_str().unwrap()];
    for (flags, lines) in [(&["--to", &to], 1), (&config, 2)] {
        // The shell makes it descriptor 3 and says that it is for this process.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"]);
        command.arg(env!("CARGO_BIN_EXE_fdflow")).args(["proxy", "--threads", "2"]).args(flags);
        let copy = listener.try_clone().unwrap();
        let proxy = Proxy::run_on(command, lines, std::os::fd::OwnedFd::from(copy).into());
        let at = At::Tcp(address);
        assert!(proxy.at.contains(&at), "{:?}", proxy.at);
        let (client, server) = flow(&at, &backend);
        // A reload does not lose it.
        proxy.signal(Signal::HUP);
        proxy.said("reloaded");
        flow(&at, &backend);
        close(&client, &server);
    }
}

#[test]
fn a_second_process_takes_over_port_and_path_while_the_first_lets_its_flows_end() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("in");
    let unix = format!("unix://{}", socket.display());
    let (old, new) = (Backend::tcp(), Backend::tcp());
    let start = |tcp: &str, to: &Backend| {
        let mut command = fdflow();
        command.args(["proxy", "--threads", "2", "--listen", tcp, "--listen", &unix]);
        command.args(["--to", &to.at().to_string()]);
        Proxy::run(command, 2)
    };
    let mut first = start("127.0.0.1:0", &old);
    let flows: Vec<_> = first.at.iter().map(|at| flow(at, &old)).collect();
    let second = start(&first.address().to_string(), &new);
    assert_eq!(first.at, second.at);
    // The path is the second's at once, the port is shared.
    let (client, server) = flow(&second.at[1], &new);
    close(&client, &server);
    first.signal(Signal::TERM);
    eventually(|| first.sockets_that_listen() == 0, "the first listens no more");
    assert!(socket.exists(), "the first took the second's path away");
    for _ in 0..8 {
        for at in &second.at {
            let (client, server) = flow(at, &new);
            close(&client, &server);
        }
    }
    for (client, server) in &flows {
        speak(client, server);
        close(client, server);
    }
    assert_eq!(first.wait().code(), Some(0));
    assert!(socket.exists());
    second.is_at_rest();
}

#[test]
fn who_waits_unaccepted_when_it_ends_is_served_still() {
    let backend = Backend::tcp();
    let mut proxy = Proxy::to(&backend.at(), &[]);
    // More than the runtime takes in one turn.
    proxy.signal(Signal::STOP);
    let clients: Vec<_> = (0..300).map(|_| proxy.connect()).collect();
    proxy.signal(Signal::TERM);
    proxy.signal(Signal::CONT);
    for _ in &clients {
        let server = backend.accept();
        server.send(b"served");
    }
    for client in clients {
        assert_eq!(client.rest(), b"served");
        client.half_close();
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn after_a_signal_flows_end_by_themselves_and_nobody_new_comes_in() {
    let backend = Backend::tcp();
    let mut proxy = Proxy::to(&backend.at(), &[]);
    let (client, server) = flow(&proxy.at[0], &backend);
    proxy.signal(Signal::TERM);
    eventually(|| proxy.sockets_that_listen() == 0, "no more accepting");
    assert!(proxy.at[0].try_connect().is_err());
    let bytes = pattern(3_000_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.send(&bytes);
            server.half_close();
        });
        assert!(client.rest() == bytes);
    });
    client.half_close();
    assert_eq!(server.rest(), b"");
    assert_eq!(proxy.ended_by("upstream", "done").bytes(), (4, 3_000_004));
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_second_signal_and_the_deadline_cut_what_is_left() {
    for (flags, second) in
        [(["--drain-timeout", "1h"], true), (["--drain-timeout", "200ms"], false)]
    {
        let backend = Backend::tcp();
        let mut proxy = Proxy::to(&backend.at(), &flags);
        let (client, server) = flow(&proxy.at[0], &backend);
        proxy.signal(Signal::INT);
        if second {
            eventually(|| proxy.sockets_that_listen() == 0, "draining");
            proxy.signal(Signal::TERM);
        }
        assert_eq!(proxy.wait().code(), Some(1));
        assert_eq!(proxy.ended_by("proxy", "drained").bytes(), (4, 4));
        proxy.said("flows cut: 1");
        for end in [client, server] {
            assert_eq!(end.rest_and_end().0, b"");
        }
    }
}

#[test]
fn a_reload_changes_services_and_leaves_flows_and_a_wrong_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let (one, two, three) = (Backend::tcp(), Backend::tcp(), Backend::tcp());
    let at = |name: &str| At::Unix(dir.path().join(name));
    let write = |services: &[(&str, &Backend)]| {
        let one = |(name, to): &(&str, &Backend)| {
            let (listen, to) = (at(name), to.at());
            format!("[[service]]\nname = \"{name}\"\nlisten = [\"{listen}\"]\nto = [\"{to}\"]\n")
        };
        std::fs::write(&path, services.iter().map(one).collect::<String>()).unwrap();
    };
    write(&[("a", &one), ("b", &two)]);
    let mut command = fdflow();
    command.args(["proxy", "--threads", "2", "--config", path.to_str().unwrap()]);
    let mut proxy = Proxy::run(command, 2);
    let (a, b) = (flow(&at("a"), &one), flow(&at("b"), &two));
    // a has another upstream, b is gone, c is new.
    write(&[("a", &three), ("c", &two)]);
    proxy.signal(Signal::HUP);
    proxy.said("reloaded");
    eventually(|| at("b").try_connect().is_err(), "b is closed");
    let (new_a, new_c) = (flow(&at("a"), &three), flow(&at("c"), &two));
    std::fs::write(&path, "[[service]]\nlisten = \"nowhere\"\n").unwrap();
    proxy.signal(Signal::HUP);
    proxy.said("not reloaded: ");
    assert!(proxy.errors().contains("c.toml:2: "), "{}", proxy.errors());
    for (client, server) in [&a, &b, &new_a, &new_c] {
        speak(client, server);
    }
    for (client, server) in [a, b, new_a, new_c, flow(&at("a"), &three)] {
        close(&client, &server);
        proxy.ended_by("client", "done");
    }
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(!dir.path().join("a").exists() && !dir.path().join("c").exists());
}
