//! Bytes by the route that they went by.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fdflow::Route;
use fdflow_tokio::Counters;

/// Bytes in the order of [`Route::ALL`].
pub(crate) type ByRoute = [u64; Route::ALL.len()];

/// Sums of what has ended, in the same order.
#[derive(Debug, Default)]
pub(crate) struct Sums([AtomicU64; Route::ALL.len()]);

impl Sums {
    pub(crate) fn add(&self, counters: &Counters) {
        for (bytes, route) in self.0.iter().zip(Route::ALL) {
            bytes.fetch_add(counters.bytes_by(route), Relaxed);
        }
    }

    pub(crate) fn load(&self) -> ByRoute {
        self.0.each_ref().map(|bytes| bytes.load(Relaxed))
    }
}

pub(crate) fn add(bytes: &mut ByRoute, counters: &Counters) {
    for (bytes, route) in bytes.iter_mut().zip(Route::ALL) {
        *bytes += counters.bytes_by(route);
    }
}

/// The routes that bytes have gone by, best first, and how many by each.
pub(crate) fn taken(counters: &Counters) -> impl Iterator<Item = (Route, u64)> {
    let each = |route| (route, counters.bytes_by(route));
    Route::ALL.into_iter().map(each).filter(|(_, bytes)| *bytes > 0)
}

/// Their names; `None` before the first byte.
pub(crate) fn names(counters: &Counters) -> Option<String> {
    let mut bytes = ByRoute::default();
    add(&mut bytes, counters);
    names_of(&bytes)
}

/// The same of sums.
pub(crate) fn names_of(bytes: &ByRoute) -> Option<String> {
    let taken = Route::ALL.iter().zip(bytes).filter(|(_, bytes)| **bytes > 0);
    let names: Vec<_> = taken.map(|(route, _)| route.name()).collect();
    (!names.is_empty()).then(|| names.join("+"))
}
