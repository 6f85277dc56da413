//! The names of a recording's files: `cam.ts` is written to, `cam.000001.ts` and on were before, and
//! each has its index beside it, `cam.ts.index`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The file with this number.
pub(super) fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.file_stem().map(OsString::from).unwrap_or_default();
    name.push(format!(".{number:06}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The index beside a file.
pub(super) fn index_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".index");
    path.with_file_name(name)
}

/// The numbers that there are files of, in order.
pub(super) fn numbers(path: &Path) -> io::Result<Vec<u64>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| {
            let parts = name.split('.').filter(|part| part.len() >= 6);
            parts.filter_map(|part| part.parse().ok()).find(|number| {
                numbered(path, *number).file_name().and_then(|name| name.to_str()) == Some(name)
            })
        });
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_extension_and_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.2.ts");
        for number in [2, 1, 10_000_000] {
            std::fs::write(numbered(&path, number), "").unwrap();
            std::fs::write(index_of(&numbered(&path, number)), "").unwrap();
        }
        for other in ["cam.2.ts", "cam.2.000003.mkv", "other.000004.ts", "cam.000005.ts"] {
            std::fs::write(dir.path().join(other), "").unwrap();
        }
        assert_eq!(numbered(&path, 2).file_name().unwrap(), "cam.2.000002.ts");
        assert_eq!(index_of(&path).file_name().unwrap(), "cam.2.ts.index");
        assert_eq!(numbers(&path).unwrap(), [1, 2, 10_000_000]);
        let bare = dir.path().join("cam");
        std::fs::write(numbered(&bare, 7), "").unwrap();
        assert_eq!(
            (numbers(&bare).unwrap(), numbered(&bare, 7)),
            (vec![7], dir.path().join("cam.000007"))
        );
    }
}
