//! Files that are not in memory, and large ones that are: neither keeps a thread from its other
//! flows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{IoSliceMut, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fdflow::{Route, Routes};
use fdflow_tokio::{Transfer, copy};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use support::slow_disk::{self, Elsewhere};
use support::socket::{Sort, pair};
use support::{Room, at_most, denied, guarded, moved, pattern, reading, skipped};

/// A file with these bytes, not in /tmp, which may be memory.
fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// Takes the file's pages out of memory. Why that cannot be told, if so.
fn cool(file: &File) -> Result<(), Errno> {
    file.sync_all().unwrap();
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    let mut byte = [0];
    match preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT) {
        Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::BUSY),
    }
}

/// A runtime of one thread, and how many threads it has begun: those that may wait.
fn counted() -> (Runtime, Arc<AtomicUsize>) {
    let threads = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&threads);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_start(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    (runtime, threads)
}

#[test]
fn h29_a_file_is_read_ahead_on_another_thread_if_it_is_cold_and_not_if_it_is_hot() {
    let _room = Room::enter();
    let bytes = pattern(4 << 20, 41);
    for cold in [false, true] {
        let (runtime, threads) = counted();
        let mut file = file_of(&bytes);
        if cold && let Err(errno) = cool(&file) {
            return skipped("h29 cold", &format!("the cache of this filesystem: {errno}"));
        }
        let ended = runtime.block_on(guarded(async {
            let (mut sink, catch) = pair(Sort::Unix).await;
            let catching = reading(catch);
            let ended = moved(copy(&mut file, &mut sink).await);
            drop(sink);
            assert!(ended.is_none() || catching.await.unwrap() == bytes);
            ended
        }));
        if ended.is_some() {
            assert_eq!(threads.load(Ordering::SeqCst) > 0, cold, "cold: {cold}");
        }
    }
}

/// Passes a byte through a flow of its own, again and again, and tells `each` of it.
async fn chatter(each: impl Fn()) {
    let ((mut feed, source), (sink, mut catch)) = (pair(Sort::Unix).await, pair(Sort::Unix).await);
    let mut flow = Transfer::new(source, sink).routes(Routes::all());
    let talk = async {
        loop {
            feed.write_u8(7).await.unwrap();
            assert_eq!(catch.read_u8().await.unwrap(), 7);
            each();
        }
    };
    tokio::select! {
        ended = flow.run() => panic!("{ended:?}"),
        never = talk => never,
    }
}

#[test]
fn h29_a_disk_that_waits_for_another_flow_of_the_thread_is_no_deadlock() {
    let _room = Room::enter();
    let bytes = pattern(1_500_001, 42);
    let elsewhere = Arc::<Elsewhere>::default();
    let (mut file, disk) = match slow_disk::file(bytes.clone(), Arc::clone(&elsewhere)) {
        Ok(there) => there,
        Err(error) => return skipped("h29 slow disk", &format!("no FUSE: {error}")),
    };
    let (runtime, threads) = counted();
    let ended = runtime.block_on(async {
        let (mut sink, catch) = pair(Sort::Unix).await;
        let catching = reading(catch);
        let ended = tokio::select! {
            ended = copy(&mut file, &mut sink) => moved(ended),
            () = chatter(|| elsewhere.step()) => unreachable!("it never ends"),
        };
        drop(sink);
        assert!(ended.is_none() || catching.await.unwrap() == bytes);
        ended
    });
    drop((runtime, file));
    let (reads, stuck) = disk.answered();
    if ended.is_some() {
        assert!(reads > 3, "{reads} reads");
        assert!(!stuck, "a read kept the thread from its other flow");
        assert!(threads.load(Ordering::SeqCst) > 0);
    }
}

#[test]
fn h29_a_poll_moves_a_bounded_part_of_a_large_hot_file() {
    const LENGTH: u64 = 96 << 20;
    const MOST: u64 = 4 << 20;
    let _room = Room::enter();
    support::current_thread().block_on(guarded(async {
        for route in [Route::CopyFileRange, Route::Sendfile, Route::Splice, Route::ReadWrite] {
            let (source, sink) = (file_of(b""), file_of(b""));
            source.set_len(LENGTH).unwrap();
            // Read once: its pages, all zeros, are there.
            std::io::copy(&mut &source, &mut std::io::sink()).unwrap();
            (&source).rewind().unwrap();
            let routes = Routes::only(route);
            let sparse = fdflow::Sparse::Never;
            let mut transfer = Transfer::new(&source, &sink).routes(routes).sparse(sparse);
            let counters = transfer.counters();
            let mut run = Box::pin(transfer.run());
            let (mut before, mut polls) = (0, 0);
            let ended = loop {
                if let Some(ended) = at_most(1, run.as_mut()).await {
                    break ended;
                }
                let n = counters.bytes() - before;
                assert!(n <= MOST, "{route}: {n} bytes in one poll");
                before += n;
                polls += 1;
            };
            match ended {
                Ok(report) => assert!(report.bytes() == LENGTH && polls >= LENGTH / MOST),
                // Between files not every route is one.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::Unsupported, "{error}"),
            }
        }
    }));
}

#[test]
fn h29_another_flow_of_the_thread_steps_while_a_large_hot_file_is_moved() {
    const LENGTH: usize = 64 << 20;
    let _room = Room::enter();
    // Whoever is ready is looked for after every poll of a task, and not after 61 of them.
    let runtime = Builder::new_current_thread().enable_all().event_interval(1).build().unwrap();
    runtime.block_on(guarded(async {
        let bytes = pattern(LENGTH, 43);
        let mut file = file_of(&bytes);
        let mut memory = tempfile::tempfile().unwrap();
        let steps = Arc::<AtomicU64>::default();
        let count = Arc::clone(&steps);
        let talking = tokio::spawn(chatter(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let moving = tokio::spawn(async move { copy(&mut file, &mut memory).await });
        let ended = moved(moving.await.unwrap());
        talking.abort();
        assert!(talking.await.unwrap_err().is_cancelled());
        if let Some(report) = ended
            && denied().is_empty()
        {
            assert_eq!(report.bytes(), LENGTH as u64);
            // The file takes some thirty polls, and a byte of the other flow four at most.
            let steps = steps.load(Ordering::SeqCst);
            assert!(steps >= 4, "{steps} steps of the other flow");
        }
    }));
}
