//! ssh and scp, with a server of their own keys.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::programs::{
    Background, all_done, are_there, client, fed, free_port, program, succeeded,
};
use super::support::ends::At;
use super::support::pattern;
use super::support::proxy::Proxy;

fn key(dir: &Path, name: &str) {
    let mut keygen = program("ssh-keygen", dir);
    succeeded(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", name]));
}

/// A server for whoever has the key `own`.
fn server(dir: &Path) -> (Background, At) {
    key(dir, "host");
    key(dir, "own");
    let (address, shown) = (free_port(), dir.display());
    let config = format!(
        "ListenAddress {address}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/own.pub\n\
         PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n\
         Subsystem sftp internal-sftp\n"
    );
    std::fs::write(dir.join("config"), config).unwrap();
    if rustix::process::geteuid().is_root() {
        // Where its service is not started this is missing.
        std::fs::create_dir_all("/run/sshd").unwrap();
        std::fs::set_permissions("/run/sshd", PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut sshd = program("/usr/sbin/sshd", dir);
    let at = At::Tcp(address);
    (Background::start(sshd.args(["-D", "-e", "-f"]).arg(dir.join("config")), &at), at)
}

fn with_key(name: &str, port: (&str, &str), dir: &Path) -> Command {
    let mut command = client(name, dir);
    command.args(["-q", "-F", "none", "-i", "own", port.0, port.1, "-o", "BatchMode=yes"]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    command
}

#[test]
fn ssh_and_scp_go_through() {
    if !are_there(&["sshd", "ssh", "scp", "ssh-keygen"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let (_server, at) = server(dir);
    let proxy = Proxy::to(&at, &[]);
    let port = proxy.address().port().to_string();
    let user = String::from_utf8(succeeded(program("id", dir).arg("-un")).stdout).unwrap();
    let host = format!("{}@127.0.0.1", user.trim());
    let bytes = pattern(5_000_000);
    let mut ssh = with_key("ssh", ("-p", &port), dir);
    assert!(fed(ssh.args([&host, "cat"]), &bytes).stdout == bytes);
    let mut ssh = with_key("ssh", ("-p", &port), dir);
    assert_eq!(ssh.args([&host, "exit 7"]).status().unwrap().code(), Some(7));
    std::fs::write(dir.join("from"), &bytes).unwrap();
    let (there, back) = (format!("{host}:{}/there", dir.display()), dir.join("back"));
    let mut scp = with_key("scp", ("-P", &port), dir);
    succeeded(scp.args(["from", &there]));
    let mut scp = with_key("scp", ("-P", &port), dir);
    succeeded(scp.arg(&there).arg(&back));
    assert!(std::fs::read(dir.join("there")).unwrap() == bytes);
    assert!(std::fs::read(back).unwrap() == bytes);
    assert_eq!(all_done(proxy).len(), 4);
}
