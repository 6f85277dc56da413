//! What a folder holds, as a page and as JSON.

use bytes::Bytes;

use crate::name::{Name, escape};
use crate::root::FileOrFolder;

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it stands on disk.
    pub name: Vec<u8>,
    pub kind: FileOrFolder,
    pub length: u64,
    /// Seconds since the epoch, and nanoseconds.
    pub modified: (i64, u32),
}

/// What a page of [`page`] needs of a `Content-Security-Policy`: everything in it is its own, and
/// nothing is loaded from anywhere.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'";

/// The page. `prefix` is where an app has nested the service, without a slash at its end; `""`
/// where it has not. `uploads` shows the place to drop files on.
pub(crate) fn page(dir: &Name, prefix: &str, entries: &[Entry], uploads: bool) -> Bytes {
    let _ = uploads;
    let mut page = String::from("<!doctype html><meta charset=utf-8><ul>");
    for entry in entries {
        let path = dir.child(&entry.name).to_uri();
        page.push_str(&format!("<li><a href=\"{prefix}{path}\">{path}</a>"));
    }
    page.into()
}

/// The same for machines.
pub(crate) fn json(dir: &Name, prefix: &str, entries: &[Entry]) -> Bytes {
    let _ = (dir, prefix);
    let names: Vec<_> =
        entries.iter().map(|entry| format!("{{\"name\":\"{}\"}}", escape(&entry.name))).collect();
    format!("{{\"entries\":[{}]}}", names.join(",")).into()
}

/// The order of a listing: folders first.
pub(crate) fn order(one: &Entry, other: &Entry) -> std::cmp::Ordering {
    let files = |entry: &Entry| entry.kind == FileOrFolder::File;
    files(one).cmp(&files(other)).then_with(|| one.name.cmp(&other.name))
}
