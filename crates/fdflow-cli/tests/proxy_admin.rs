//! What those who look after `fdflow proxy` can ask of it and have it do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::Value;
use support::pattern;
use support::server::{Client, eventually};
use support::watched::{ONE, Proxy, end, pass, unheard};

/// Keeps bytes going from one end to the other until it is told to stop; how many they were.
fn busy(client: &mut TcpStream, server: &mut TcpStream, stop: &AtomicBool) -> u64 {
    let block = pattern(50_000);
    let mut sum = 0;
    while !stop.load(Ordering::Relaxed) {
        pass(client, server, &block);
        sum += 50_000;
    }
    sum
}

#[test]
fn a_flow_is_listed_while_it_is_busy_and_while_it_rests() {
    let mut proxy = Proxy::start(&[]);
    let (mut client, mut server) = proxy.pair();
    let stop = AtomicBool::new(false);
    let sum = std::thread::scope(|scope| {
        let relayed = scope.spawn(|| busy(&mut client, &mut server, &stop));
        let listed = || proxy.flows().remove(0);
        // What is told does not depend on anything of ours: the thread is stopped whatever comes.
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let is_busy = |flow: &Value| flow["up_rate"].as_u64() > Some(0);
            eventually(|| is_busy(&listed()), "a rate");
            let over_a_second = |flow: &Value| {
                let seconds = flow["rate_seconds"].as_f64().unwrap();
                is_busy(flow) && (1.0..10.0).contains(&seconds) && flow["age"].as_f64() > Some(2.0)
            };
            eventually(|| over_a_second(&listed()), "the rate of the last seconds");
            listed()
        }));
        stop.store(true, Ordering::Relaxed);
        let sum = relayed.join().unwrap();
        let flow = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert_eq!((&flow["id"], &flow["state"]), (&1.into(), &"relaying".into()), "{flow}");
        assert_eq!((&flow["down"], &flow["down_route"]), (&0.into(), &Value::Null), "{flow}");
        assert_eq!((&flow["service"], &flow["peer"]), (&"127.0.0.1:0".into(), &Value::Null));
        sum
    });
    eventually(|| proxy.flows()[0]["state"] == "resting", "rest");
    let flow = proxy.flows().remove(0);
    assert_eq!(flow["up"], sum, "{flow}");
    assert_eq!(flow["client"], client.local_addr().unwrap().to_string(), "{flow}");
    assert_eq!(flow["from"], server.peer_addr().unwrap().to_string(), "{flow}");
    assert!(flow["idle"].as_f64() <= flow["age"].as_f64(), "{flow}");
    assert_eq!(proxy.metric("fdflow_flows_open", &["state=\"resting\""]), 1);
    eventually(|| proxy.flows()[0]["up_rate"] == 0, "a rate of nothing");
    pass(&mut server, &mut client, b"again");
    eventually(|| proxy.flows()[0]["down"] == 5, "what came after the rest");
    drop((client, server));
    let line = proxy.line();
    assert_eq!((&line["up"], &line["down"]), (&sum.into(), &5.into()), "{line}");
    assert_eq!(proxy.flows(), Vec::<Value>::new());
}

#[test]
fn a_flow_that_is_deleted_ends_whether_it_rests_or_not() {
    let mut proxy = Proxy::start(&[]);
    for rests in [false, true] {
        let (mut client, mut server) = proxy.pair();
        pass(&mut client, &mut server, b"some bytes");
        let id = proxy.flows()[0]["id"].as_u64().unwrap();
        if rests {
            eventually(|| proxy.flows()[0]["state"] == "resting", "rest");
        }
        let answer = proxy.ask("DELETE", &format!("/flows/{id}"));
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        assert!(Client::new(client).is_cut() && Client::new(server).is_cut());
        let line = proxy.line();
        assert_eq!((end(&line), &line["flow"]), (("proxy", "cut"), &id.into()), "{line}");
        assert_eq!(line["up"], 10, "{line}");
        for gone in [id.to_string(), "0".to_owned(), "x".to_owned(), String::new()] {
            let answer = proxy.ask("DELETE", &format!("/flows/{gone}"));
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
    }
}

#[test]
fn what_is_asked_in_a_wrong_way_is_answered_with_the_right_one() {
    let proxy = Proxy::start(&[]);
    assert_eq!((proxy.get("/healthz"), proxy.get("/readyz")), ("ok\n".into(), "ready\n".into()));
    for (method, path, allow) in [
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/flows", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
        ("GET", "/reload", "POST"),
        ("GET", "/flows/1", "DELETE"),
    ] {
        let answer = proxy.ask(method, path);
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method} {path}: {answer}");
        assert!(answer.contains(&format!("\r\nallow: {allow}\r\n")), "{method} {path}: {answer}");
    }
    let head = proxy.ask("HEAD", "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let nothing = proxy.ask("GET", "/");
    assert!(nothing.starts_with("HTTP/1.1 404 ") && nothing.contains("/readyz"), "{nothing}");
}

#[test]
fn it_is_not_ready_while_a_service_has_no_upstream_that_is_up() {
    let (socket, gone) = unheard();
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = ONE.replace("TO", &gone.to_string()) + "max_fails = 1\n";
    let two = ONE.replace("one", "two");
    let proxy = Proxy::with_file(file.path(), &(text + &two), 2);
    assert_eq!(proxy.get("/readyz"), "ready\n");
    let address: SocketAddr = proxy.address();
    assert_eq!(TcpStream::connect(address).unwrap().read(&mut [0; 9]).unwrap(), 0);
    let answer = proxy.ask("GET", "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nno upstream is up: one\n"), "{answer}");
    let labels = ["service=\"one\"", &gone.to_string(), "state=\"up\""];
    assert_eq!(proxy.metric("fdflow_upstream_state", &labels), 0);
    socket.listen(9).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    drop(socket.accept().unwrap());
    eventually(|| proxy.ask("GET", "/readyz").starts_with("HTTP/1.1 200 "), "an upstream");
    assert_eq!(proxy.metric("fdflow_upstream_state", &labels), 1);
}

#[test]
fn it_is_not_ready_while_it_drains_and_takes_no_reload() {
    let mut proxy = Proxy::start(&[]);
    let (client, server) = proxy.pair();
    proxy.server.signal(Signal::TERM);
    eventually(|| proxy.ask("GET", "/readyz").starts_with("HTTP/1.1 503 "), "draining");
    assert!(proxy.ask("GET", "/readyz").ends_with("\r\n\r\ndraining\n"));
    assert!(proxy.ask("POST", "/reload").starts_with("HTTP/1.1 503 "));
    assert!(proxy.ask("GET", "/healthz").starts_with("HTTP/1.1 200 "));
    assert_eq!(proxy.flows().len(), 1);
    drop((client, server));
    assert!(proxy.server.wait().success());
}

#[test]
fn a_broken_file_is_refused_with_its_line_and_all_goes_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let proxy = Proxy::with_file(file.path(), ONE, 1);
    let (mut client, mut server) = proxy.pair();
    pass(&mut client, &mut server, b"before");
    proxy.rewrite(file.path(), &format!("{ONE}idle_timeout = \"soon\"\n"));
    let answer = proxy.ask("POST", "/reload");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let place = format!("{}:5: idle_timeout: ", file.path().display());
    assert!(answer.contains(&place) && answer.contains("soon"), "{answer}");
    proxy.server.said("not reloaded: ");
    pass(&mut client, &mut server, b"after");
    let (mut new_client, mut new_server) = proxy.pair();
    pass(&mut new_client, &mut new_server, b"new");
    proxy.rewrite(file.path(), ONE);
    assert!(proxy.ask("POST", "/reload").starts_with("HTTP/1.1 200 "));
    pass(&mut server, &mut client, b"still");
}

#[test]
fn a_reload_adds_and_removes_services_and_drops_no_flow() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let two = dir.path().join("two");
    let address = format!("unix://{}", two.display());
    let both =
        format!("{ONE}[[service]]\nname = \"two\"\nlisten = [\"{address}\"]\nto = [\"TO\"]\n");
    let mut proxy = Proxy::with_file(file.path(), ONE, 1);
    let (mut client, mut server) = proxy.pair();
    proxy.rewrite(file.path(), &both);
    assert!(proxy.ask("POST", "/reload").starts_with("HTTP/1.1 200 "));
    let (mut second, mut second_server) = (UnixStream::connect(&two).unwrap(), proxy.accept());
    pass(&mut second, &mut second_server, b"of the second");
    let services = || {
        let flows = proxy.flows();
        flows.iter().map(|flow| flow["service"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(services(), ["one", "two"]);
    proxy.rewrite(file.path(), ONE);
    assert!(proxy.ask("POST", "/reload").starts_with("HTTP/1.1 200 "));
    assert!(!two.exists(), "it is listened on no more");
    // Neither the flow of the service that is gone, nor that of the one that is left.
    assert_eq!(services(), ["one", "two"]);
    pass(&mut second_server, &mut second, b"still");
    pass(&mut client, &mut server, b"of the first");
    assert_eq!(proxy.metric("fdflow_flow_bytes_total", &["service=\"two\""]), 18);
    drop((second, second_server));
    let line = proxy.line();
    assert_eq!((&line["service"], &line["up"]), (&"two".into(), &13.into()), "{line}");
    assert_eq!((&line["client"], &line["peer"]), (&"unix".into(), &Value::Null), "{line}");
    assert_eq!(proxy.metric("fdflow_flow_bytes_total", &["service=\"two\""]), 18);
}
