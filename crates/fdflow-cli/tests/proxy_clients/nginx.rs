//! nginx's stream module before and behind.

use super::haproxy::{both_ways, named};
use super::programs::{Background, all_done, are_there, free_port, program};
use super::support::ends::{At, Backend};
use super::support::proxy::Proxy;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

#[test]
fn nginx_and_this_tell_each_other_of_the_client() {
    if !are_there(&["nginx"]) {
        return;
    }
    if !std::path::Path::new(MODULE).is_file() {
        eprintln!("SKIPPED: nginx has no stream module");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::tcp();
    let flags = ["--accept-proxy", "--trust", "127.0.0.0/8", "--send-proxy", "v1"];
    let behind = Proxy::to(&backend.at(), &flags);
    let [front, last] = [free_port(), free_port()];
    let to = behind.address();
    let config = format!(
        "load_module {MODULE};\ndaemon off;\nmaster_process off;\npid nginx.pid;\n\
         error_log stderr;\nevents {{ }}\nstream {{\n\
         server {{ listen {front}; proxy_pass {to}; proxy_protocol on;\n\
         proxy_half_close on; }}\n\
         server {{ listen {last} proxy_protocol;\n\
         return \"$proxy_protocol_addr:$proxy_protocol_port\"; }}\n}}\n"
    );
    std::fs::write(dir.path().join("config"), config).unwrap();
    let mut nginx = program("nginx", dir.path());
    nginx.arg("-p").arg(dir.path()).args(["-c", "config", "-e", "stderr"]);
    let _nginx = Background::start(&mut nginx, &At::Tcp(front));
    // It was asked whether it listens.
    drop(backend.accept());
    behind.ended();
    let client = At::Tcp(front).connect();
    both_ways(&client, &backend, &named(&client, None));
    all_done(behind);
    for version in ["v1", "v2"] {
        let before = Proxy::to(&At::Tcp(last), &["--send-proxy", version]);
        let client = before.connect();
        let from = client.addresses().0;
        assert_eq!(String::from_utf8(client.rest()).unwrap(), from.to_string());
        client.half_close();
        all_done(before);
    }
}
