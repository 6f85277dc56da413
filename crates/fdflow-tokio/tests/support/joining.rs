//! Sinks that join a fan-out, and somebody who reads what they get.

use std::future::Future;

use fdflow::Lag;
use fdflow_tokio::{Joined, Joiner};
use tokio::task::JoinHandle;

use super::socket::{Sort, pair};
use super::{on_each_runtime, reading, skipped, without_user_space};

/// A sink that joins, and a task that reads all that it gets.
pub async fn joins(joiner: &Joiner<'static>, lag: Lag) -> (Joined, JoinHandle<Vec<u8>>) {
    let (sink, catch) = pair(Sort::Tcp).await;
    (joiner.join(sink, lag).unwrap(), reading(catch))
}

/// Where in the stream its first byte is.
pub fn place(joined: &Joined) -> usize {
    usize::try_from(joined.at().unwrap()).unwrap()
}

/// Runs `test` on each runtime, where the environment leaves routes between sockets.
pub fn on_each_runtime_between_sockets<F: Future<Output = ()>>(name: &str, test: impl Fn() -> F) {
    if without_user_space() {
        return skipped(name, "between sockets nothing goes without user space");
    }
    on_each_runtime(test);
}
