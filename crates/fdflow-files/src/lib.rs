//! Files over HTTP: a tower service, confined to a folder.

mod accept;
mod body;
mod conditions;
mod encodings;
mod etag;
#[allow(dead_code, reason = "what the service does not call yet")]
mod listing;
mod media_type;
mod multipart;
#[allow(dead_code, reason = "what the service does not call yet")]
mod name;
mod pattern;
mod ranges;
#[allow(dead_code, reason = "what the service does not call yet")]
mod root;
#[allow(dead_code, reason = "what the service does not call yet")]
mod upload;
mod weights;

pub use body::Body;
pub use root::{Root, Symlinks};
pub use upload::{UploadOptions, Uploads};
