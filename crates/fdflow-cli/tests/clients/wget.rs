//! Downloads by wget.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::site::{LARGE, Site, succeeded, went_by_sendfile};
use super::support::server::eventually;

pub fn wget(site: &Site) -> Option<Command> {
    let mut command = site.client("wget")?;
    command.args(["--no-config", "--no-hsts", "-nv", "--tries=1", "--timeout=60"]);
    Some(command)
}

#[test]
fn wget_resumes_a_download_that_was_killed_midway() {
    let mut site = Site::serve(&[]);
    let Some(mut first) = wget(&site) else { return };
    let bytes = site.put_pattern("large", 2 * LARGE);
    // Slow, so that it is not done before it is killed.
    first.args(["--limit-rate=500k"]).arg(site.url("/large"));
    let mut child = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let length = || std::fs::metadata(site.own("large")).map_or(0, |facts| facts.len());
    eventually(|| length() > 0, "the first bytes");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.wait().unwrap();
    let had = length();
    assert!(had < bytes.len() as u64, "it was done already");
    assert_eq!(site.line()["complete"], false);
    succeeded(wget(&site).unwrap().arg("-c").arg(site.url("/large")));
    assert!(std::fs::read(site.own("large")).unwrap() == bytes);
    let line = site.line();
    assert_eq!(
        (&line["status"], &line["bytes"]),
        (&206.into(), &(bytes.len() as u64 - had).into())
    );
    went_by_sendfile(&line);
}

#[test]
fn wget_c_leaves_a_whole_file_as_it_is() {
    let mut site = Site::serve(&[]);
    let Some(mut wget) = wget(&site) else { return };
    let bytes = site.put_pattern("large", LARGE);
    std::fs::write(site.own("large"), &bytes).unwrap();
    succeeded(wget.arg("-c").arg(site.url("/large")));
    assert!(std::fs::read(site.own("large")).unwrap() == bytes);
    assert_eq!(site.line()["status"], 416);
}

#[test]
fn wget_mirrors_a_tree_through_its_listings() {
    let mut site = Site::serve(&[]);
    let Some(mut wget) = wget(&site) else { return };
    let files = [
        ("top.txt", 10),
        ("large", LARGE),
        ("one/a b", 20),
        ("one/c#d", 30),
        ("one/e?f", 40),
        ("one/two words/100%", 50),
        ("one/two words/'quoted' \"twice\"", 60),
    ];
    for (name, length) in files {
        site.put_pattern(name, length);
    }
    // Hidden files are in no listing.
    site.put(".hidden", b"");
    succeeded(wget.args(["-r", "-np", "-nH", "-e", "robots=off"]).arg(site.url("/")));
    for (name, _) in files {
        let (own, served) = (std::fs::read(site.own(name)), std::fs::read(site.served(name)));
        assert!(own.is_ok_and(|own| own == served.unwrap()), "{name}");
    }
    assert!(!site.own(".hidden").exists());
    let lines = site.lines();
    let line = lines.iter().find(|line| line["target"] == "/large").unwrap();
    went_by_sendfile(line);
    let answered =
        |line: &&serde_json::Value| line["status"] != 200 && line["target"] != "/robots.txt";
    assert_eq!(lines.iter().find(answered), None);
}
