//! How far a transfer is.

use crate::route::Route;

/// How far a transfer is; what [`Transfer::observe`](crate::Transfer::observe) is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes given to the sink so far.
    pub bytes: u64,
    /// The route of the latest of them.
    pub route: Route,
}

pub(crate) type Observer = Box<dyn FnMut(Progress) + Send>;
