//! HAProxy before and behind: each understands what the other says of the client.

use super::programs::{Background, all_done, are_there, free_port, program};
use super::support::ends::{At, Backend, Stream};
use super::support::pattern;
use super::support::proxy::Proxy;

/// The header of version 1 that names this client's connection to `to`.
pub fn named(client: &Stream, to: Option<std::net::SocketAddr>) -> Vec<u8> {
    let (from, peer) = client.addresses();
    let to = to.unwrap_or(peer);
    format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).into_bytes()
}

/// Both ways between a client and whoever answers in the end, who is told of the client by this.
pub fn both_ways(client: &Stream, backend: &Backend, header: &[u8]) {
    let bytes = pattern(300_000);
    let server = backend.accept();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.send(&bytes);
            client.half_close();
        });
        assert_eq!(
            String::from_utf8_lossy(&server.receive(header.len())),
            String::from_utf8_lossy(header)
        );
        assert!(server.rest() == bytes);
        scope.spawn(|| assert!(client.rest() == bytes));
        server.send(&bytes);
        server.half_close();
    });
}

#[test]
fn haproxy_and_this_tell_each_other_of_the_client() {
    if !are_there(&["haproxy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::tcp();
    // What HAProxy says is passed on in version 1, for the test to read.
    let flags = ["--accept-proxy", "--trust", "127.0.0.0/8", "--send-proxy", "v1"];
    let behind = Proxy::to(&backend.at(), &flags);
    let [one, two, last] = [free_port(), free_port(), free_port()];
    let (to, end) = (behind.address(), backend.at());
    let config = format!(
        "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n\
         listen one\n bind {one}\n server s {to} send-proxy\n\
         listen two\n bind {two}\n server s {to} send-proxy-v2\n\
         listen last\n bind {last} accept-proxy\n server s {end} send-proxy\n"
    );
    std::fs::write(dir.path().join("config"), config).unwrap();
    let mut haproxy = program("haproxy", dir.path());
    let _haproxy = Background::start(haproxy.args(["-q", "-db", "-f", "config"]), &At::Tcp(last));
    for address in [one, two] {
        let client = At::Tcp(address).connect();
        both_ways(&client, &backend, &named(&client, None));
    }
    all_done(behind);
    for version in ["v1", "v2"] {
        let before = Proxy::to(&At::Tcp(last), &["--send-proxy", version]);
        let client = before.connect();
        // It passes on what it was told, the address where the client came in included.
        both_ways(&client, &backend, &named(&client, None));
        all_done(before);
    }
}
