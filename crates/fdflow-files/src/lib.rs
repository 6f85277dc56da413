//! Files over HTTP: a tower service, confined to a folder.

mod accept;
mod body;
mod conditions;
mod encodings;
mod etag;
mod media_type;
mod multipart;
mod pattern;
mod ranges;
mod weights;

pub use body::Body;
