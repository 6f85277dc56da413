//! Files over HTTP: a tower service, confined to a folder.

mod body;
#[allow(dead_code, unused_imports, reason = "what the service does not call yet")]
mod listing;
#[allow(dead_code, reason = "what the service does not call yet")]
mod name;
#[allow(dead_code, reason = "what the service does not call yet")]
mod root;

pub use body::Body;
pub use root::{Root, Symlinks};
