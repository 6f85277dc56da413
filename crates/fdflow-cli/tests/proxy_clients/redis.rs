//! redis-benchmark: small questions, large ones, many at once.

use super::programs::{Background, are_there, client, program, succeeded};
use super::support::ends::At;
use super::support::proxy::Proxy;

#[test]
fn redis_benchmark_reaches_a_server_on_a_unix_socket() {
    if !are_there(&["redis-server", "redis-benchmark"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = At::Unix(dir.path().join("redis"));
    let mut server = program("redis-server", dir.path());
    server.args(["--port", "0", "--unixsocket", "redis", "--save", "", "--appendonly", "no"]);
    let _server = Background::start(&mut server, &at);
    let proxy = Proxy::to(&at, &[]);
    let port = proxy.address().port().to_string();
    for load in [
        &["-c", "20", "-n", "20000", "-t", "set,get"][..],
        &["-c", "10", "-n", "2000", "-t", "set,get", "-d", "20000", "-P", "16"],
        // A connection a question.
        &["-c", "10", "-n", "2000", "-t", "ping", "-k", "0"],
    ] {
        let mut benchmark = client("redis-benchmark", dir.path());
        benchmark.args(["-h", "127.0.0.1", "-p", &port, "-q"]).args(load);
        let output = succeeded(&mut benchmark);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("requests per second") && !said.contains("rror"), "{said}");
    }
    proxy.is_at_rest();
    for ended in proxy.log() {
        // It does not wait for the end of those that it is done with.
        assert!(["done", "reset"].contains(&ended.why.as_str()), "{ended:?}");
    }
}
