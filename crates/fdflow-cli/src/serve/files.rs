//! The file service as the flags want it.

use std::io;
use std::path::PathBuf;

use fdflow_files::{Files, Options, UploadOptions};

use super::flags::Flags;

/// The service, over the folder.
pub(super) fn service(flags: &Flags) -> Result<Files, String> {
    let dir = flags.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    match std::fs::metadata(&dir) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => return Err(format!("{} is no folder: name the folder to serve", dir.display())),
        Err(error) => {
            let dir = dir.display();
            return Err(format!("cannot serve {dir}: {error}; name a folder that is there"));
        }
    }
    Files::with_options(&dir, options(flags)).map_err(|error| match error.kind() {
        // A name in the flags, which the message quotes.
        io::ErrorKind::InvalidInput => {
            format!("{error}; correct --index or --not-found, which name files in the folder")
        }
        _ => format!(
            "cannot serve {}: {error}; name a folder that this user may read",
            dir.display()
        ),
    })
}

fn options(flags: &Flags) -> Options {
    let mut options = Options::default()
        .listing(flags.no_listing != Some(true))
        .symlinks(flags.symlinks.map(|symlinks| symlinks.0).unwrap_or_default())
        .hidden(flags.hidden == Some(true))
        .spa(flags.spa == Some(true))
        .compress(flags.compress == Some(true));
    if !flags.index.is_empty() {
        options = options.index(flags.index.iter().cloned());
    }
    if let Some(path) = &flags.not_found {
        options = options.not_found(path);
    }
    if let Some(value) = &flags.cache_control {
        options = options.cache_control(value.0.clone());
    }
    if flags.upload == Some(true) {
        let uploads = UploadOptions::new()
            .overwrite(flags.overwrite == Some(true))
            .largest(flags.max_upload.map(|size| size.0));
        options = options.uploads(uploads);
    }
    for header in &flags.header {
        options = options.header(header.0.clone(), header.1.clone());
    }
    options
}
