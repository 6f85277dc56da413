//! The kernel's limits that decide how large and how many pipes a splice gets.

use std::fs;

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// The size that the library asks for its private pipes.
const PIPE_WANTED: usize = 1 << 20;

/// Limits, named as in `/proc/sys/fs`; `None` where the kernel does not tell.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Limits {
    /// The most bytes of one pipe, for users without privilege.
    pub(super) pipe_max_size: Option<u64>,
    /// Pages in all pipes of one user beyond which new pipes are small; 0 is no limit.
    pub(super) pipe_user_pages_soft: Option<u64>,
    /// Pages in all pipes of one user beyond which there are no more pipes; 0 is no limit.
    pub(super) pipe_user_pages_hard: Option<u64>,
    /// The bytes of a pipe that was just now asked to grow to 1 MiB.
    pub(super) pipe_granted: Option<u64>,
}

pub(super) fn read() -> Limits {
    Limits {
        pipe_max_size: setting("pipe-max-size"),
        pipe_user_pages_soft: setting("pipe-user-pages-soft"),
        pipe_user_pages_hard: setting("pipe-user-pages-hard"),
        pipe_granted: granted(),
    }
}

/// The kernel's release, such as `6.18.2`.
pub(super) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/fs/{name}")).ok()?.trim().parse().ok()
}

fn granted() -> Option<u64> {
    let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).ok()?;
    let size = fcntl_setpipe_size(&writer, PIPE_WANTED).or_else(|_| fcntl_getpipe_size(&writer));
    u64::try_from(size.ok()?).ok()
}
