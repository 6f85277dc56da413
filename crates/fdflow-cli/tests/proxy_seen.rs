//! What `fdflow proxy` tells of its flows: a line of the log for each, and figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;
use support::pattern;
use support::server::eventually;
use support::watched::{ONE, Proxy, end, pass, reset, unheard};

#[test]
fn the_line_of_a_flow_tells_who_where_how_long_and_by_which_route() {
    let mut proxy = Proxy::unrestricted("json", &[]);
    let (mut client, mut server) = proxy.pair();
    pass(&mut client, &mut server, &pattern(3_000_000));
    pass(&mut server, &mut client, b"hello");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0; 9]).unwrap(), 0);
    let (seen, from) = (client.local_addr().unwrap(), server.peer_addr().unwrap());
    drop(server);
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    let line = proxy.line();
    assert_eq!(end(&line), ("client", "done"), "{line}");
    assert_eq!(line["service"], "127.0.0.1:0", "{line}");
    assert_eq!((&line["flow"], &line["detail"]), (&1.into(), &Value::Null), "{line}");
    assert_eq!((&line["client"], &line["peer"]), (&seen.to_string().into(), &Value::Null));
    assert_eq!(line["upstream"], proxy.upstream.local_addr().unwrap().to_string(), "{line}");
    assert_eq!(line["from"], from.to_string(), "{line}");
    assert_eq!((&line["up"], &line["down"]), (&3_000_000.into(), &5.into()), "{line}");
    assert_eq!(line["down_route"], "read_write", "{line}");
    assert!(line["up_route"].as_str().unwrap().starts_with("splice"), "{line}");
    let seconds = |key: &str| line[key].as_f64().unwrap();
    assert!(seconds("wait") + seconds("connect") <= seconds("total"), "{line}");
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == "2026-11-22T14:32:23.123Z".len() && time.ends_with('Z'), "{line}");

    let (mut client, server) = proxy.pair();
    drop(server);
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    drop(client);
    assert_eq!(end(&proxy.line()), ("upstream", "done"));
}

#[test]
fn the_text_form_is_of_keys_and_values() {
    let mut proxy = Proxy::unrestricted("text", &["--explain", "--deny", "splice"]);
    let (mut client, mut server) = proxy.pair();
    pass(&mut client, &mut server, &pattern(300_000));
    reset(client);
    assert!(server.read(&mut [0; 9]).is_err());
    let line = proxy.server.line();
    let keys: Vec<_> = line.split(' ').filter_map(|word| Some(word.split_once('=')?.0)).collect();
    let first = ["time", "service", "flow", "client", "peer", "upstream", "from", "wait"];
    assert_eq!(keys[..8], first, "{line}");
    for part in [
        " service=127.0.0.1:0 flow=1 client=127.0.0.1:",
        " peer=- upstream=127.0.0.1:",
        " up=300000 down=0 up_route=read_write down_route=- who=client why=reset detail=\"",
        " up_legs=read_write:300000 up_refused=\"splice: denied by policy\" down_legs=- ",
    ] {
        assert!(line.contains(part), "{part} is missing in {line}");
    }
    // Nobody knows of a first and a second end.
    assert!(line.contains("Connection reset by peer") && !line.contains("end to"), "{line}");
    // In either direction.
    assert_eq!(proxy.metric("fdflow_routes_refused_total", &["denied by policy"]), 2);
}

#[test]
fn a_reset_is_told_with_who_reset() {
    let mut proxy = Proxy::start(&["--explain"]);
    let (mut client, mut server) = proxy.pair();
    pass(&mut client, &mut server, b"some bytes");
    reset(client);
    assert!(server.read(&mut [0; 9]).is_err(), "a reset is passed on");
    let line = proxy.line();
    assert_eq!((end(&line), &line["up"]), (("client", "reset"), &10.into()), "{line}");
    assert_eq!(line["up_legs"][0]["bytes"], 10, "{line}");

    let (mut client, mut server) = proxy.pair();
    pass(&mut server, &mut client, b"connected");
    reset(server);
    assert!(client.read(&mut [0; 9]).is_err());
    let line = proxy.line();
    assert_eq!(end(&line), ("upstream", "reset"), "{line}");
    assert!(line["detail"].as_str().unwrap().starts_with("upstream to client: "), "{line}");
}

#[test]
fn each_timeout_is_told_by_its_name() {
    let mut proxy = Proxy::start(&["--idle-timeout", "300ms"]);
    let (_client, _server) = proxy.pair();
    assert_eq!(end(&proxy.line()), ("proxy", "idle-timeout"));

    let mut proxy = Proxy::start(&["--half-closed-timeout", "300ms"]);
    let (client, _server) = proxy.pair();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(end(&proxy.line()), ("proxy", "half-closed-timeout"));

    let mut proxy = Proxy::start(&["--lifetime", "300ms"]);
    let (_client, _server) = proxy.pair();
    assert_eq!(end(&proxy.line()), ("proxy", "lifetime"));
}

#[test]
fn who_is_not_let_in_and_who_finds_no_upstream_has_a_line_too() {
    let mut proxy = Proxy::start(&["--deny-from", "127.0.0.0/8"]);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    let line = proxy.line();
    assert_eq!(end(&line), ("proxy", "denied"), "{line}");
    assert_eq!((&line["upstream"], &line["connect"]), (&Value::Null, &Value::Null), "{line}");

    let (_socket, gone) = unheard();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut proxy = Proxy::with_file(file.path(), &ONE.replace("TO", &gone.to_string()), 1);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    let line = proxy.line();
    assert_eq!(end(&line), ("upstream", "no-upstream"), "{line}");
    assert!(line["connect"].as_f64().is_some(), "{line}");
    let detail = line["detail"].as_str().unwrap();
    assert!(detail.starts_with(&gone.to_string()) && detail.contains("refused"), "{line}");
    let labels = ["who=\"upstream\"", "why=\"no-upstream\""];
    assert_eq!(proxy.metric("fdflow_flows_ended_total", &labels), 1);
    assert_eq!(proxy.metric("fdflow_upstream_failures_total", &[&gone.to_string()]), 1);
}

#[test]
fn a_client_that_a_header_names_is_told_beside_the_peer() {
    let mut proxy = Proxy::start(&["--accept-proxy", "--trust", "127.0.0.1"]);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let peer = client.local_addr().unwrap();
    // No byte of it is there: it is not known yet whose the flow is.
    eventually(|| proxy.flows().iter().any(|flow| flow["state"] == "greeting"), "a greeting");
    client.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nhello").unwrap();
    let mut server = proxy.accept();
    server.read_exact(&mut [0; 5]).unwrap();
    drop((client, server));
    let line = proxy.line();
    assert_eq!(line["client"], "192.0.2.7:4711", "{line}");
    assert_eq!((&line["peer"], &line["up"]), (&peer.to_string().into(), &5.into()), "{line}");
}

#[test]
fn bytes_in_are_bytes_out_and_those_of_the_log_and_of_the_figures() {
    const FLOWS: usize = 20;
    let mut proxy = Proxy::start(&[]);
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 600_000).unwrap()
    };
    let (mut up, mut down, mut seen) = (0, 0, (0, 0));
    let mut logged = (0, 0);
    for round in 0..FLOWS {
        let (mut client, mut server) = proxy.pair();
        let (there, back) = (pattern(random()), pattern(random()));
        pass(&mut client, &mut server, &there);
        pass(&mut server, &mut client, &back);
        (up, down) = (up + there.len() as u64, down + back.len() as u64);
        let of = |direction| proxy.metric("fdflow_flow_bytes_total", &[direction]);
        let now = (of("direction=\"up\""), of("direction=\"down\""));
        assert!(now.0 >= seen.0 && now.1 >= seen.1, "{now:?} after {seen:?}");
        assert!(now.0 <= up && now.1 <= down, "{now:?} of {up} and {down}");
        seen = now;
        if round % 3 == 0 {
            reset(client)
        } else {
            drop(client)
        }
        drop(server);
        let line = proxy.line();
        logged.0 += line["up"].as_u64().unwrap();
        logged.1 += line["down"].as_u64().unwrap();
    }
    let of = |direction| proxy.metric("fdflow_flow_bytes_total", &[direction]);
    assert_eq!((of("direction=\"up\""), of("direction=\"down\"")), (up, down));
    assert_eq!(logged, (up, down));
    let flows = FLOWS as u64;
    assert_eq!(proxy.metric("fdflow_flows_accepted_total", &[]), flows);
    assert_eq!(proxy.metric("fdflow_flows_ended_total", &[]), flows);
    assert_eq!(proxy.metric("fdflow_flow_seconds_count", &[]), flows);
    assert_eq!(proxy.metric("fdflow_connect_seconds_count", &[]), flows);
    assert_eq!(proxy.metric("fdflow_upstream_connected_total", &[]), flows);
    assert_eq!(proxy.metric("fdflow_flows_open", &[]), 0);
    // The upstream is let go of after the line is written.
    eventually(|| proxy.metric("fdflow_upstream_flows_open", &[]) == 0, "no flow with it");
    assert_eq!(proxy.metric("fdflow_upstream_state", &["state=\"up\""]), 1);
    assert_eq!(proxy.metric("fdflow_pipes", &["in_use"]), 0);
    assert!(proxy.metric("fdflow_open_files", &[]) > 5);
}
