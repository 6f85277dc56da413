//! A changed, replaced or deleted file is seen by the very next request, from the cache or not.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::io::{Seek as _, Write as _};
use std::time::Duration;

use support::{Site, noise};

/// Long enough for files to be kept: both of their times must be two seconds old.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

#[test]
fn every_change_is_seen_by_the_very_next_request() {
    let site = Site::new();
    let names = ["small", "large", "replaced", "deleted", "folder", "same-size"];
    for name in names {
        site.old(name, noise(if name == "large" { 100_000 } else { 100 }));
    }
    let body = |name: &str| {
        let answer = site.get(&format!("/{name}"), &[]);
        (answer.status == 200).then_some(answer.body)
    };
    settle();
    for name in names {
        let first = body(name);
        assert!(first.is_some());
        assert_eq!(body(name), first, "from the cache");
    }

    site.young("small", "changed");
    assert_eq!(body("small").unwrap(), b"changed");

    let mut large = fs::File::options().append(true).open(site.path("large")).unwrap();
    large.write_all(b"more").unwrap();
    assert_eq!(body("large").unwrap().len(), 100_004);
    large.set_len(50_000).unwrap();
    assert_eq!(body("large").unwrap(), noise(100_000)[..50_000]);

    site.old("next", "new");
    fs::rename(site.path("next"), site.path("replaced")).unwrap();
    assert_eq!(body("replaced").unwrap(), b"new");

    fs::remove_file(site.path("deleted")).unwrap();
    assert_eq!(body("deleted"), None);
    site.old("deleted", "back");
    assert_eq!(body("deleted").unwrap(), b"back");

    fs::remove_file(site.path("folder")).unwrap();
    fs::create_dir(site.path("folder")).unwrap();
    assert_eq!(site.get("/folder", &[]).status, 301);

    // Same length, same modification time: what is left is the time of change.
    let time = fs::metadata(site.path("same-size")).unwrap().modified().unwrap();
    let mut file = fs::File::options().write(true).open(site.path("same-size")).unwrap();
    file.rewind().unwrap();
    file.write_all(&[b'x'; 100]).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(body("same-size").unwrap(), [b'x'; 100]);
}

#[test]
fn a_file_that_changes_all_the_time_is_never_sent_from_before() {
    let site = Site::new();
    for i in 0..300 {
        let text = format!("version {i:03}");
        site.young("a", &text);
        // Its time is set back, so that only the time of change tells.
        site.age("a", 3600);
        assert_eq!(site.get("/a", &[]).text(), text);
    }
}

#[test]
fn h67_a_file_that_is_not_in_the_folder_any_more_is_not_sent_from_the_cache() {
    let outside = tempfile::tempdir().unwrap();
    let site = Site::new();
    site.old("sub/a", "secret");
    std::os::unix::fs::symlink("sub/a", site.path("link")).unwrap();
    settle();
    for _ in 0..2 {
        assert_eq!(site.get("/sub/a", &[]).status, 200);
        assert_eq!(site.get("/link", &[]).status, 200);
    }
    let moved = outside.path().join("sub");
    fs::rename(site.path("sub"), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, site.path("sub")).unwrap();
    assert_eq!(site.get("/sub/a", &[]).status, 404, "the same inode, outside");
    assert_eq!(site.get("/link", &[]).status, 404, "the same inode, by a link to where it was");
}
