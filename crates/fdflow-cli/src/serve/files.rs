//! The file service as the flags want it.

use std::path::PathBuf;

use super::flags::Flags;
pub(super) use super::stub::Files;

/// The service, over the folder.
pub(super) fn service(flags: &Flags) -> Result<Files, String> {
    let dir = flags.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    match std::fs::metadata(&dir) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => return Err(format!("{} is no folder: name the folder to serve", dir.display())),
        Err(error) => {
            return Err(format!(
                "cannot serve {}: {error}; name a folder that is there",
                dir.display()
            ));
        }
    }
    Files::new(dir)
}
