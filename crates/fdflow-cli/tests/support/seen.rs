//! A relay that is looked at: its log, and its answers to those who look after it.

use std::process::Command;

use serde_json::Value;

use super::ends::Stream;
use super::fdflow;
use super::relay::Relay;
use super::server::eventually;
use super::watched::Admin;

/// A relay that is looked at. Readers connect to a Unix socket, whose buffers are small and stay so.
pub struct Seen {
    pub relay: Relay,
    pub admin: Admin,
    pub dir: tempfile::TempDir,
}

impl Seen {
    /// Fans out.
    pub fn fanning(flags: &[&str]) -> Self {
        Self::run(fdflow(), "json", &[], flags)
    }

    /// Sends from a recording.
    pub fn recording(flags: &[&str]) -> Self {
        Self::run(fdflow(), "json", &["--record"], flags)
    }

    pub fn run(mut command: Command, format: &str, record: &[&str], flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        command.args(["relay", "--from", "tcp-listen://127.0.0.1:0", "--log-format", format]);
        for flag in record {
            command.arg(flag).arg(dir.path().join("cam.ts"));
        }
        let readers = format!("unix://{}", dir.path().join("readers").display());
        command.args(["--listen", &readers, "--admin", "127.0.0.1:0"]).args(flags);
        let relay = Relay::run(command);
        let admin = Admin::of(&relay.server);
        Self { relay, admin, dir }
    }

    /// `/flows`.
    pub fn flows(&self) -> Value {
        serde_json::from_str(&self.admin.get("/flows")).unwrap()
    }

    pub fn readers(&self) -> Vec<Value> {
        self.flows()["readers"].as_array().unwrap().clone()
    }

    pub fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        self.admin.metric(&format!("fdflow_{name}"), labels)
    }

    /// A reader that has its place in the stream.
    pub fn read(&self) -> Stream {
        let before = self.readers().len();
        let reader = self.relay.read();
        let is_there = || {
            let readers = self.readers();
            readers.len() > before && readers.iter().all(|reader| !reader["start"].is_null())
        };
        eventually(is_there, "a reader with a place");
        reader
    }

    /// A producer that has been taken.
    pub fn produce(&self) -> Stream {
        let before = self.metric("producer_connections_total", &[]);
        let producer = self.relay.produce();
        eventually(|| self.metric("producer_connections_total", &[]) > before, "a producer");
        producer
    }

    /// Where `/readyz` stands: its status and its text.
    pub fn ready(&self) -> (String, String) {
        let answer = self.admin.ask("GET", "/readyz");
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), text.to_owned())
    }
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}
