//! The names of a recording's files: `cam.ts` is written to, `cam.000001.ts` and on were before, and
//! each has its index beside it, `cam.ts.index`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::piece::of;

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
    let folder = folder.unwrap_or(Path::new("."));
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| of(folder, &error))? {
        numbers.extend(number(path, &entry?.file_name()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The number in a name that is [`numbered`].
fn number(path: &Path, name: &OsStr) -> Option<u64> {
    let rest = name.as_bytes().strip_prefix(path.file_stem()?.as_bytes())?.strip_prefix(b".")?;
    let rest = match path.extension() {
        Some(extension) => rest.strip_suffix(extension.as_bytes())?.strip_suffix(b".")?,
        None => rest,
    };
    let number = std::str::from_utf8(rest).ok()?.parse().ok()?;
    (format!("{number:06}").as_bytes() == rest).then_some(number)
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
        let others =
            ["cam.2.ts", "cam.2.000003.mkv", "other.000004.ts", "cam.000005.ts", "cam.2.+00006.ts"];
        for other in others {
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

    #[test]
    fn a_name_need_not_be_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OsStr::from_bytes(b"caf\xe9.ts"));
        std::fs::write(numbered(&path, 3), "").unwrap();
        assert_eq!(numbers(&path).unwrap(), [3]);
    }
}
