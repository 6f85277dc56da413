//! `fdflow relay`: its flags, where its producers come from, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::pattern;
use support::relay::{Relay, same};

#[test]
fn readers_get_all_that_is_sent_once_they_have_joined() {
    let mut relay = Relay::start(&["--lag", "block"]);
    let producer = relay.produce();
    let readers = relay.read_by(3);
    relay.has_joined(3);
    let bytes = pattern(300_000);
    producer.send(&bytes);
    drop(producer);
    for reader in &readers {
        same(&reader.rest(), &bytes);
    }
    for ended in relay.all_ended(3) {
        assert_eq!(
            (&*ended.why, ended.start, ended.bytes, ended.missed),
            ("done", Some(0), 300_000, 0)
        );
    }
    relay.is_done();
}
