//! What is served: files of the pattern, and a place for uploads.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::pattern::{PIECE, Pattern};

/// Sizes of small files.
pub(super) const SMALL: [u64; 5] = [1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// A folder with the files, deleted when dropped.
#[derive(Debug)]
pub(super) struct Site {
    home: TempDir,
    /// The large file's size.
    pub(super) large: u64,
}

impl Site {
    /// Makes the folder in `directory`, the small files and a large one of so many bytes.
    pub(super) fn create(directory: &Path, large: u64) -> io::Result<Self> {
        let home = tempfile::Builder::new().prefix("fdflow-bench-serve.").tempdir_in(directory)?;
        let site = Self { home, large };
        for directory in [site.root(), site.workplace()] {
            std::fs::create_dir(directory)?;
        }
        let pattern = Pattern::new();
        // A file that changed a moment ago is one that a server may treat with more care.
        let earlier = SystemTime::now() - Duration::from_hours(1);
        for bytes in SMALL.into_iter().chain([large]) {
            let mut file = File::create(site.root().join(name(bytes)))?;
            pattern.write(&mut file, bytes, PIECE)?;
            file.set_modified(earlier)?;
            // Writing it back must not fall into a round.
            file.sync_all()?;
        }
        Ok(site)
    }

    /// The folder that is served.
    pub(super) fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Where servers keep what they write, on the same filesystem.
    pub(super) fn workplace(&self) -> PathBuf {
        self.home.path().join("work")
    }
}

/// The name of the file of so many bytes.
pub(super) fn name(bytes: u64) -> String {
    format!("{bytes}.bin")
}
