//! Files over HTTP: a tower service, confined to a folder.

mod accept;
mod answer;
mod body;
mod cache;
mod coded;
mod conditions;
mod encodings;
mod entry;
mod etag;
#[cfg(test)]
#[path = "../tests/support/fuse.rs"]
mod fuse;
mod listing;
mod media_type;
mod multipart;
mod name;
mod options;
mod pages;
mod pattern;
mod ranges;
mod root;
mod service;
mod upload;
mod weights;

pub use body::Body;
pub use options::Options;
pub use root::{Root, Symlinks};
pub use service::{Answering, Files};
pub use upload::{UploadOptions, Uploads};
