//! The contender in Go: its program, built at the start of a run where there is a Go to build it.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// The built program, deleted when dropped.
#[derive(Debug)]
pub(crate) struct Program(TempDir);

impl Program {
    /// Builds it. Needs no network: it imports the standard library only.
    ///
    /// # Errors
    ///
    /// Why there is none, in a sentence for the record.
    pub(crate) fn build() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|cause| format!("not built: {cause}"))?;
        let program = Self(directory);
        let mut build = Command::new("go");
        build.arg("build").arg("-buildvcs=false").arg("-o").arg(program.path()).arg(".");
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/go"));
        build.envs([("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")]);
        match build.output() {
            Ok(built) if built.status.success() => Ok(program),
            Ok(built) => {
                let said = String::from_utf8_lossy(&built.stderr);
                Err(format!("`go build` failed, {}: {}", built.status, said.trim()))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                Err("absent: there is no `go` on the PATH".to_owned())
            }
            Err(cause) => Err(format!("`go build` could not be started: {cause}")),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("relay")
    }
}
