//! `fdflow relay --from`: whatever a stream comes from, and producers that come and go.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::ends::{At, Backend, Stream};
use support::relay::{Relay, relay, same};
use support::server::eventually;
use support::watched::unheard;
use support::{fifo, is_denied, pattern};

const BYTES: usize = 3_000_000;

/// A relay of this, with a recording, and one without, whose reader the stream waits for: runs
/// `produce` for each, and checks that all of it comes.
fn relays_all(from: &str, stdin: impl Fn() -> Stdio, produce: impl Fn(Option<&At>, &[u8]) + Sync) {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), pattern(BYTES));
    let path = dir.path().join("x");
    let record = relay(from, &["--record", path.to_str().unwrap()]);
    let mut recorded = Relay::run_on(record, stdin());
    produce(recorded.producers.as_ref(), &bytes);
    recorded.is_done();
    same(&std::fs::read(&path).unwrap(), &bytes);

    let flags = ["--lag", "block", "--listen", "127.0.0.1:0"];
    let mut fanned = Relay::run_on(relay(from, &flags), stdin());
    let at = fanned.producers.clone();
    thread::scope(|scope| {
        scope.spawn(|| produce(at.as_ref(), &bytes));
        same(&fanned.read().rest(), &bytes);
    });
    fanned.is_done();
    let ended = fanned.ended_by("done");
    assert_eq!((ended.start, ended.bytes, ended.missed), (Some(0), BYTES as u64, 0));
}

fn none() -> Stdio {
    Stdio::null()
}

#[test]
fn a_file_is_relayed() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), pattern(BYTES));
    let path = dir.path().join("from");
    std::fs::write(&path, bytes).unwrap();
    relays_all(path.to_str().unwrap(), none, |_, _| {});
    relays_all("-", || File::open(&path).unwrap().into(), |_, _| {});
    // From where its reader is.
    relays_all("fd://0", || File::open(&path).unwrap().into(), |_, _| {});
}

#[test]
fn a_fifo_is_relayed_from_its_first_writer_to_its_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path().join("fifo"));
    relays_all(path.to_str().unwrap(), none, |_, bytes| {
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(bytes).unwrap();
    });
}

/// What `write` writes into a pipe, from a thread.
fn written(write: impl FnOnce(&mut std::io::PipeWriter) + Send + 'static) -> Stdio {
    let (reader, mut writer) = std::io::pipe().unwrap();
    thread::spawn(move || write(&mut writer));
    reader.into()
}

#[test]
fn a_pipe_is_relayed_as_standard_input_and_by_its_number() {
    for from in ["-", "fd://0"] {
        // A relay that has failed reads no more, and shows that itself.
        let all = || written(|pipe| drop(pipe.write_all(&pattern(BYTES))));
        relays_all(from, all, |_, _| {});
    }
}

#[test]
fn a_fifo_whose_writer_has_gone_is_relayed_as_standard_input() {
    // What has no writer is read by a thread.
    if is_denied("read_write", "a_fifo_whose_writer_has_gone") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for said in ["a film", ""] {
        let path = fifo(dir.path().join(format!("fifo{}", said.len())));
        let keeps = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let stdin = File::open(&path).unwrap();
        (&keeps).write_all(said.as_bytes()).unwrap();
        drop(keeps);
        let to = dir.path().join(format!("x{}", said.len()));
        let mut relay =
            Relay::run_on(relay("-", &["--record", to.to_str().unwrap()]), stdin.into());
        relay.is_done();
        assert_eq!(std::fs::read(to).unwrap(), said.as_bytes());
    }
}

#[test]
fn a_socket_is_relayed_as_standard_input() {
    if is_denied("read_write", "a_socket_is_relayed_as_standard_input") {
        return;
    }
    let stdin = || {
        let (own, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        thread::spawn(move || drop((&own).write_all(&pattern(BYTES))));
        Stdio::from(OwnedFd::from(theirs))
    };
    relays_all("-", stdin, |_, _| {});
}

#[test]
fn a_producer_that_listens_is_connected_to() {
    let dir = tempfile::tempdir().unwrap();
    for producer in [Backend::tcp(), Backend::unix(dir.path().join("producer"))] {
        let from = match producer.at() {
            At::Tcp(address) => format!("tcp://{address}"),
            unix => unix.to_string(),
        };
        relays_all(&from, none, |_, bytes| producer.accept().send(bytes));
    }
}

#[test]
fn a_producer_that_connects_is_listened_for() {
    let dir = tempfile::tempdir().unwrap();
    let unix = format!("unix-listen://{}", dir.path().join("relay").display());
    for from in ["tcp-listen://127.0.0.1:0", &unix] {
        relays_all(from, none, |at, bytes| at.unwrap().connect().send(bytes));
    }
}

#[test]
fn a_producer_that_is_not_there_or_resets_is_an_error() {
    let (_socket, nobody) = unheard();
    let mut command = relay(&format!("tcp://{nobody}"), &["--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null());
    let output = command.output().unwrap();
    let errors = support::stderr(&output);
    assert!(errors.contains(&format!("tcp://{nobody}: Connection refused")), "{errors}");
    assert_eq!(output.status.code(), Some(1));

    let mut relay = Relay::start(&["--lag", "block"]);
    let (producer, reader) = (relay.produce(), relay.read());
    producer.send(b"a fi");
    assert_eq!(reader.receive(4), b"a fi");
    producer.reset();
    assert_eq!(reader.rest(), b"");
    drop(reader);
    assert_eq!(relay.wait().code(), Some(1));
    relay.said("reset");
}

/// Gives pieces to a relay by producers of which none lasts: each is told how many there were, and
/// waits until `reader` has what it has sent. The last one is ended by a signal.
fn come_and_go(relay: &mut Relay, mut next: impl FnMut() -> Box<dyn Write>, record: Option<&Path>) {
    let stream = pattern(90_000);
    let reader = relay.read();
    for piece in stream.chunks(30_000) {
        let mut producer = next();
        producer.write_all(piece).unwrap();
        same(&reader.receive(piece.len()), piece);
    }
    relay.signal(Signal::TERM);
    assert_eq!(reader.rest(), b"");
    let ended = relay.ended_by("done");
    assert_eq!((ended.start, ended.bytes, ended.missed), (Some(0), 90_000, 0));
    drop(reader);
    relay.is_done();
    if let Some(path) = record {
        same(&std::fs::read(path).unwrap(), &stream);
    }
}

/// With a recording and without.
fn both(from: &str, test: impl Fn(&mut Relay, Option<&Path>)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let flags = ["--reconnect", "10ms", "--record", path.to_str().unwrap(), "--start", "beginning"];
    test(&mut Relay::from(from, &flags), Some(&path));
    test(&mut Relay::from(from, &["--reconnect", "10ms", "--lag", "block"]), None);
}

/// Reset when it is dropped, but for every other one.
struct Rude(Option<Stream>, bool);

impl Write for Rude {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.as_ref().unwrap().try_send(bytes)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        let stream = self.0.take().unwrap();
        if self.1 {
            stream.reset();
        }
    }
}

#[test]
fn producers_connect_one_after_the_other() {
    both("tcp-listen://127.0.0.1:0", |relay, record| {
        let address = relay.producers.clone().unwrap();
        let mut rude = false;
        let next = || {
            rude = !rude;
            Box::new(Rude(Some(address.connect()), rude)) as Box<dyn Write>
        };
        come_and_go(relay, next, record);
    });
}

#[test]
fn a_producer_is_connected_to_again_and_again() {
    let (socket, address) = unheard();
    let mut listens = None;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let flags = ["--reconnect", "10ms", "--record", path.to_str().unwrap(), "--start", "beginning"];
    let mut relay = Relay::from(&format!("tcp://{address}"), &flags);
    relay.said("Connection refused (os error 111); it is tried again every 10ms");
    let mut rude = false;
    let next = || {
        // Not there at first.
        let backend = listens.get_or_insert_with(|| {
            socket.listen(8).unwrap();
            Backend::Tcp(socket.try_clone().unwrap().into())
        });
        rude = !rude;
        Box::new(Rude(Some(backend.accept()), rude)) as Box<dyn Write>
    };
    come_and_go(&mut relay, next, Some(&path));
    // Said once, however often it was so.
    assert_eq!(relay.errors().matches("it is tried again").count(), 1, "{}", relay.errors());
}

#[test]
fn a_fifo_is_opened_again_for_its_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path().join("fifo"));
    both(path.to_str().unwrap(), |relay, record| {
        let next =
            || Box::new(OpenOptions::new().write(true).open(&path).unwrap()) as Box<dyn Write>;
        come_and_go(relay, next, record);
    });
}

#[test]
fn a_producer_that_sends_nothing_for_too_long_is_taken_for_gone() {
    let flags: [&[&str]; 2] = [&["--lag", "block"], &["--record", "x", "--start", "beginning"]];
    for flags in flags {
        let dir = tempfile::tempdir().unwrap();
        let mut command = relay("tcp-listen://127.0.0.1:0", flags);
        command.args(["--idle-timeout", "300ms", "--listen", "127.0.0.1:0"]).current_dir(&dir);
        let mut relay = Relay::run(command);
        let (producer, reader) = (relay.produce(), relay.read());
        producer.send(b"a film");
        assert_eq!(reader.rest(), b"a film");
        drop(reader);
        relay.said("nothing came for 300ms");
        relay.is_done();
        assert_eq!(producer.rest(), b"");
    }
}

#[test]
fn a_producer_that_waits_for_readers_is_not_taken_for_gone() {
    let stream = pattern(40 << 20);
    let relay = Relay::start(&["--lag", "block", "--idle-timeout", "2s"]);
    let (producer, reader) = (relay.produce(), relay.read());
    relay.has_joined(1);
    let sent = relay.fill(&producer, &stream);
    let begun = Instant::now();
    eventually(|| begun.elapsed() > Duration::from_millis(4500), "some time");
    thread::scope(|scope| {
        scope.spawn(|| {
            producer.send(&stream[sent..]);
            producer.half_close();
        });
        same(&reader.rest(), &stream);
    });
    assert!(!relay.errors().contains("nothing came"), "{}", relay.errors());
}
