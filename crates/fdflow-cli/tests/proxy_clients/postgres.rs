//! psql and pgbench, with a cluster of their own.

use std::fmt::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::programs::{Background, all_done, are_there, client, fed, program, succeeded};
use super::support::ends::At;
use super::support::fdflow;
use super::support::proxy::Proxy;

/// Where Debian keeps what only the server's user calls.
fn folder() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
    let bin = versions.and_then(|versions| {
        versions
            .flatten()
            .map(|version| version.path().join("bin"))
            .find(|bin| bin.join("initdb").is_file())
    });
    if bin.is_none() {
        eprintln!("SKIPPED: there is no initdb");
    }
    bin
}

/// A program as the server's user: it does not run as root.
fn as_server(name: &Path, dir: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return program(name.to_str().unwrap(), dir);
    }
    let mut command = program("setpriv", dir);
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(name);
    command
}

/// A cluster that listens on a Unix socket in `dir`.
fn cluster(bin: &Path, dir: &Path) -> (Background, At) {
    if rustix::process::geteuid().is_root() {
        let id = |flag| {
            let output = succeeded(program("id", dir).args([flag, "postgres"]));
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        chown(dir, Some(id("-u")), Some(id("-g"))).unwrap();
    }
    let mut make = as_server(&bin.join("initdb"), dir);
    succeeded(make.args(["-D", "data", "-A", "trust", "-U", "postgres", "-N"]));
    let mut server = as_server(&bin.join("postgres"), dir);
    server.args(["-D", "data", "-p", "5432", "-c", "listen_addresses=", "-c", "fsync=off", "-k"]);
    let at = At::Unix(dir.join(".s.PGSQL.5432"));
    (Background::start(server.arg(dir), &at), at)
}

#[test]
fn psql_and_pgbench_work_with_a_real_server_by_tcp_and_by_unix_socket() {
    if !are_there(&["psql", "pgbench", "setpriv"]) {
        return;
    }
    let Some(bin) = folder() else { return };
    let (dir, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_server, at) = cluster(&bin, dir.path());
    let unix = At::Unix(inside.path().join(".s.PGSQL.5432")).to_string();
    let mut command = fdflow();
    command.args(["proxy", "--threads", "1", "--listen", "127.0.0.1:0", "--listen", &unix]);
    command.args(["--to", &at.to_string()]);
    let proxy = Proxy::run(command, 2);
    let port = proxy.address().port().to_string();
    let by_tcp = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
    let by_unix = ["-h", inside.path().to_str().unwrap(), "-p", "5432", "-U", "postgres"];
    let mut rows = String::new();
    for row in 0..40_000 {
        writeln!(rows, "{row}\trow {row} of many, with some words").unwrap();
    }
    for way in [by_tcp, by_unix] {
        let psql = |sql: &str, input: &str| {
            let mut psql = client("psql", dir.path());
            psql.args(way).args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql]);
            String::from_utf8(fed(&mut psql, input.as_bytes()).stdout).unwrap()
        };
        psql("drop table if exists t; create table t (n int, word text)", "");
        psql("copy t from stdin", &rows);
        assert!(psql("copy (select * from t order by n) to stdout", "") == rows);
        assert_eq!(psql("select length(repeat('x', 3000000))", "").trim(), "3000000");
        let mut bench = client("pgbench", dir.path());
        succeeded(bench.args(way).args(["-i", "-q", "-s", "1", "postgres"]));
        for protocol in ["simple", "prepared"] {
            let mut bench = client("pgbench", dir.path());
            bench.args(way).args(["-n", "-c", "4", "-t", "100", "-M", protocol, "postgres"]);
            let output = String::from_utf8(succeeded(&mut bench).stdout).unwrap();
            assert!(output.contains("actually processed: 400/400"), "{output}");
        }
    }
    all_done(proxy);
}
