//! What is counted of a service's recordings.

use std::sync::atomic::AtomicU64;

/// Of all its flows, also of those that go on.
#[derive(Debug, Default)]
pub(in super::super) struct TapFigures {
    /// Bytes that are in files.
    pub(in super::super) recorded: AtomicU64,
    /// Bytes that went by and are in none.
    pub(in super::super) missed: AtomicU64,
    /// Stretches of these.
    pub(in super::super) gaps: AtomicU64,
}
