//! openssl s_client and s_server, which TLS is left to, with the server chosen by its name.

use std::path::Path;

use super::programs::{Background, all_done, are_there, client, fed, free_port, program};
use super::support::ends::At;
use super::support::pattern;
use super::support::proxy::{Proxy, proxy};

/// Serves the files of `dir` with a certificate of the tests.
fn server(dir: &Path, name: &str) -> (Background, At) {
    let address = free_port();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut server = program("openssl", dir);
    server.args(["s_server", "-WWW", "-quiet", "-accept", &address.to_string()]);
    server.arg("-cert").arg(data.join(format!("{name}.crt")));
    server.arg("-key").arg(data.join(format!("{name}.key")));
    let at = At::Tcp(address);
    (Background::start(&mut server, &at), at)
}

#[test]
fn openssl_is_led_to_the_server_that_it_names() {
    if !are_there(&["openssl"]) {
        return;
    }
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut bytes = pattern(3_000_000);
    std::fs::write(folders[0].path().join("file"), &bytes).unwrap();
    bytes.reverse();
    std::fs::write(folders[1].path().join("file"), &bytes).unwrap();
    let (_first, first) = server(folders[0].path(), "first");
    let (_second, second) = server(folders[1].path(), "second");
    let rules = [format!("first.example.org={first}"), format!("*.example.org={second}")];
    let proxy = Proxy::run(proxy(&["--sni", &rules[0], "--sni", &rules[1]]), 1);
    let address = proxy.address().to_string();
    let mut names = 0;
    for version in ["-tls1_2", "-tls1_3"] {
        for name in ["second.example.org", "first.example.org"] {
            let dir = tempfile::tempdir().unwrap();
            let mut tls = client("openssl", dir.path());
            tls.args(["s_client", "-quiet", version, "-connect", &address, "-servername", name]);
            let answer = fed(&mut tls, b"GET /file HTTP/1.0\r\n\r\n").stdout;
            assert!(answer.ends_with(&bytes), "{name}: {} bytes", answer.len());
            bytes.reverse();
            names += 1;
        }
    }
    assert_eq!(all_done(proxy).len(), names);
}
