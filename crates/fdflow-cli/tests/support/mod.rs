//! What the tests of the program share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of it"
)]

pub mod dns;
pub mod ends;
pub mod origin;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod server;
pub mod watched;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, with the environment's `FDFLOW_DENY`: the suite is also run with routes denied.
pub fn fdflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fdflow"));
    command.env_remove("NO_COLOR");
    command
}

/// The program with every route allowed, for tests about routes.
pub fn unrestricted() -> Command {
    let mut command = fdflow();
    command.env_remove("FDFLOW_DENY");
    command
}

/// Whether a copy worked; `false` where the environment denies every route that could have.
/// Anything else fails the test.
pub fn worked(output: &Output) -> bool {
    let errors = stderr(output);
    if output.status.success() {
        return true;
    }
    let denied = std::env::var_os("FDFLOW_DENY").is_some_and(|names| !names.is_empty());
    assert!(denied && errors.contains("no route is left"), "{:?}: {errors}", output.status);
    eprintln!("not to be copied with FDFLOW_DENY: {errors}");
    false
}

/// What it wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it wrote to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `n` bytes without a period that a lost or repeated block could hide in.
pub fn pattern(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}

/// A folder with a file `from` in it.
pub struct Folder {
    dir: tempfile::TempDir,
    pub bytes: Vec<u8>,
}

impl Folder {
    pub fn with(n: usize) -> Self {
        let (dir, bytes) = (tempfile::tempdir().unwrap(), pattern(n));
        std::fs::write(dir.path().join("from"), &bytes).unwrap();
        Self { dir, bytes }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// The number before "bytes arrived" in an error line.
pub fn arrived(errors: &str) -> Option<u64> {
    let before = errors.split(" bytes arrived").next()?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
