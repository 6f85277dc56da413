//! What `fdflow relay` tells of its readers: a line of the log for each, and figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rustix::process::Signal;
use serde_json::Value;
use support::ends::Stream;
use support::relay::{left_out, same};
use support::seen::{Seen, number};
use support::server::eventually;
use support::{pattern, unrestricted};

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
    assert!(seen.admin.get("/metrics").contains("\nfdflow_producer_idle_seconds "));
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
    let (most, sum) = ("reader_lag_bytes_max", "reader_lag_bytes_sum");
    assert!(seen.metric(most, &[]) > 0 && seen.metric(sum, &[]) > 0);
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
        assert_eq!((seen.metric(most, &[]), seen.metric(sum, &[])), (0, 0));
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
        assert!(stream.len() < 100_000_000, "it goes on");
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
    drop(a_lagging_reader_that_is_ended_is_told(&seen));
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
