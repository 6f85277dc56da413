//! The name of a Unix socket in the filesystem: made, taken over, taken away.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Whether somebody else may listen at the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// No: it is busy.
    Alone,
    /// A process of the same program may, until one of both ends.
    TakesOver,
}

/// A Unix socket's name; who made it takes it away.
#[derive(Debug)]
pub(crate) struct Place {
    path: Option<PathBuf>,
    made: Option<Made>,
}

/// Which file it is. The number alone may be given to a later one.
type Made = (u64, u64, i64, i64);

impl Place {
    /// The service manager's.
    pub(super) fn inherited(path: Option<PathBuf>) -> Self {
        Self { path, made: None }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (Some(path), Some(made)) = (&self.path, self.made) else { return };
        // Another process may have taken it over.
        if which(path).is_ok_and(|there| there == made) {
            let _removed = std::fs::remove_file(path).is_ok();
        }
    }
}

/// Listens at `path`.
pub(super) fn bind(path: &Path, sharing: Sharing) -> Result<(UnixListener, Place), String> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match sharing {
            Sharing::Alone => {
                remove_stale(path)?;
                UnixListener::bind(path).and_then(|listener| Ok((listener, which(path)?)))
            }
            Sharing::TakesOver => {
                is_socket(path)?;
                take_over(path)
            }
        },
        answer => answer.and_then(|listener| Ok((listener, which(path)?))),
    };
    let (listener, made) = bound.map_err(|error| refused(path, &error))?;
    Ok((listener, Place { path: Some(path.to_owned()), made: Some(made) }))
}

/// What is said where it cannot be.
pub(super) fn refused(path: &Path, error: &io::Error) -> String {
    format!(
        "cannot listen on unix://{}: {error}; choose a path in a folder that is yours",
        path.display()
    )
}

/// Binds to another name and gives the socket this one: at no moment nobody listens there.
fn take_over(path: &Path) -> io::Result<(UnixListener, Made)> {
    let beside = path.with_file_name(format!(".{}", std::process::id()));
    if is_socket(&beside).is_ok() {
        // Of a process of this number that was ended halfway.
        let _removed = std::fs::remove_file(&beside).is_ok();
    }
    let listener = UnixListener::bind(&beside)?;
    let renamed = which(&beside).and_then(|made| std::fs::rename(&beside, path).map(|()| made));
    if renamed.is_err() {
        let _removed = std::fs::remove_file(&beside).is_ok();
    }
    Ok((listener, renamed?))
}

fn which(path: &Path) -> io::Result<Made> {
    let facts = std::fs::symlink_metadata(path)?;
    Ok((facts.dev(), facts.ino(), facts.mtime(), facts.mtime_nsec()))
}

fn is_socket(path: &Path) -> Result<(), String> {
    match std::fs::symlink_metadata(path) {
        Ok(facts) if !facts.file_type().is_socket() => {}
        // It may have gone meanwhile.
        _ => return Ok(()),
    }
    Err(format!("{} is there and is no socket: choose another path", path.display()))
}

/// Removes a socket that nobody listens on any more.
fn remove_stale(path: &Path) -> Result<(), String> {
    let shown = path.display();
    is_socket(path)?;
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        _ => {
            return Err(format!(
                "cannot listen on unix://{shown}: somebody listens there; end that, or choose another path"
            ));
        }
    }
    std::fs::remove_file(path)
        .map_err(|error| format!("cannot remove the stale socket {shown}: {error}"))
}
