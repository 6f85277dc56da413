//! git over plain HTTP, which is called dumb: it finds its way by files alone.

use std::path::Path;
use std::process::Command;

use super::site::{LARGE, Site, quiet, succeeded, went_by_sendfile};
use super::support::pattern;

fn git(home: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    quiet(&mut git, home);
    git.env("GIT_CONFIG_NOSYSTEM", "1");
    git.args(["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]);
    succeeded(git.args(["-c", "init.defaultBranch=trunk"]).args(arguments));
}

#[test]
fn git_clones_packs_and_loose_objects_over_dumb_http() {
    let mut site = Site::serve(&[]);
    if site.client("git").is_none() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let home = work.path();
    git(home, &["init", "-q", "."]);
    std::fs::write(home.join("large"), pattern(LARGE)).unwrap();
    git(home, &["add", "large"]);
    git(home, &["commit", "-q", "-m", "large"]);
    git(home, &["gc", "-q"]);
    let bare = site.served("project.git");
    git(home, &["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    // A later commit stays loose.
    std::fs::write(home.join("small"), "small").unwrap();
    git(home, &["add", "small"]);
    git(home, &["commit", "-q", "-m", "small"]);
    git(home, &["push", "-q", bare.to_str().unwrap(), "trunk"]);
    git(&bare, &["update-server-info"]);
    let own = site.own("");
    git(&own, &["clone", "-q", &site.url("/project.git"), "clone"]);
    git(&own.join("clone"), &["fsck", "--strict"]);
    for name in ["large", "small"] {
        let (one, other) =
            (std::fs::read(home.join(name)), std::fs::read(own.join("clone").join(name)));
        assert!(one.unwrap() == other.unwrap(), "{name}");
    }
    let lines = site.lines();
    let pack = |line: &&serde_json::Value| line["target"].as_str().unwrap().ends_with(".pack");
    went_by_sendfile(lines.iter().find(pack).unwrap());
    let loose = |line: &serde_json::Value| {
        line["status"] == 200
            && line["target"].as_str().unwrap().contains("/objects/")
            && !pack(&line)
    };
    assert!(lines.iter().any(loose), "{lines:#?}");
}
