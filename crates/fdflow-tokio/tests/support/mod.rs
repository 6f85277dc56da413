//! What the tests share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of it, and fails by panicking"
)]

pub mod joining;
pub mod recorder;
pub mod recording;
pub mod slow_disk;
pub mod small_disk;
pub mod socket;

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fdflow::{Report, Route, Routes, TransferError, denied_by_environment};
use fdflow_tokio::AsyncSource;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A test's own time in the process, so that descriptors can be counted. Dropped, it checks that
/// none is left over.
pub struct Room {
    before: Vec<String>,
    /// Dropped with it: the watchdog goes home.
    _watched: Sender<()>,
    _alone: MutexGuard<'static, ()>,
}

impl Room {
    pub fn enter() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        fdflow::clear_pool();
        // The first runtime makes tokio open descriptors that it keeps.
        drop(current_thread());
        Self { before: descriptors(), _watched: watched(), _alone: alone }
    }
}

/// Ends the process if a test never ends, and be it in a loop without an await: a test that hangs
/// has failed.
fn watched() -> Sender<()> {
    let (sender, receiver) = channel();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::spawn(move || {
        if receiver.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            // Not by a macro, whose output is kept for the test's end.
            let _told = writeln!(std::io::stderr(), "{name} hangs").is_ok();
            std::process::exit(101);
        }
    });
    sender
}

impl Drop for Room {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        fdflow::clear_pool();
        let after = descriptors();
        assert!(after.len() <= self.before.len(), "left: {after:?}, before {:?}", self.before);
    }
}

/// What each open descriptor refers to.
pub fn descriptors() -> Vec<String> {
    let dir = std::fs::read_dir("/proc/self/fd").unwrap();
    // The descriptor of the listing itself is gone by the time its link is read.
    let links = dir.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.map(|link| link.display().to_string()).collect()
}

pub fn pipes() -> usize {
    descriptors().iter().filter(|name| name.starts_with("pipe:")).count()
}

pub fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs `test` on a current-thread and on a multi-thread runtime.
pub fn on_each_runtime<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let _room = Room::enter();
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(guarded(test()));
    }
}

/// Runs `test` where time passes only when nothing else is to be done.
pub fn in_paused_time<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let _room = Room::enter();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test());
}

pub async fn guarded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), test).await.expect("it hangs")
}

/// `n` bytes without a period that a lost or repeated block could hide in.
pub fn pattern(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}

/// Writes everything in a task, in pieces of `piece` bytes, then closes.
pub fn writing(
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    bytes: Vec<u8>,
    piece: usize,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        for piece in bytes.chunks(piece) {
            to.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        to.shutdown().await.unwrap();
    })
}

/// Reads to the end in a task.
pub fn reading(mut from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).await.unwrap();
        bytes
    })
}

/// Reads to the end in a task, a little at a time and with others running in between.
pub fn reading_slowly(mut from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let (mut bytes, mut block) = (Vec::new(), [0; 1500]);
        loop {
            match from.read(&mut block).await.unwrap() {
                0 => return bytes,
                n => bytes.extend_from_slice(&block[..n]),
            }
            tokio::task::yield_now().await;
        }
    })
}

/// Waits, with others running, until it holds.
pub async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

/// Runs `test` while the process can have no more descriptors.
pub fn without_descriptors<T>(test: impl FnOnce() -> T) -> T {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    // No more than there are of these can be polled at a time.
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
    let tested = test();
    setrlimit(Resource::Nofile, before).unwrap();
    tested
}

/// Waits until the runtime knows that there is something to read.
pub async fn is_readable(source: &impl AsyncSource) {
    std::future::poll_fn(|cx| source.poll_readable(cx)).await.unwrap();
}

/// Says that `test` did not run, or not all of it.
pub fn skipped(test: &str, reason: &str) {
    println!("SKIPPED: {test}: {reason}");
}

/// What the environment forbids: the suite is also run with routes denied by `FDFLOW_DENY`.
pub fn denied() -> Routes {
    denied_by_environment()
}

/// Whether user space is denied: flows between sockets fail at once then.
pub fn without_user_space() -> bool {
    denied().contains(Route::ReadWrite)
}

/// The report of a transfer, or `None` where the environment denies every route for its pair.
pub fn moved(result: Result<Report, TransferError>) -> Option<Report> {
    match result {
        Ok(report) => Some(report),
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported && !denied().is_empty() => {
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Counts how often a task was woken.
#[derive(Default)]
pub struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Polls `future` once, for a task of our own.
pub fn poll_once<F: Future>(future: Pin<&mut F>, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(wakes));
    future.poll(&mut Context::from_waker(&waker))
}

/// Polls `future` up to `polls` times, whenever it asks to be; `None` if it is not done by then.
pub async fn at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut polled = 0;
    std::future::poll_fn(|cx| {
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
