//! A served folder, its access log, and clients that end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::support::server::Server;
use super::support::{fdflow, pattern};

/// More than the server ever sends together with a head.
pub const LARGE: usize = 3_000_000;

/// A folder that is served, and another one for the client.
pub struct Site {
    root: tempfile::TempDir,
    client: tempfile::TempDir,
    server: Server,
    lines: Vec<Value>,
    scheme: &'static str,
}

impl Site {
    /// An empty folder, served with these flags too.
    pub fn serve(flags: &[&str]) -> Self {
        Self::serve_at("127.0.0.1:0", flags)
    }

    /// The same at this address.
    pub fn serve_at(listen: &str, flags: &[&str]) -> Self {
        let (root, client) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut command = fdflow();
        command.args(["serve", "--listen", listen, "--threads", "1"]);
        command.args(["--access-log", "-", "--log-format", "json"]).args(flags).arg(root.path());
        let server = Server::run(command, 1);
        let scheme = if flags.contains(&"--tls-cert") { "https" } else { "http" };
        Self { root, client, server, lines: Vec::new(), scheme }
    }

    /// Puts a file into the served folder, so long ago that its ETag is strong.
    pub fn put(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        age(&path);
        path
    }

    /// The same with `n` bytes without a period.
    pub fn put_pattern(&self, name: &str, n: usize) -> Vec<u8> {
        let bytes = pattern(n);
        self.put(name, &bytes);
        bytes
    }

    /// A path in the served folder.
    pub fn served(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// A path in the client's folder.
    pub fn own(&self, name: impl AsRef<Path>) -> PathBuf {
        self.client.path().join(name)
    }

    /// The URL of an encoded path.
    pub fn url(&self, path: &str) -> String {
        let port = self.server.address().port();
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{port}{path}", self.scheme)
    }

    /// A client in its own folder, with none of this user's settings, that is ended when it takes
    /// for ever. `None`, and said, where it is not installed.
    pub fn client(&self, name: &str) -> Option<Command> {
        if !is_there(name) {
            return None;
        }
        let mut command = Command::new("timeout");
        quiet(command.args(["180", name]), self.client.path());
        Some(command)
    }

    /// The next line of the access log.
    pub fn line(&mut self) -> Value {
        let Some(line) = self.server.next_line() else { panic!("no more than {:#?}", self.lines) };
        let line: Value = serde_json::from_str(&line).unwrap();
        self.lines.push(line.clone());
        line
    }

    /// Reads the access log up to a line that is so, and gives that.
    pub fn line_where(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.line();
            if is_so(&line) {
                return line;
            }
        }
    }

    /// Every line up to now: what is logged before the answer to a request that this makes.
    pub fn lines(&mut self) -> Vec<Value> {
        let answer = self.server.get("/up-to-here");
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        self.line_where(|line| line["target"] == "/up-to-here");
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|line| line["target"] != "/up-to-here");
        lines
    }
}

/// Gives a file a time of change at which its ETag is strong.
pub fn age(path: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
}

/// Whether a program is installed; says so where it is not.
pub fn is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    if !there {
        eprintln!("SKIPPED: there is no {name}");
    }
    there
}

/// No settings of this user, no proxies, messages in English.
pub fn quiet(command: &mut Command, home: &Path) {
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env_remove(name);
    }
    command.env("HOME", home).env("LC_ALL", "C.UTF-8").current_dir(home);
}

/// Runs a client to its end, which has to be a good one.
#[track_caller]
pub fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{errors}", output.status);
    output
}

/// Whether `FDFLOW_DENY` names a route.
pub fn denied(route: &str) -> bool {
    std::env::var("FDFLOW_DENY").is_ok_and(|names| names.split(',').any(|name| name == route))
}

/// All bytes of a large file, or of its range, went by sendfile; by a copy, and the log says why,
/// where `FDFLOW_DENY` denies sendfile.
#[track_caller]
pub fn went_by_sendfile(line: &Value) {
    if denied("sendfile") {
        assert_eq!((&line["route"], &line["copied"]), (&"read_write".into(), &line["bytes"]));
        assert_eq!(line["why"], "sendfile is denied", "{line}");
    } else {
        assert_eq!((&line["route"], &line["sendfile"]), (&"sendfile".into(), &line["bytes"]));
        assert_eq!(line["why"], Value::Null, "{line}");
    }
}
