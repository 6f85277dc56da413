//! The listing for programs.

use bytes::Bytes;
use serde::Serialize;

use super::Entry;
use super::said::Moment;
use crate::name::{Name, escape};
use crate::root::FileOrFolder;

#[derive(Serialize)]
struct Listing<'a> {
    path: String,
    entries: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: std::borrow::Cow<'a, str>,
    /// Only where `name` is not what stands on disk.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lossy: bool,
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    modified: String,
}

/// The listing as JSON:
///
/// ```json
/// {"path": "/pictures/", "entries": [
///   {"name": "raw", "path": "/pictures/raw/", "type": "folder",
///    "modified": "2026-11-22T14:05:09.000000000Z"},
///   {"name": "50 %.jpg", "path": "/pictures/50%20%25.jpg", "type": "file", "size": 1468006,
///    "modified": "2026-11-22T14:05:09.123456789Z"}]}
/// ```
///
/// - `name` is verbatim where it is UTF-8; else each bad byte is `U+FFFD` and `"lossy": true`
///   follows. `path` tells the exact bytes always.
/// - `path` is absolute, escaped and fetches exactly this; a folder's ends with a slash. It begins
///   with `prefix`.
/// - `type` is `file` or `folder`: where a link leads, if it is one.
/// - `size` is in bytes; folders have none.
/// - `modified` is in UTC (RFC 3339), exact to the nanosecond that the filesystem keeps.
///
/// Entries are in the order of the page: folders first, then by name.
pub(crate) fn json(dir: &Name, prefix: &str, entries: &[Entry]) -> Bytes {
    let path = format!("{prefix}{}", dir.as_folder().to_uri());
    let entries = entries.iter().map(|entry| line(&path, entry)).collect();
    // Strings, numbers and lists: nothing that serialising could refuse.
    serde_json::to_vec(&Listing { path, entries }).unwrap_or_default().into()
}

fn line<'a>(folder: &str, entry: &'a Entry) -> Line<'a> {
    let file = entry.kind == FileOrFolder::File;
    let mut modified = String::with_capacity(30);
    Moment::of(entry.modified.0).exact(&mut modified, Some(entry.modified.1));
    Line {
        name: String::from_utf8_lossy(&entry.name),
        lossy: std::str::from_utf8(&entry.name).is_err(),
        path: format!("{folder}{}{}", escape(&entry.name), if file { "" } else { "/" }),
        kind: if file { "file" } else { "folder" },
        size: file.then_some(entry.length),
        modified,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_entry_has_its_name_a_path_that_fetches_it_its_type_size_and_time() {
        let modified = (1_795_356_309, 123_456_789);
        let file = |name: &[u8]| Entry {
            name: name.to_vec(),
            kind: FileOrFolder::File,
            length: u64::MAX,
            modified,
        };
        let folder = Entry { kind: FileOrFolder::Folder, ..file(b"raw") };
        let entries = [folder, file(b"50 %\n\"?#<.jpg"), file(b"caf\xe9")];
        let bytes = json(&Name::from_uri("/pictures").unwrap(), "/app", &entries);
        let listing: Value = serde_json::from_slice(&bytes).unwrap();
        let time = "2026-11-22T14:05:09.123456789Z";
        let expected = serde_json::json!({"path": "/app/pictures/", "entries": [
            {"name": "raw", "path": "/app/pictures/raw/", "type": "folder", "modified": time},
            {"name": "50 %\n\"?#<.jpg", "path": "/app/pictures/50%20%25%0A%22%3F%23%3C.jpg",
             "type": "file", "size": u64::MAX, "modified": time},
            {"name": "caf\u{fffd}", "lossy": true, "path": "/app/pictures/caf%E9",
             "type": "file", "size": u64::MAX, "modified": time},
        ]});
        assert_eq!(listing, expected);
    }

    #[test]
    fn the_root_of_a_service_that_is_not_nested_is_a_slash() {
        assert_eq!(&json(&Name::root(), "", &[])[..], br#"{"path":"/","entries":[]}"#);
    }
}
