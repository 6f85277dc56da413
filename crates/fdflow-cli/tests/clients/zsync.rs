//! zsync: a new version of a file that is mostly there already.

use std::process::Command;

use super::site::{Site, denied, is_there, quiet, succeeded};
use super::support::pattern;

#[test]
fn zsync_fetches_only_the_blocks_that_it_has_not() {
    let mut site = Site::serve(&[]);
    let Some(mut zsync) = site.client("zsync") else { return };
    if !is_there("zsyncmake") {
        return;
    }
    let old = pattern(4 << 20);
    let mut new = old.clone();
    for at in [500_000, 2_000_000, 3_500_000] {
        new[at..at + 100_000].reverse();
    }
    new.splice(1_000_000..1_000_000, *b"some bytes more than there were");
    site.put("new", &new);
    std::fs::write(site.own("old"), &old).unwrap();
    let mut make = Command::new("zsyncmake");
    quiet(&mut make, &site.served(""));
    succeeded(make.args(["-u", "new", "-o", "new.zsync", "new"]));
    succeeded(zsync.args(["-q", "-i", "old", "-o", "got"]).arg(site.url("/new.zsync")));
    assert!(std::fs::read(site.own("got")).unwrap() == new);
    let lines = site.lines();
    let ranges: Vec<_> = lines.iter().filter(|line| line["target"] == "/new").collect();
    assert!(!ranges.is_empty() && ranges.iter().all(|line| line["status"] == 206), "{lines:#?}");
    let sum = |field: &str| ranges.iter().map(|line| line[field].as_u64().unwrap()).sum::<u64>();
    assert!((300_000..600_000).contains(&sum("bytes")), "{ranges:#?}");
    // A short part goes with its head; the three changed places are longer.
    let by_sendfile = if denied("sendfile") { "copied" } else { "sendfile" };
    assert!(sum(by_sendfile) >= 300_000, "{ranges:#?}");
}
