//! One upstream: where it is, and how it has been doing.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use fdflow_proxy::health::{Health, State};

/// The first and the longest time that one is left out.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// An upstream of a service. There is one for each address, as long as anyone needs it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) address: Address,
    /// The same in every process and after every reload.
    pub(super) id: u64,
    health: Mutex<Health>,
    /// Flows that are with it now.
    pub(super) open: AtomicUsize,
    pub(super) connected: AtomicU64,
    pub(super) failures: AtomicU64,
}

impl Upstream {
    fn new(address: Address, health: Health) -> Self {
        let mut hasher = DefaultHasher::new();
        address.hash(&mut hasher);
        Self {
            id: hasher.finish(),
            address,
            health: Mutex::new(health),
            open: AtomicUsize::new(0),
            connected: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// It could not be connected to.
    pub(super) fn failed(&self, service: &str, error: &io::Error) {
        self.failures.fetch_add(1, Relaxed);
        if self.health().failed(Instant::now()) {
            eprintln!("fdflow: proxy: {service}: {} is left out: {error}", self.address);
        }
    }

    /// It could.
    pub(super) fn succeeded(&self, service: &str) {
        if self.health().succeeded() {
            eprintln!("fdflow: proxy: {service}: {} is up again", self.address);
        }
    }

    pub(super) fn state(&self) -> State {
        self.state_at(Instant::now())
    }

    pub(super) fn state_at(&self, now: Instant) -> State {
        self.health().state(now)
    }

    /// Whether this flow may find out how it is: nobody else does.
    pub(super) fn try_it(self: &Arc<Self>, now: Instant) -> Option<Trial> {
        self.health().try_it(now).then(|| Trial(Arc::clone(self)))
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flow that finds out how an upstream is. If it goes away before, the next may.
#[derive(Debug)]
pub(super) struct Trial(Arc<Upstream>);

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.health().give_up(Instant::now());
    }
}

/// An upstream that has a flow; dropped, the flow is over.
#[derive(Debug)]
pub(super) struct With(Arc<Upstream>);

impl With {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        upstream.open.fetch_add(1, Relaxed);
        Self(upstream)
    }

    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.0
    }
}

impl Drop for With {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// The upstreams of a service that anyone needs, so that what is known of them outlives a reload
/// and a new look at their names.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Address, Weak<Upstream>>>);

impl Known {
    /// The one at that address.
    pub(super) fn at(&self, address: Address, max_fails: u32) -> Arc<Upstream> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = known.get(&address).and_then(Weak::upgrade) {
            upstream.health().set_max_fails(max_fails);
            return upstream;
        }
        known.retain(|_, upstream| upstream.strong_count() > 0);
        let health = Health::new(max_fails, BACK_OFF.0, BACK_OFF.1);
        let upstream = Arc::new(Upstream::new(address.clone(), health));
        known.insert(address, Arc::downgrade(&upstream));
        upstream
    }
}

#[cfg(test)]
impl Upstream {
    /// One that is left out after one failure, and may be tried again at once.
    pub(super) fn without_back_off(port: u16) -> Arc<Self> {
        let address = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
        Arc::new(Self::new(address, Health::new(1, Duration::ZERO, Duration::ZERO)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[test]
    fn what_is_known_of_an_upstream_stays_as_long_as_anyone_needs_it() {
        let known = Known::default();
        let address = Address::Unix("/run/x.sock".into());
        let upstream = known.at(address.clone(), 1);
        upstream.failed("x", &refused());
        assert_ne!(known.at(address.clone(), 1).state(), State::Up);
        drop(upstream);
        assert_eq!(known.at(address, 1).state(), State::Up);
    }

    #[test]
    fn a_reload_changes_how_many_failures_are_too_many() {
        let known = Known::default();
        let address = Address::Unix("/run/x.sock".into());
        let upstream = known.at(address.clone(), 0);
        upstream.failed("x", &refused());
        assert_eq!(upstream.state(), State::Up);
        known.at(address.clone(), 2);
        upstream.failed("x", &refused());
        assert_ne!(upstream.state(), State::Up);
        known.at(address, 0);
        assert_eq!(upstream.state(), State::Up);
    }

    #[test]
    fn a_trial_that_came_to_nothing_is_given_to_the_next() {
        let upstream = Known::default().at(Address::Unix("/run/x.sock".into()), 1);
        upstream.failed("x", &refused());
        let later = Instant::now() + BACK_OFF.0;
        let trial = upstream.try_it(later).unwrap();
        assert!(upstream.try_it(later).is_none());
        drop(trial);
        assert!(upstream.try_it(later).is_some());
    }
}
