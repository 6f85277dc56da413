//! iperf3: as much as goes, both ways.

use super::programs::{Background, are_there, client, free_port, program, succeeded};
use super::support::ends::At;
use super::support::proxy::Proxy;

#[test]
fn iperf3_sends_each_way_and_several_streams() {
    if !are_there(&["iperf3"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let address = free_port();
    let mut server = program("iperf3", dir.path());
    server.args(["-s", "-B", "127.0.0.1", "-p", &address.port().to_string()]);
    let at = At::Tcp(address);
    let _server = Background::start(&mut server, &at);
    for flags in [&["-n", "200M"][..], &["-n", "200M", "-R"], &["-n", "200M", "-P", "4"]] {
        let proxy = Proxy::to(&at, &[]);
        let port = proxy.address().port().to_string();
        let mut iperf = client("iperf3", dir.path());
        iperf.args(["-J", "-c", "127.0.0.1", "-p", &port]).args(flags);
        let output = succeeded(&mut iperf);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        // It ends once all is sent: what is on its way then it does not wait for.
        let received = told["end"]["sum_received"]["bytes"].as_u64().unwrap();
        assert!(received > 10 << 20, "{received}");
        proxy.is_at_rest();
        let log = proxy.log();
        let passed: u64 = log.iter().map(|ended| ended.up.max(ended.down)).sum();
        assert!(passed >= received, "{passed} of {received}: {log:?}");
    }
}
