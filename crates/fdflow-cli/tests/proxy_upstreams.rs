//! To which upstreams `fdflow proxy` passes connections on, and what it does where one is down.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;

use support::origin::{Hanging, Origin, connect, nobody, proxy, who, who_from};
use support::server::{Client, Server, eventually};

fn text(address: SocketAddr) -> String {
    address.to_string()
}

/// Whom so many connections reach, one after another.
fn reached(proxy: &Server, times: usize) -> Vec<String> {
    (0..times).map(|_| who(proxy)).collect()
}

fn count(reached: &[String], name: &str) -> usize {
    reached.iter().filter(|one| *one == name).count()
}

/// A connection that stays, and whom it has reached.
fn stay(proxy: &Server) -> (Client, String) {
    let mut client = connect(proxy);
    let name = client.bytes(1);
    (client, String::from_utf8(name).unwrap())
}

#[test]
fn where_an_upstream_refuses_the_next_one_gets_the_client_who_notices_nothing() {
    let live = Origin::new("a");
    let (dead, also) = (text(nobody()), text(nobody()));
    let to = text(live.address());
    let proxy = proxy(&["--to", &dead, "--to", &also, "--to", &to, "--max-fails", "0"]);
    // Nobody is left out: each third connection meets both.
    assert_eq!(count(&reached(&proxy, 9), "a"), 9);
    eventually(|| live.ended().len() == 9, "nine connections");
    assert!(live.ended().iter().all(|ended| *ended == (b"!".to_vec(), true)));
}

#[test]
fn where_an_upstream_hangs_the_next_one_gets_the_client_in_time() {
    let (hanging, live) = (Hanging::new(), Origin::new("a"));
    let (first, second) = (text(hanging.address()), text(live.address()));
    let flags = ["--connect-timeout", "200ms", "--max-fails", "1"];
    let proxy = proxy(&[&["--to", &first, "--to", &second][..], &flags].concat());
    assert_eq!(count(&reached(&proxy, 4), "a"), 4);
    proxy.said(&format!("{first} is left out: no answer within 200ms"));
}

#[test]
fn where_no_upstream_can_be_had_the_client_is_told_by_the_end_and_the_next_is_tried_again() {
    let dead = nobody();
    let proxy = proxy(&["--to", &text(dead), "--max-fails", "1"]);
    assert_eq!(reached(&proxy, 3), ["", "", ""]);
    let _back = Origin::at(dead, "a");
    // At once: a wrong opinion does not end the service.
    assert_eq!(who(&proxy), "a");
    proxy.said(&format!("{dead} is up again"));
}

#[test]
fn an_upstream_that_dies_ends_its_own_flows_alone() {
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    let proxy = proxy(&["--to", &text(a.address()), "--to", &text(b.address())]);
    let (mut one, first) = stay(&proxy);
    let (mut two, second) = stay(&proxy);
    assert_eq!((first.as_str(), second.as_str()), ("a", "b"));
    a.die();
    assert!(one.is_cut());
    two.send(b"still there?");
    assert_eq!(two.bytes(12), b"still there?");
    assert_eq!(count(&reached(&proxy, 4), "b"), 4);
}

#[test]
fn a_backup_has_the_connections_only_while_the_first_is_down() {
    let (first, backup) = (Origin::new("a"), Origin::new("b"));
    let at = first.address();
    let flags = ["--max-fails", "1", "--backup", &text(backup.address())];
    let proxy = proxy(&[&["--to", &text(at)][..], &flags].concat());
    assert_eq!(count(&reached(&proxy, 4), "a"), 4);
    first.die();
    assert_eq!(count(&reached(&proxy, 4), "b"), 4);
    proxy.said(&format!("{at} is left out: "));
    let _again = Origin::at(at, "a");
    eventually(|| who(&proxy) == "a", "the first again");
    assert_eq!(count(&reached(&proxy, 8), "a"), 8);
}

#[test]
fn connections_are_shared_by_weight() {
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    let heavy = format!("{},weight=3", a.address());
    let proxy = proxy(&["--to", &heavy, "--to", &text(b.address())]);
    let reached = reached(&proxy, 12);
    assert_eq!((count(&reached, "a"), count(&reached, "b")), (9, 3));
}

#[test]
fn with_source_hash_a_client_comes_back_to_its_upstream_also_after_a_failure() {
    let origins = [Origin::new("a"), Origin::new("b"), Origin::new("c")];
    let to: Vec<String> = origins.iter().map(|origin| text(origin.address())).collect();
    let mut flags = vec!["--balance", "source-hash", "--max-fails", "1"];
    to.iter().for_each(|to| flags.extend(["--to", to]));
    let proxy = proxy(&flags);
    let all = || (1..=32).map(|last| who_from(&proxy, last)).collect::<Vec<_>>();
    let first = all();
    assert_eq!(all(), first);
    assert!(["a", "b", "c"].iter().all(|name| count(&first, name) > 0), "{first:?}");
    let [a, _b, _c] = origins;
    let at = a.die();
    for (now, before) in all().iter().zip(&first).filter(|(_, before)| *before != "a") {
        assert_eq!(now, before, "only the clients of a move");
    }
    assert_eq!(count(&all(), "a"), 0);
    let _again = Origin::at(at, "a");
    // Whoever tries it is one of its own.
    eventually(
        || {
            let now = all();
            assert!(now.iter().zip(&first).all(|(now, before)| now == before || before == "a"));
            now == first
        },
        "all as before",
    );
}

#[test]
fn with_least_connections_the_one_with_the_fewest_open_gets_the_next() {
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    let to = [text(a.address()), text(b.address())];
    let proxy = proxy(&["--balance", "least-connections", "--to", &to[0], "--to", &to[1]]);
    let open: Vec<(Client, String)> = (0..4).map(|_| stay(&proxy)).collect();
    let (of_a, of_b): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, name)| name == "a");
    assert_eq!((of_a.len(), of_b.len()), (2, 2));
    drop(of_a);
    eventually(|| a.ended().len() == 2, "the end of both");
    // The proxy counts them out when their ends are through, which a sees before.
    let next_two_reach_a = || [stay(&proxy), stay(&proxy)].iter().all(|(_, name)| name == "a");
    eventually(next_two_reach_a, "two for a, which has two fewer");
    drop(of_b);
}

#[test]
fn an_upstream_that_fails_is_left_out_and_comes_back() {
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    let proxy = proxy(&["--to", &text(a.address()), "--to", &text(b.address())]);
    let at = a.die();
    let line = format!("{at} is left out: Connection refused");
    let is_left_out = || {
        assert_eq!(who(&proxy), "b");
        proxy.errors().contains(&line)
    };
    eventually(is_left_out, &line);
    let _again = Origin::at(at, "a");
    eventually(|| who(&proxy) == "a", "a connection that tries it");
    proxy.said(&format!("{at} is up again"));
    let reached = reached(&proxy, 4);
    assert_eq!((count(&reached, "a"), count(&reached, "b")), (2, 2));
    assert_eq!(proxy.errors().matches("is left out").count(), 1, "{}", proxy.errors());
}

#[test]
fn checks_find_out_before_any_client() {
    let (a, b) = (Origin::new("a"), Origin::new("b"));
    let to = [text(a.address()), text(b.address())];
    let flags = ["--check-interval", "20ms", "--max-fails", "2"];
    let proxy = proxy(&[&["--to", &to[0], "--to", &to[1]][..], &flags].concat());
    eventually(|| a.ended().len() >= 3 && b.ended().len() >= 3, "checks of both");
    // They read what they are told, and so end without a reset.
    assert!(a.ended().iter().chain(&b.ended()).all(|ended| *ended == (Vec::new(), true)));
    let at = a.die();
    proxy.said(&format!("{at} is left out: Connection refused"));
    assert_eq!(count(&reached(&proxy, 4), "b"), 4);
    let _again = Origin::at(at, "a");
    proxy.said(&format!("{at} is up again"));
    let reached = reached(&proxy, 4);
    assert_eq!((count(&reached, "a"), count(&reached, "b")), (2, 2));
}

#[test]
fn a_check_says_to_those_who_read_headers_that_nobody_is_behind_it() {
    let origin = Origin::new("a");
    let to = text(origin.address());
    let _proxy = proxy(&["--to", &to, "--check-interval", "20ms", "--send-proxy", "v1"]);
    eventually(|| !origin.ended().is_empty(), "a check");
    assert_eq!(origin.ended()[0], (b"PROXY UNKNOWN\r\n".to_vec(), true));
}
