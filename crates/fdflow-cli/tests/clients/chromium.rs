//! The listing in Chromium.

use serde_json::{Value, json};

use super::browser::Browser;
use super::site::Site;
use super::support::pattern;
use super::support::server::eventually;

/// A folder with something of each kind.
fn fill(site: &Site) {
    site.put("a.txt", b"the text of a");
    site.put_pattern("b.bin", 2_000_000);
    site.put_pattern("c.bin", 100);
    site.put_pattern("photos <1> #2/in it?.txt", 10);
}

#[test]
fn the_listing_is_shown_and_its_links_and_columns_are_clicked() {
    let mut site = Site::serve(&[]);
    let Some(browser) = Browser::start(true) else { return };
    fill(&site);
    browser.go(&site.url("/"));
    let folder = "photos <1> #2";
    browser.shows("#entries a", &[folder, "a.txt", "b.bin", "c.bin"]);
    // The largest first, the smallest first; folders before either.
    browser.click("th button", "Size");
    browser.shows("#entries a", &[folder, "b.bin", "c.bin", "a.txt"]);
    browser.shows("th[aria-sort=descending]", &["Size"]);
    browser.click("th button", "Size");
    browser.shows("#entries a", &[folder, "a.txt", "c.bin", "b.bin"]);
    browser.shows("th[aria-sort=ascending]", &["Size"]);
    browser.click("#entries a", folder);
    assert_eq!(browser.url(), site.url("/photos%20%3C1%3E%20%232/"));
    browser.shows("#entries a", &["in it?.txt"]);
    browser.click("main a", "Parent folder");
    assert_eq!(browser.url(), site.url("/"));
    assert_eq!(browser.complaints(), [Value::Null; 0]);
    let lines = site.lines();
    let targets: Vec<_> = lines.iter().map(|line| &line["target"]).collect();
    assert_eq!(targets, ["/", "/photos%20%3C1%3E%20%232/", "/"]);
    browser.click("#entries a", "a.txt");
    browser.shows("body", &["the text of a"]);
}

#[test]
fn the_listing_serves_those_without_script_too() {
    let mut site = Site::serve(&["--upload"]);
    let Some(browser) = Browser::start(false) else { return };
    fill(&site);
    browser.go(&site.url("/"));
    assert_eq!(browser.texts("#entries a"), ["photos <1> #2", "a.txt", "b.bin", "c.bin"]);
    assert_eq!(browser.texts("th"), ["Name", "Size", "Modified (UTC)"]);
    // No script ran: it would have made buttons of the columns' heads.
    assert!(browser.find("th button").is_empty());
    browser.click("#entries a", "photos <1> #2");
    let bytes = pattern(1_000_000);
    std::fs::write(site.own("chosen ü.bin"), &bytes).unwrap();
    browser.put_in("form input", site.own("chosen ü.bin").to_str().unwrap());
    browser.click("form button", "Upload");
    let line = site.line_where(|line| line["method"] == "POST");
    assert_eq!(line["target"], "/photos%20%3C1%3E%20%232/");
    assert!(std::fs::read(site.served("photos <1> #2/chosen ü.bin")).unwrap() == bytes);
    browser.go(&site.url("/photos%20%3C1%3E%20%232/"));
    assert_eq!(browser.texts("#entries a"), ["chosen ü.bin", "in it?.txt"]);
}

/// Notes how far each progress bar came, where a page that is loaded again finds it.
const WATCH_PROGRESS: &str = "
    new MutationObserver(changes => changes.forEach(({ target }) => {
        if (target.localName === 'progress' && target.checkVisibility())
            sessionStorage.seen = Math.max(sessionStorage.seen || 0, target.value);
    })).observe(document, { subtree: true, attributes: true })";

#[test]
fn a_file_that_is_dropped_onto_the_listing_arrives_whole_and_progress_is_shown() {
    let mut site = Site::serve(&["--upload"]);
    let Some(browser) = Browser::start(true) else { return };
    fill(&site);
    let bytes = pattern(8 << 20);
    let file = site.own("dropped ü #1?.bin");
    std::fs::write(&file, &bytes).unwrap();
    browser.go(&site.url("/photos%20%3C1%3E%20%232/"));
    browser.run(WATCH_PROGRESS);
    for kind in ["dragEnter", "dragOver", "drop"] {
        let data = json!({"items": [], "files": [file], "dragOperationsMask": 1});
        let event = json!({"type": kind, "x": 300, "y": 300, "data": data});
        browser.tell("Input.dispatchDragEvent", &event);
    }
    let line = site.line_where(|line| line["method"] == "PUT");
    assert_eq!(line["target"], "/photos%20%3C1%3E%20%232/dropped%20%C3%BC%20%231%3F.bin");
    assert_eq!((&line["status"], &line["received"]), (&201.into(), &bytes.len().into()));
    let there = std::fs::read(site.served("photos <1> #2/dropped ü #1?.bin"));
    assert!(there.unwrap() == bytes);
    browser.shows("#entries a", &["dropped ü #1?.bin", "in it?.txt"]);
    let seen = || browser.run("return Number(sessionStorage.seen)").as_f64().unwrap();
    eventually(|| seen() == 1.0, "a progress bar that was full");
    assert_eq!(browser.complaints(), [Value::Null; 0]);
}
