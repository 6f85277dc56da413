//! Servers that run beside a test, and clients that end.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::support::ends::At;
use super::support::proxy::{Ended, Proxy};
use super::support::server::eventually;

/// Whether all of these are installed; says what is not.
pub fn are_there(names: &[&str]) -> bool {
    // Servers are where only root looks for them.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    let missing = |name: &&&str| !folders.iter().any(|folder| folder.join(name).is_file());
    match names.iter().find(missing) {
        None => true,
        Some(name) => {
            eprintln!("SKIPPED: there is no {name}");
            false
        }
    }
}

/// A port that nobody has.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A program without settings of this user, with messages in English, in this folder.
pub fn program(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.env("HOME", dir).env("LC_ALL", "C.UTF-8").current_dir(dir);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// A client that is ended when it takes for ever.
pub fn client(name: &str, dir: &Path) -> Command {
    let mut command = program("timeout", dir);
    command.args(["60", name]);
    command
}

/// A server, ended when it is dropped.
pub struct Background(Child);

impl Background {
    /// Runs it, and waits until somebody listens there.
    pub fn start(command: &mut Command, at: &At) -> Self {
        let log = tempfile::tempfile().unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = Self(command.spawn().unwrap());
        let mut is_there = || {
            let ended = server.0.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?}: {ended:?}");
            at.try_connect().is_ok()
        };
        eventually(&mut is_there, "a server that listens");
        server
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.0)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Its own children end with it only when it is asked to end.
        let _told = rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM);
        let begun = std::time::Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if begun.elapsed().as_secs() > 10 {
                let _killed = self.0.kill().is_ok();
            }
            std::thread::yield_now();
        }
    }
}

/// Runs a client to its end, which has to be a good one.
#[track_caller]
pub fn succeeded(command: &mut Command) -> Output {
    fed(command, b"")
}

/// The same with this to read.
#[track_caller]
pub fn fed(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // It need not read all of it.
            let _read = stdin.write_all(input).is_ok();
        });
        child.wait_with_output().unwrap()
    });
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{errors}", output.status);
    output
}

/// What a proxy leaves when its clients have gone: nothing, and a log of flows that all came to
/// their end.
#[track_caller]
pub fn all_done(proxy: Proxy) -> Vec<Ended> {
    proxy.is_at_rest();
    let log = proxy.log();
    assert!(!log.is_empty());
    for ended in &log {
        assert_eq!(ended.why, "done", "{ended:?}");
    }
    log
}
