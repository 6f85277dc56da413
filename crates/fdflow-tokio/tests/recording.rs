//! A recording and those who follow it.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use fdflow_tokio::{ReaderEnd, Recording, Start};
use support::pattern;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

#[tokio::test]
async fn every_follower_gets_what_is_recorded_from_where_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let (recording, mut writer) = Recording::options().rotate_size(300_000).open(&path).unwrap();
    let bytes = pattern(1 << 20, 1);
    let (mut camera, source) = UnixStream::pair().unwrap();
    let mut viewers = Vec::new();
    for start in [Start::Live, Start::Beginning, Start::At(0)] {
        let (sink, mut viewer) = UnixStream::pair().unwrap();
        let mut reader = recording.reader(start, sink).unwrap();
        let read = tokio::spawn(async move {
            let mut all = Vec::new();
            viewer.read_to_end(&mut all).await.map(|_| all)
        });
        viewers.push((tokio::spawn(async move { reader.run().await }), read));
    }
    let sent = bytes.clone();
    let sending = tokio::spawn(async move { camera.write_all(&sent).await });
    writer.record(&source).await.unwrap();
    sending.await.unwrap().unwrap();
    writer.finish().await.unwrap();
    for (reader, read) in viewers {
        assert_eq!(reader.await.unwrap().unwrap(), ReaderEnd::Complete);
        assert!(read.await.unwrap().unwrap() == bytes);
    }
    let mut recorded = Vec::new();
    for name in ["cam.000001.ts", "cam.000002.ts", "cam.000003.ts", "cam.ts"] {
        recorded.extend(std::fs::read(dir.path().join(name)).unwrap());
    }
    assert!(recorded == bytes);
    let (again, _writer) =
        Recording::options().retry_every(Duration::from_secs(1)).open(&path).unwrap();
    assert_eq!((again.start(), again.end()), (0, 1 << 20));
}
