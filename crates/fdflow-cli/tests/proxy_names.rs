//! Upstreams that `fdflow proxy` finds by name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use rustix::process::Signal;
use support::dns::NameServer;
use support::origin::{Origin, proxy, started, who};
use support::server::{Server, eventually};

const NAME: &str = "_db._tcp.test.";

fn with(names: &NameServer, flags: &[&str]) -> Server {
    let server = names.address().to_string();
    let asked = ["--name-server", &server, "--resolve-interval", "20ms"];
    proxy(&[&asked[..], flags].concat())
}

/// Whom eight connections reach.
fn reached(proxy: &Server) -> BTreeSet<String> {
    (0..8).map(|_| who(proxy)).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn flows_follow_the_replicas_that_come_and_go() {
    let names = NameServer::new();
    let (a, b, c) = (Origin::new("a"), Origin::new("b"), Origin::new("c"));
    let record = |origin: &Origin, host| (0, 0, origin.address(), host);
    names.srv(NAME, &[record(&a, "a.test."), record(&b, "b.test.")]);
    let proxy = with(&names, &["--to", "srv://_db._tcp.test."]);
    assert_eq!(reached(&proxy), set(["a", "b"]));
    names.srv(NAME, &[record(&a, "a.test."), record(&b, "b.test."), record(&c, "c.test.")]);
    eventually(|| reached(&proxy) == set(["a", "b", "c"]), "c, which has come");
    names.srv(NAME, &[record(&c, "c.test.")]);
    eventually(|| reached(&proxy) == set(["c"]), "c alone");
    proxy.said(&format!("srv://_db._tcp.test. is {}\n", c.address()));
}

#[test]
fn records_have_weights_and_those_of_a_later_priority_are_backups() {
    let names = NameServer::new();
    let (a, b, c) = (Origin::new("a"), Origin::new("b"), Origin::new("c"));
    names.srv(
        NAME,
        &[
            (20, 9, c.address(), "c.test."),
            (10, 6, a.address(), "a.test."),
            (10, 2, b.address(), "b.test."),
        ],
    );
    let proxy = with(&names, &["--to", "srv://_db._tcp.test.", "--max-fails", "1"]);
    let all: Vec<String> = (0..8).map(|_| who(&proxy)).collect();
    let count = |name| all.iter().filter(|one| *one == name).count();
    assert_eq!((count("a"), count("b"), count("c")), (6, 2, 0));
    drop((a, b));
    assert_eq!(reached(&proxy), set(["c"]));
}

#[test]
fn what_is_known_stays_when_the_name_has_no_answer_any_more() {
    let names = NameServer::new();
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    names.srv(NAME, &[(0, 1, a.address(), "a.test.")]);
    let proxy = with(&names, &["--to", "srv://_db._tcp.test."]);
    assert_eq!(reached(&proxy), set(["a"]));
    names.srv(NAME, &[]);
    names.is_asked_again(NAME);
    proxy.said("it has no such records; it stays what it was");
    assert_eq!(reached(&proxy), set(["a"]));
    names.forget(NAME);
    names.is_asked_again(NAME);
    proxy.said("there is no such name; it stays what it was");
    assert_eq!(reached(&proxy), set(["a"]));
    names.fail(NAME, true);
    names.is_asked_again(NAME);
    assert_eq!(reached(&proxy), set(["a"]));
    names.fail(NAME, false);
    names.srv(NAME, &[(0, 1, b.address(), "b.test.")]);
    eventually(|| reached(&proxy) == set(["b"]), "the new answer");
    // Each trouble is told once, not at each look-up.
    assert_eq!(proxy.errors().matches("no such records").count(), 1, "{}", proxy.errors());
}

#[test]
fn a_replica_whose_address_cannot_be_had_just_now_keeps_it() {
    let names = NameServer::new();
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    names.srv(NAME, &[(0, 1, a.address(), "a.test."), (0, 1, b.address(), "b.test.")]);
    let proxy = with(&names, &["--to", "srv://_db._tcp.test."]);
    names.fail("a.test.", true);
    proxy.said("a.test.: the name server says: Server Failure; it stays what it was");
    assert_eq!(reached(&proxy), set(["a", "b"]));
    names.fail("a.test.", false);
    names.forget("a.test.");
    proxy.said("a.test.: there is no such name; it is left out");
    eventually(|| reached(&proxy) == set(["b"]), "b alone");
}

#[test]
fn a_service_starts_without_its_upstreams_and_finds_them_later() {
    let names = NameServer::new();
    let proxy = with(&names, &["--to", "srv://_db._tcp.test."]);
    proxy.said("cannot find srv://_db._tcp.test.: there is no such name; nothing goes there");
    assert_eq!(reached(&proxy), set([""]));
    let a = Origin::new("a");
    names.srv(NAME, &[(0, 1, a.address(), "a.test.")]);
    eventually(|| who(&proxy) == "a", "its upstream");
    proxy.said(&format!("srv://_db._tcp.test. is {}", a.address()));
}

#[test]
fn one_name_that_is_not_found_keeps_nobody_from_the_other_upstreams() {
    let names = NameServer::new();
    let a = Origin::new("a");
    let to = a.address().to_string();
    let proxy = with(&names, &["--to", "srv://_db._tcp.test.", "--to", &to]);
    assert_eq!(reached(&proxy), set(["a"]));
}

#[test]
fn a_reload_that_finds_no_name_server_keeps_what_was_known() {
    let names = NameServer::new();
    let a = Origin::new("a");
    names.srv(NAME, &[(0, 1, a.address(), "a.test.")]);
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "name_server = \"{}\"\nlog = \"none\"\n[[service]]\nlisten = [\"127.0.0.1:0\"]\n\
         to = [\"srv://_db._tcp.test.\"]\nresolve_interval = \"20ms\"\n",
        names.address()
    );
    std::fs::write(config.path(), text).unwrap();
    let mut command = support::fdflow();
    command.args(["proxy", "--threads", "1", "--config", config.path().to_str().unwrap()]);
    let proxy = started(command);
    assert_eq!(reached(&proxy), set(["a"]));
    names.fail(NAME, true);
    proxy.signal(Signal::HUP);
    eventually(|| proxy.errors().lines().any(|line| line.ends_with(": reloaded")), "a reload");
    assert_eq!(reached(&proxy), set(["a"]));
    proxy.said("the name server says: Server Failure; it stays what it was");
    // And it is looked up again as before.
    let b = Origin::new("b");
    names.fail(NAME, false);
    names.srv(NAME, &[(0, 1, b.address(), "b.test.")]);
    eventually(|| reached(&proxy) == set(["b"]), "the new answer");
}

#[test]
fn replicas_that_come_are_checked_and_those_that_go_are_not() {
    let names = NameServer::new();
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    names.srv(NAME, &[(0, 1, a.address(), "a.test.")]);
    let flags = ["--to", "srv://_db._tcp.test.", "--check-interval", "20ms"];
    let proxy = with(&names, &flags);
    eventually(|| !a.ended().is_empty(), "a check of a");
    names.srv(NAME, &[(0, 1, b.address(), "b.test.")]);
    eventually(|| !b.ended().is_empty(), "a check of b");
    let at = a.die();
    let checks = b.ended().len();
    eventually(|| b.ended().len() > checks + 8, "more checks of b");
    assert!(!proxy.errors().contains(&format!("{at} is left out")), "{}", proxy.errors());
}

#[test]
fn a_name_that_the_system_knows_is_looked_up_there() {
    let a = Origin::new("a");
    let to = format!("localhost:{}", a.address().port());
    let proxy = proxy(&["--to", &to]);
    assert_eq!(reached(&proxy), set(["a"]));
}

#[test]
fn a_name_that_nobody_knows_is_told_with_its_reason() {
    let proxy = proxy(&["--to", "nosuch.invalid:80"]);
    proxy.said("cannot find nosuch.invalid:80: ");
    proxy.said("; nothing goes there until it is found");
    assert_eq!(reached(&proxy), set([""]));
}
