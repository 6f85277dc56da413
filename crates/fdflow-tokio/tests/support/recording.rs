//! What the tests of recordings share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fdflow::TransferError;
use fdflow_tokio::{
    AsyncSink, Following, Reader, ReaderEnd, Recording, RecordingEvent, RecordingWriter, Start,
};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::reading;

/// What a writer tells.
pub struct Events(UnboundedReceiver<String>);

/// Has the writer tell what happens.
pub fn observed(writer: RecordingWriter) -> (RecordingWriter, Events) {
    let (sender, receiver) = unbounded_channel();
    let told = writer.observe(move |event| drop(sender.send(words(event))));
    (told, Events(receiver))
}

fn words(event: &RecordingEvent) -> String {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    match event {
        RecordingEvent::Failing { at, .. } => format!("failing {at}"),
        RecordingEvent::Lost { at, bytes } => format!("lost {at} {bytes}"),
        RecordingEvent::Resumed { at, missing } => format!("resumed {at} {missing}"),
        RecordingEvent::Rotated { path } => format!("rotated {}", name(path)),
        RecordingEvent::Removed { path } => format!("removed {}", name(path)),
        RecordingEvent::Trouble { what, error } => format!("trouble {what}: {error}"),
        other => format!("{other:?}"),
    }
}

impl Events {
    /// Waits for the next of this kind, and has its numbers.
    pub async fn next(&mut self, kind: &str) -> Vec<u64> {
        loop {
            let event = self.0.recv().await.unwrap();
            let mut parts = event.split(' ');
            if parts.next() == Some(kind) {
                return parts.filter_map(|part| part.parse().ok()).collect();
            }
        }
    }

    /// All that were told and not asked for, once the writer is gone.
    pub async fn rest(mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(event) = self.0.recv().await {
            all.push(event);
        }
        all
    }
}

/// The bytes that were lost, as one stretch: each is to begin where the one before ends.
pub fn lost(events: &[String]) -> Option<(u64, u64)> {
    let mut all: Option<(u64, u64)> = None;
    for event in events.iter().filter_map(|event| event.strip_prefix("lost ")) {
        let (at, bytes) = event.split_once(' ').unwrap();
        let (at, bytes): (u64, u64) = (at.parse().unwrap(), bytes.parse().unwrap());
        let begun = all.get_or_insert((at, 0));
        assert_eq!(begun.0 + begun.1, at, "{events:?}");
        begun.1 += bytes;
    }
    all
}

/// Waits until something is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One who follows into a Unix socket, of which everything is read.
pub struct Viewer {
    pub following: Following,
    run: JoinHandle<Result<ReaderEnd, TransferError>>,
    read: JoinHandle<Vec<u8>>,
}

impl Viewer {
    pub fn of(recording: &Recording, start: Start) -> Self {
        let (sink, catch) = UnixStream::pair().unwrap();
        Self::running(recording.reader(start, sink).unwrap(), reading(catch))
    }

    pub fn running<D: AsyncSink + Send + Sync + 'static>(
        mut reader: Reader<D>,
        read: JoinHandle<Vec<u8>>,
    ) -> Self {
        let following = reader.following();
        let run = tokio::spawn(async move { reader.run().await });
        Self { following, run, read }
    }

    /// How it ended, and with what.
    pub async fn ended(self) -> (ReaderEnd, Vec<u8>) {
        (self.run.await.unwrap().unwrap(), self.read.await.unwrap())
    }

    /// Checks that it has all of these bytes.
    pub async fn has(self, bytes: &[u8]) {
        let (end, read) = self.ended().await;
        assert_eq!((end, read.len()), (ReaderEnd::Complete, bytes.len()));
        assert!(read == bytes);
    }
}

/// Records these bytes out of a Unix socket, which they are written to in pieces.
pub async fn record(writer: &mut RecordingWriter, bytes: &[u8]) {
    let (camera, source) = UnixStream::pair().unwrap();
    let sending = super::writing(camera, bytes.to_vec(), 10_000);
    writer.record(&source).await.unwrap();
    sending.await.unwrap();
}

/// The bytes of the recording's files, in order.
pub fn recorded(path: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for name in names(path.parent().unwrap()) {
        if name != path.file_name().unwrap().to_str().unwrap() && !name.ends_with(".index") {
            all.extend(std::fs::read(path.with_file_name(name)).unwrap());
        }
    }
    all.extend(std::fs::read(path).unwrap());
    all
}

/// The names in a folder, in order.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
