//! Files over HTTP: a tower service, confined to a folder.

mod body;

pub use body::Body;
