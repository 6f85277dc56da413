//! What `fdflow relay` tells of its readers, its producer and its recording: a line of the log for
//! each reader, figures, and answers to those who look after it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::Value;
use support::ends::{At, Stream};
use support::relay::{Relay, left_out, relay, same};
use support::server::eventually;
use support::watched::Admin;
use support::{fdflow, pattern, unrestricted};

/// A relay that is looked at. Readers connect to a Unix socket, whose buffers are small and stay so.
struct Seen {
    relay: Relay,
    admin: Admin,
    dir: tempfile::TempDir,
}

impl Seen {
    /// Fans out.
    fn fanning(flags: &[&str]) -> Self {
        Self::run(fdflow(), "json", &[], flags)
    }

    /// Sends from a recording.
    fn recording(flags: &[&str]) -> Self {
        Self::run(fdflow(), "json", &["--record"], flags)
    }

    fn run(mut command: Command, format: &str, record: &[&str], flags: &[&str]) -> Self {
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
    fn flows(&self) -> Value {
        serde_json::from_str(&self.admin.get("/flows")).unwrap()
    }

    fn readers(&self) -> Vec<Value> {
        self.flows()["readers"].as_array().unwrap().clone()
    }

    fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        self.admin.metric(&format!("fdflow_{name}"), labels)
    }

    /// A reader that has its place in the stream.
    fn read(&self) -> Stream {
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
    fn produce(&self) -> Stream {
        let before = self.metric("producer_connections_total", &[]);
        let producer = self.relay.produce();
        eventually(|| self.metric("producer_connections_total", &[]) > before, "a producer");
        producer
    }

    /// Where `/readyz` stands: its status and its text.
    fn ready(&self) -> (String, String) {
        let answer = self.admin.ask("GET", "/readyz");
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), text.to_owned())
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_line_of_a_reader_has_the_same_in_both_forms() {
    const KEYS: [&str; 12] = [
        "time", "reader", "kind", "peer", "total", "start", "bytes", "missed", "lag", "route",
        "why", "detail",
    ];
    let run = |format| {
        let flags = ["--start", "beginning"];
        let mut seen = Seen::run(unrestricted(), format, &["--record"], &flags);
        let producer = seen.produce();
        let (reader, bytes) = (seen.read(), pattern(300_000));
        producer.send(&bytes);
        drop(producer);
        same(&reader.rest(), &bytes);
        let line = seen.relay.server.line();
        seen.relay.is_done();
        line
    };
    let line: Value = serde_json::from_str(&run("json")).unwrap();
    let object = line.as_object().unwrap();
    assert!(object.len() == KEYS.len() && KEYS.iter().all(|key| object.contains_key(*key)));
    assert_eq!((&line["reader"], &line["kind"]), (&1.into(), &"stream".into()), "{line}");
    assert_eq!((&line["peer"], &line["start"]), (&"unix".into(), &0.into()), "{line}");
    assert_eq!((&line["bytes"], &line["missed"]), (&300_000.into(), &0.into()), "{line}");
    assert_eq!((&line["lag"], &line["route"]), (&0.into(), &"sendfile".into()), "{line}");
    assert_eq!((&line["why"], &line["detail"]), (&"done".into(), &Value::Null), "{line}");
    assert!(line["total"].as_f64() > Some(0.0), "{line}");

    let text = run("text");
    let fields: Vec<_> = text.split(' ').map(|field| field.split_once('=').unwrap()).collect();
    assert_eq!(fields.iter().map(|(key, _)| *key).collect::<Vec<_>>(), KEYS, "{text}");
    assert!(text.contains(" reader=1 kind=stream peer=unix total="), "{text}");
    let rest = " start=0 bytes=300000 missed=0 lag=0 route=sendfile why=done detail=-";
    assert!(text.ends_with(rest), "{text}");
}

/// Bytes that readers get, of whom one leaves after each round, are those of `/flows`, of the log and
/// of the figures; the figures never go back.
fn bytes_are_the_same_everywhere(seen: &Seen) -> Stream {
    let producer = seen.produce();
    let mut readers = vec![seen.read(), seen.read(), seen.read()];
    let (mut sent, mut told) = (0, 0);
    for left in [2, 1, 0] {
        let bytes = pattern(400_000 + left);
        std::thread::scope(|scope| {
            scope.spawn(|| producer.send(&bytes));
            for reader in &readers {
                scope.spawn(|| same(&reader.receive(bytes.len()), &bytes));
            }
        });
        sent += bytes.len() as u64;
        // A reader may have its bytes before they are counted.
        let is_told = || {
            let given = |reader: &Value| number(&reader["bytes"]) == sent && reader["lag"] == 0;
            seen.readers().iter().all(given)
        };
        eventually(is_told, "bytes that were given");
        let sum = seen.metric("reader_bytes_total", &[]);
        assert_eq!(sum, told + readers.len() as u64 * bytes.len() as u64);
        told = sum;
        drop(readers.pop());
        let line = seen.relay.line();
        assert!(matches!(line["why"].as_str(), Some("left" | "reset")), "{line}");
        assert_eq!((number(&line["bytes"]), number(&line["reader"])), (sent, left as u64 + 1));
        assert_eq!((&line["missed"], &line["lag"]), (&0.into(), &0.into()), "{line}");
        assert_eq!(seen.metric("reader_bytes_total", &[]), sum);
        assert_eq!(seen.metric("readers_ended_total", &[]), 3 - left as u64);
        assert_eq!(seen.metric("readers_open", &[]), left as u64);
    }
    let flows = seen.flows();
    let came = (number(&flows["producer"]["bytes"]), number(&flows["producer"]["end"]));
    assert_eq!(came, (sent, sent), "{flows}");
    assert_eq!(flows["readers"], Value::Array(Vec::new()));
    assert_eq!(seen.metric("producer_bytes_total", &[]), sent);
    assert_eq!(seen.metric("readers_accepted_total", &[]), 3);
    assert!(seen.metric("open_files", &[]) > 5);
    producer
}

#[test]
fn bytes_of_a_fan_out_are_those_of_the_log_of_flows_and_of_the_figures() {
    drop(bytes_are_the_same_everywhere(&Seen::fanning(&[])));
    // The producers' bytes go through a pipe of the relay's own.
    drop(bytes_are_the_same_everywhere(&Seen::fanning(&["--reconnect", "10ms"])));
}

#[test]
fn bytes_of_a_recording_are_those_of_the_log_of_flows_and_of_the_figures() {
    let seen = Seen::recording(&[]);
    let _producer = bytes_are_the_same_everywhere(&seen);
    let (flows, end) = (seen.flows(), seen.metric("recording_end_bytes", &[]));
    let recording = &flows["recording"];
    assert_eq!(recording["path"], seen.dir.path().join("cam.ts").to_str().unwrap(), "{flows}");
    assert_eq!((number(&recording["start"]), number(&recording["end"])), (0, end), "{flows}");
    assert_eq!((number(&recording["bytes"]), &recording["files"]), (end, &1.into()), "{flows}");
    assert_eq!((&recording["failing"], &recording["gaps"]), (&false.into(), &0.into()));
    assert_eq!(seen.metric("recording_kept_bytes", &[]), end);
    assert_eq!(seen.metric("producer_bytes_total", &[]), end);
}

/// A reader that does not read misses bytes; when it reads at last, what it has and what it missed
/// are all that there was.
fn what_a_lagging_reader_misses_is_told(seen: &Seen) {
    let (producer, reader, other) = (seen.produce(), seen.read(), seen.read());
    let mut stream = Vec::new();
    let lags = || number(&seen.readers()[0]["missed"]) > 500_000;
    while !lags() {
        let more = pattern(stream.len() + 200_000).split_off(stream.len());
        stream.extend_from_slice(&more);
        std::thread::scope(|scope| {
            scope.spawn(|| producer.send(&more));
            assert!(other.receive(more.len()) == more);
        });
    }
    // It has to catch up: then it is known what it is not to get.
    let catching_up = reader.try_clone();
    let got = std::thread::scope(|scope| {
        let reading = scope.spawn(|| catching_up.rest());
        let has_all = || {
            let reader = &seen.readers()[0];
            let (bytes, missed) = (number(&reader["bytes"]), number(&reader["missed"]));
            reader["lag"] == 0 && bytes + missed == stream.len() as u64
        };
        eventually(has_all, "a reader that has caught up");
        let missed = number(&seen.readers()[0]["missed"]);
        assert_eq!(seen.metric("reader_missed_bytes_total", &[]), missed);
        assert_eq!(seen.metric("reader_lag_bytes_max", &[]), 0);
        assert_eq!(seen.metric("reader_lag_bytes_sum", &[]), 0);
        drop(producer);
        reading.join().unwrap()
    });
    let missed = (stream.len() - got.len()) as u64;
    // The last of them may be at the end.
    assert!(left_out(&got, &stream) <= missed);
    let lines = seen.relay.all_ended(2);
    assert_eq!((&*lines[0].why, lines[0].lag), ("done", 0), "{lines:?}");
    assert_eq!((lines[0].bytes, lines[0].missed), (got.len() as u64, missed), "{lines:?}");
    assert_eq!((lines[1].bytes, lines[1].missed), (stream.len() as u64, 0), "{lines:?}");
}

#[test]
fn what_a_lagging_reader_of_a_fan_out_misses_is_told() {
    let seen = Seen::fanning(&["--lag", "gap", "--max-lag", "256K"]);
    what_a_lagging_reader_misses_is_told(&seen);
}

#[test]
fn what_a_lagging_reader_of_a_recording_misses_is_told() {
    let seen = Seen::recording(&["--lag", "gap", "--rotate", "300K", "--keep", "2"]);
    what_a_lagging_reader_misses_is_told(&seen);
}

/// A reader that does not read is ended; it has what the line says.
fn a_lagging_reader_that_is_ended_is_told(seen: &Seen) -> Stream {
    let (producer, reader) = (seen.produce(), seen.read());
    let mut stream = Vec::new();
    while !seen.readers().is_empty() {
        let more = pattern(stream.len() + 200_000).split_off(stream.len());
        producer.send(&more);
        stream.extend_from_slice(&more);
    }
    let line = seen.relay.ended_by("lagged");
    let got = reader.rest();
    assert_eq!((line.bytes, line.missed), (got.len() as u64, 0), "{line:?}");
    assert!(line.lag > 0 && stream.starts_with(&got), "{line:?}");
    assert_eq!(seen.metric("readers_ended_total", &["why=\"lagged\""]), 1);
    assert_eq!(seen.metric("readers_ended_total", &[]), 1);
    assert_eq!(seen.metric("reader_bytes_total", &[]), line.bytes);
    producer
}

#[test]
fn a_lagging_reader_of_a_fan_out_that_is_ended_is_told() {
    drop(a_lagging_reader_that_is_ended_is_told(&Seen::fanning(&["--max-lag", "256K"])));
}

#[test]
fn a_lagging_reader_of_a_recording_that_is_ended_is_told() {
    let seen = Seen::recording(&["--rotate", "300K", "--keep", "2"]);
    let _producer = a_lagging_reader_that_is_ended_is_told(&seen);
    let numbered = |name: &std::ffi::OsStr| {
        let name = name.to_str().unwrap();
        name.starts_with("cam.") && name.ends_with(".ts")
    };
    let count = || {
        let files = std::fs::read_dir(seen.dir.path()).unwrap();
        files.filter(|file| numbered(&file.as_ref().unwrap().file_name())).count() as u64
    };
    eventually(|| seen.metric("recording_files", &[]) == count(), "as many files as there are");
    let flows = seen.flows();
    let recording = &flows["recording"];
    let (rotated, removed) = (number(&recording["rotated"]), number(&recording["removed"]));
    assert_eq!(number(&recording["files"]), 1 + rotated - removed, "{flows}");
    assert!(removed > 0 && number(&recording["start"]) > 0, "{flows}");
    assert_eq!(seen.metric("recording_removed_total", &[]), removed);
}

#[test]
fn a_reader_that_is_deleted_ends_whether_it_waits_or_not() {
    for seen in [Seen::fanning(&["--lag", "block"]), Seen::recording(&[])] {
        let producer = seen.produce();
        for (id, bytes) in [(1, 0), (2, 100)] {
            let reader = seen.read();
            producer.send(&pattern(bytes));
            assert_eq!(reader.receive(bytes).len(), bytes);
            eventually(|| seen.readers()[0]["bytes"] == bytes, "bytes that were given");
            assert_eq!(seen.readers()[0]["id"], id);
            let answer = seen.admin.ask("DELETE", &format!("/flows/{id}"));
            assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
            let line = seen.relay.ended_by("cut");
            assert_eq!((line.reader, line.bytes), (id, bytes as u64), "{line:?}");
            assert_eq!(reader.rest(), b"", "no byte behind the cut");
            for gone in [id.to_string(), "0".to_owned(), "x".to_owned(), String::new()] {
                let answer = seen.admin.ask("DELETE", &format!("/flows/{gone}"));
                assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
            }
        }
        assert_eq!(seen.metric("readers_ended_total", &["why=\"cut\""]), 2);
    }
}

#[test]
fn what_is_asked_in_a_wrong_way_is_answered_with_the_right_one() {
    let seen = Seen::fanning(&[]);
    for (method, path, allow) in [
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/flows", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
        ("GET", "/flows/1", "DELETE"),
    ] {
        let answer = seen.admin.ask(method, path);
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method} {path}: {answer}");
        assert!(answer.contains(&format!("\r\nallow: {allow}\r\n")), "{method} {path}: {answer}");
    }
    let nothing = seen.admin.ask("GET", "/");
    assert!(nothing.starts_with("HTTP/1.1 404 ") && nothing.contains("/readyz"), "{nothing}");
}

#[test]
fn it_is_ready_while_there_is_a_producer() {
    for record in [&[][..], &["--record"]] {
        let seen = Seen::run(fdflow(), "json", record, &["--reconnect", "10ms"]);
        let from = seen.flows()["producer"]["from"].as_str().unwrap().to_owned();
        assert!(from.starts_with("tcp-listen://127.0.0.1:") && !from.ends_with(":0"), "{from}");
        let none = ("503".to_owned(), format!("no producer: {from}\n"));
        for round in 1..=2 {
            assert_eq!((seen.ready(), seen.admin.get("/healthz")), (none.clone(), "ok\n".into()));
            let producer = seen.produce();
            assert_eq!(seen.ready(), ("200".to_owned(), "ready\n".to_owned()));
            let flows = seen.flows();
            let told = (&flows["producer"]["state"], &flows["producer"]["peer"]);
            let peer = producer.addresses().0.to_string();
            assert_eq!(told, (&"connected".into(), &peer.clone().into()), "{flows}");
            assert_eq!(seen.metric("producer_up", &[]), 1);
            seen.relay.said(&format!("{from}: connected with {peer}"));
            producer.send(&pattern(1000 * round));
            drop(producer);
            eventually(|| seen.ready() == none, "no producer");
            seen.relay.said(&format!("{from}: has ended after {} bytes", 1000 * round));
            assert_eq!(seen.metric("producer_up", &[]), 0);
            assert_eq!(seen.flows()["producer"]["state"], "awaited");
        }
        assert_eq!(seen.metric("producer_connections_total", &[]), 2);
        assert_eq!(seen.metric("producer_bytes_total", &[]), 3000);
    }
}

#[test]
fn a_producer_that_fails_or_falls_silent_is_told_and_counted() {
    let seen = Seen::fanning(&["--reconnect", "10ms", "--idle-timeout", "100ms"]);
    let silent = seen.produce();
    seen.relay.said(": nothing came for 100ms: it is taken for gone, after 0 bytes");
    let failed = || seen.metric("producer_failures_total", &["when=\"connected\""]);
    eventually(|| failed() == 1, "a failure");
    drop(silent);
    seen.produce().reset();
    seen.relay.said("Connection reset by peer");
    eventually(|| failed() == 2, "another failure");

    let dir = tempfile::tempdir().unwrap();
    let nobody = format!("unix://{}", dir.path().join("nobody").display());
    let flags = ["--reconnect", "10ms", "--admin", "127.0.0.1:0"];
    let relay = Relay::from(&nobody, &flags);
    let admin = Admin::of(&relay.server);
    let refused = || admin.metric("fdflow_producer_failures_total", &["when=\"connecting\""]);
    eventually(|| refused() > 3, "tries that fail");
    let tried = "No such file or directory (os error 2); it is tried again every 10ms";
    assert_eq!(relay.errors().matches(tried).count(), 1, "{}", relay.errors());
}

#[test]
fn it_is_not_ready_while_it_drains() {
    let stream = pattern(4_000_000);
    let block = ["--lag", "block"];
    for mut seen in [Seen::fanning(&block), Seen::recording(&block)] {
        let (producer, reader) = (seen.produce(), seen.read());
        // Neither its socket nor a pipe has room for all of this.
        std::thread::scope(|scope| {
            scope.spawn(|| producer.try_send(&stream));
            eventually(|| seen.metric("producer_bytes_total", &[]) > 100_000, "bytes");
            seen.relay.signal(Signal::TERM);
            let draining = ("503".to_owned(), "draining\n".to_owned());
            eventually(|| seen.ready() == draining, "draining");
            assert_eq!(seen.admin.get("/healthz"), "ok\n");
            assert_eq!(seen.readers().len(), 1);
            let got = reader.rest();
            assert!(stream.starts_with(&got));
            assert_eq!(seen.relay.ended_by("done").bytes, got.len() as u64);
        });
        seen.relay.is_done();
    }
}

#[test]
fn a_hangup_has_the_log_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (log, old) = (dir.path().join("log"), dir.path().join("log.1"));
    let seen = Seen::fanning(&["--log", log.to_str().unwrap()]);
    let _producer = seen.produce();
    let lines = |path| std::fs::read_to_string(path).unwrap_or_default();
    drop(seen.read());
    eventually(|| lines(&log).ends_with('\n'), "a line");
    std::fs::rename(&log, &old).unwrap();
    seen.relay.signal(Signal::HUP);
    eventually(|| log.exists(), "a new log");
    drop(seen.read());
    eventually(|| lines(&log).ends_with('\n'), "a line in the new log");
    assert!(lines(&log).contains("\"reader\":2") && lines(&log).lines().count() == 1);
    assert!(lines(&old).contains("\"reader\":1") && lines(&old).lines().count() == 1);
}

/// So many bytes a file of this process may have.
fn limit_files(relay: &Relay, most: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(relay.server.pid()).unwrap());
    let maximum = prlimit(pid, Resource::Fsize, Rlimit { current: most, maximum: None }).unwrap();
    assert_eq!(maximum.maximum, None, "a limit that could not be lifted again");
}

#[test]
fn a_gap_in_the_recording_is_told_with_its_offsets() {
    const DISK: u64 = 1 << 20;
    // The kernel's signal for a file that is too large would end it.
    let fdflow = fdflow();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(fdflow.get_program());
    let flags = ["--max-lag", "512K", "--lag", "gap", "--start", "beginning", "--reconnect", "1s"];
    let seen = Seen::run(command, "json", &["--record"], &flags);
    limit_files(&seen.relay, Some(DISK));
    let (producer, stream) = (seen.produce(), pattern(4_000_000));
    let end = stream.len() as u64;
    producer.send(&stream);
    eventually(|| seen.metric("recording_end_bytes", &[]) == end, "all of it");
    seen.relay.said(
        "the recording: File too large (os error 27); bytes from 1048576 on are kept in memory",
    );
    let flows = seen.flows();
    let recording = &flows["recording"];
    let lost = number(&recording["lost"]);
    assert_eq!((&recording["failing"], &recording["gaps"]), (&true.into(), &1.into()), "{flows}");
    assert_eq!(number(&recording["bytes"]), end - lost, "{flows}");
    assert!(lost >= end - DISK - (512 << 10), "{flows}");
    assert_eq!(seen.metric("recording_failing", &[]), 1);
    assert_eq!(seen.metric("recording_lost_bytes_total", &[]), lost);

    limit_files(&seen.relay, None);
    seen.relay.said("the recording: it goes on, and has come up to byte 4000000");
    let gap = format!("bytes {DISK} to {} are missing, {lost} in all", DISK + lost - 1);
    assert!(seen.relay.errors().contains(&gap), "{gap}: {}", seen.relay.errors());
    // When it began, and when it was over.
    let told = seen.relay.errors().matches(" are missing, ").count();
    assert_eq!(told, 2, "{}", seen.relay.errors());
    assert_eq!(seen.metric("recording_failing", &[]), 0);
    assert_eq!(seen.metric("recording_gaps_total", &[]), 1);
    assert_eq!(std::fs::metadata(seen.dir.path().join("cam.ts")).unwrap().len(), end - lost);

    let reader = seen.read();
    let got = reader.receive(usize::try_from(end - lost).unwrap());
    assert_eq!(left_out(&got, &stream), lost);
    eventually(|| seen.readers()[0]["missed"] == lost, "what it missed");
    drop(reader);
    let line = seen.relay.ended();
    assert_eq!((line.bytes, line.missed), (end - lost, lost), "{line:?}");
}

#[test]
fn the_greeting_names_the_recording_and_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    for round in 0..2 {
        let flags = ["--record", path.to_str().unwrap(), "--admin", "127.0.0.1:0"];
        let command = relay("tcp-listen://127.0.0.1:0", &flags);
        let mut relay = Relay::run_with(command, 3, Stdio::null());
        let greeting = &relay.server.greeting;
        let recording = format!("recording to {}, which has {} bytes", path.display(), round * 10);
        assert_eq!(greeting[1], recording);
        assert!(greeting[2].starts_with("health, metrics and flows at http://127.0.0.1:"));
        let At::Tcp(_) = relay.producers.as_ref().unwrap() else { panic!("{greeting:?}") };
        relay.produce().send(&pattern(10));
        relay.is_done();
    }
}
