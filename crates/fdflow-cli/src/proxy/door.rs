//! A listener that is open, and the service behind it, which a reload may change.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::service::Service;

/// What connections that come in at one listener are given to.
#[derive(Debug)]
pub(super) struct Door {
    service: ArcSwap<Service>,
    /// Whether it is closed.
    changes: watch::Sender<bool>,
}

impl Door {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self { service: ArcSwap::new(service), changes: watch::Sender::new(false) }
    }

    pub(super) fn service(&self) -> Arc<Service> {
        self.service.load_full()
    }

    /// From now on another one.
    pub(super) fn set(&self, service: Arc<Service>) {
        self.service.store(service);
        self.changes.send_modify(|_| {});
    }

    /// Nobody comes in any more, but who waits already.
    pub(super) fn close(&self) {
        self.changes.send_replace(true);
    }

    /// Tells of another service, and of the end: whether it is closed.
    pub(super) fn changes(&self) -> watch::Receiver<bool> {
        self.changes.subscribe()
    }
}
