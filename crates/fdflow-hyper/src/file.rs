//! A file that bodies are made of: opened once, shared by any number of them.

use std::fs::File;
use std::io;
use std::sync::Arc;

/// An open regular file, cheap to clone.
#[derive(Debug, Clone)]
pub struct OpenFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    length: u64,
}

impl OpenFile {
    /// Takes an open regular file, whose length is looked up now.
    ///
    /// # Errors
    ///
    /// What `fstat` answers, and `InvalidInput` where it is no regular file.
    pub fn new(file: File) -> io::Result<Self> {
        let facts = file.metadata()?;
        if !facts.is_file() {
            let message = "only a regular file can be a body";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(Self::with_length(file, facts.len()))
    }

    /// Takes an open regular file whose length is known.
    #[must_use]
    pub fn with_length(file: File, length: u64) -> Self {
        Self { shared: Arc::new(Shared { file, length }) }
    }

    /// Its length when it was opened.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.shared.length
    }

    pub(crate) fn file(&self) -> &File {
        &self.shared.file
    }
}
