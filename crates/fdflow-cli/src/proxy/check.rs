//! Active checks: connections that are made only to know whether an upstream takes some.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fdflow_proxy::header::{self, Header};
use rustix::net::Shutdown;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::connect;
use super::service::Service;
use super::upstream::Upstream;
use crate::daemon::conn::Conn;

/// So long an upstream has to end a connection that we have ended.
const GOODBYE: Duration = Duration::from_secs(1);

/// Checks the upstreams of a service for ever, also those that come.
pub(super) async fn run(service: Arc<Service>, every: Duration) {
    let mut tasks = JoinSet::new();
    let mut checked: HashMap<u64, AbortHandle> = HashMap::new();
    loop {
        let upstreams = upstreams(&service);
        checked.retain(|id, task| {
            let stays = upstreams.contains_key(id);
            if !stays {
                task.abort();
            }
            stays
        });
        for (id, upstream) in upstreams {
            checked.entry(id).or_insert_with(|| {
                let service = Arc::clone(&service);
                tasks.spawn(async move { keep_checking(&service, &upstream, every).await })
            });
        }
        while tasks.try_join_next().is_some() {}
        service.lasting.answers.changed.notified().await;
    }
}

fn upstreams(service: &Service) -> HashMap<u64, Arc<Upstream>> {
    let mut upstreams = HashMap::new();
    for pool in service.pools() {
        let members = pool.members();
        for member in members.first.iter().chain(&members.backup) {
            upstreams.insert(member.upstream.id, Arc::clone(&member.upstream));
        }
    }
    upstreams
}

async fn keep_checking(service: &Service, upstream: &Upstream, every: Duration) {
    let mut wait = share(every, upstream.id);
    loop {
        sleep(wait).await;
        check(service, upstream).await;
        wait = every;
    }
}

/// A part of `every` by the upstream, so that not all are checked at once.
fn share(every: Duration, id: u64) -> Duration {
    let part = u32::try_from(id & 1023).unwrap_or(0);
    every.saturating_mul(part) / 1024
}

async fn check(service: &Service, upstream: &Upstream) {
    match connect::within(service, &upstream.address).await {
        Ok(conn) => {
            upstream.succeeded(&service.name);
            // Who does not end it is not waited for.
            let _ended = timeout(GOODBYE, say_goodbye(service, &conn)).await.is_ok();
        }
        Err(error) if connect::is_ours(&error) => {}
        Err(error) => upstream.failed(&service.name, &error),
    }
}

/// Ends a connection without a reset: what the upstream says is read, not left in the socket.
async fn say_goodbye(service: &Service, conn: &Conn) {
    if let Some(version) = service.send_proxy {
        // It says that nobody is behind this connection. A new socket has room for it.
        let _sent = rustix::io::write(conn, &header::write(version, &Header::Local)).is_ok();
    }
    // An upstream may have reset it already.
    let _ended = rustix::net::shutdown(conn, Shutdown::Write).is_ok();
    let mut buffer = [0; 1024];
    while conn.readable().await.is_ok() {
        match conn.try_read(&mut buffer) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_spread_over_the_interval() {
        let every = Duration::from_secs(10);
        assert_eq!(share(every, 0), Duration::ZERO);
        assert_eq!(share(every, 512), every / 2);
        assert!((0..4096).all(|id| share(every, id) < every));
    }
}
