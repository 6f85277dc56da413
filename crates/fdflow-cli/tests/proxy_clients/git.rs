//! git over its own protocol.

use std::path::Path;

use super::programs::{Background, all_done, are_there, client, free_port, program, succeeded};
use super::support::ends::At;
use super::support::pattern;
use super::support::proxy::Proxy;

fn git(dir: &Path, arguments: &[&str]) {
    let mut git = client("git", dir);
    git.env("GIT_CONFIG_NOSYSTEM", "1");
    git.args(["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]);
    succeeded(git.args(["-c", "init.defaultBranch=trunk"]).args(arguments));
}

#[test]
fn git_clones_and_pushes_by_its_own_protocol() {
    if !are_there(&["git"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    git(dir, &["init", "-q", "project"]);
    let project = dir.join("project");
    std::fs::write(project.join("large"), pattern(4_000_000)).unwrap();
    git(&project, &["add", "large"]);
    git(&project, &["commit", "-q", "-m", "large"]);
    git(dir, &["clone", "-q", "--bare", "project", "served.git"]);
    let address = free_port();
    let (at, port) = (At::Tcp(address), format!("--port={}", address.port()));
    let mut daemon = program("git", dir);
    daemon.args(["daemon", "--export-all", "--enable=receive-pack", "--base-path=."]);
    let _server = Background::start(daemon.args(["--listen=127.0.0.1", &port]), &at);
    let proxy = Proxy::to(&at, &[]);
    let url = format!("git://{}/served.git", proxy.address());
    git(dir, &["clone", "-q", &url, "clone"]);
    let clone = dir.join("clone");
    git(&clone, &["fsck", "--strict"]);
    assert!(std::fs::read(clone.join("large")).unwrap() == pattern(4_000_000));
    let mut more = pattern(2_000_000);
    more.reverse();
    std::fs::write(clone.join("more"), &more).unwrap();
    git(&clone, &["add", "more"]);
    git(&clone, &["commit", "-q", "-m", "more"]);
    git(&clone, &["push", "-q", "origin", "trunk"]);
    git(&dir.join("served.git"), &["fsck", "--strict"]);
    git(&project, &["pull", "-q", &url, "trunk"]);
    assert!(std::fs::read(project.join("more")).unwrap() == more);
    assert_eq!(all_done(proxy).len(), 3);
}
