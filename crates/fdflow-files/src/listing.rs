//! What a folder holds, as a page for people and as JSON for programs.

mod json;
mod order;
mod page;
mod said;

use crate::root::FileOrFolder;

pub(crate) use json::json;
pub(crate) use order::order;
pub(crate) use page::{CONTENT_SECURITY_POLICY, page};

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it stands on disk.
    pub name: Vec<u8>,
    pub kind: FileOrFolder,
    /// In bytes; says nothing for a folder.
    pub length: u64,
    /// Seconds since the epoch, and nanoseconds.
    pub modified: (i64, u32),
}
