//! The options of a [`Transfer`].

use std::io;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::policy::{Policy, Sparse, Stability};
use crate::progress::Progress;
use crate::route::{Route, Routes};
use crate::source::{Sink, Source};
use crate::sys::{Kernel, System};
use crate::transfer::Transfer;
use crate::transfer::join::Ends;

impl<S: Source, D: Sink> Transfer<S, D> {
    /// A transfer of everything from `source` to `sink`, by any route.
    ///
    /// Give references (`&file`, `&mut reader`) to have the ends back without
    /// [`into_parts`](Self::into_parts). Makes no system call.
    pub fn new(source: S, sink: D) -> Self {
        Self::with(System, source, sink)
    }
}

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    /// A transfer on another kernel than the one that the program runs on.
    #[doc(hidden)]
    pub fn on(kernel: K, source: S, sink: D) -> Self {
        Self::with(kernel, source, sink)
    }

    /// Everything that the policy says, at once.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        if self.rare.is_some() || policy.idle_timeout.is_some() {
            self.rare.get_or_insert_default().idle_timeout = policy.idle_timeout;
        }
        self.terms = policy.into();
        self
    }

    /// At most `bytes` bytes, counted over all runs.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.terms.set_limit(bytes);
        self
    }

    /// Changes the limit between two runs.
    pub fn set_limit(&mut self, bytes: u64) {
        self.terms.set_limit(bytes);
    }

    /// Take the bytes from this offset of the source, a file, and leave its position alone.
    #[must_use]
    pub fn source_offset(mut self, offset: u64) -> Self {
        if let Ends::Apart { from, .. } = &mut self.ends {
            *from = Some(offset);
        }
        self
    }

    /// Put the bytes at this offset of the sink, a file, and leave its position alone.
    #[must_use]
    pub fn sink_offset(mut self, offset: u64) -> Self {
        if let Ends::Apart { to, .. } = &mut self.ends {
            *to = Some(offset);
        }
        self
    }

    /// At most `bytes` bytes a system call; see [`DEFAULT_CHUNK`](crate::DEFAULT_CHUNK).
    #[must_use]
    pub fn chunk(mut self, bytes: usize) -> Self {
        self.terms.set_chunk(bytes);
        self
    }

    /// Changes the bound of one system call between two steps.
    pub fn set_chunk(&mut self, bytes: usize) {
        self.terms.set_chunk(bytes);
    }

    /// Only these routes, whatever `FDFLOW_DENY` says.
    ///
    /// Without [`Route::ReadWrite`] a transfer fails where the kernel can not move the bytes. What
    /// it had taken from the source by then is given to the sink all the same, through user space.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.terms.routes = routes;
        self
    }

    /// Not this route.
    #[must_use]
    pub fn deny(mut self, route: Route) -> Self {
        self.terms.routes = self.terms.routes.without(route);
        self
    }

    /// Whether later writes to the source may show at the receiver.
    #[must_use]
    pub fn stability(mut self, stability: Stability) -> Self {
        self.terms.stability = stability;
        self
    }

    /// What becomes of holes.
    #[must_use]
    pub fn sparse(mut self, sparse: Sparse) -> Self {
        self.terms.sparse = sparse;
        self
    }

    /// Fail with [`TimedOut`](io::ErrorKind::TimedOut) after so long without a byte.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.rare.get_or_insert_default().idle_timeout = Some(timeout);
        self
    }

    /// Call `observer` after every step that gave bytes to the sink, on the thread that runs.
    #[must_use]
    pub fn observe(mut self, observer: impl FnMut(Progress) + Send + 'static) -> Self {
        self.rare.get_or_insert_default().observer = Some(Box::new(observer));
        self
    }

    /// A handle with which another thread can end the transfer, also one that waits.
    ///
    /// A transfer that nobody can interrupt makes plain blocking calls on blocking descriptors;
    /// with a handle it waits in poll.
    ///
    /// # Errors
    ///
    /// No descriptors to be had for the pipe behind it.
    pub fn cancel_handle(&mut self) -> io::Result<Cancel> {
        if let Some(cancel) = self.cancel() {
            return Ok(cancel.clone());
        }
        let cancel = Cancel::new()?;
        self.rare.get_or_insert_default().cancel = Some(cancel.clone());
        self.gate();
        Ok(cancel)
    }
}
