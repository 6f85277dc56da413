//! The standard streams of child processes, as the pipes that they are.

use std::io;

use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

/// A child's standard output, to be copied from.
///
/// # Errors
///
/// It cannot be registered with the runtime.
pub fn child_stdout(stdout: ChildStdout) -> io::Result<Receiver> {
    Receiver::from_owned_fd(stdout.into_owned_fd()?)
}

/// A child's standard error, to be copied from.
///
/// # Errors
///
/// It cannot be registered with the runtime.
pub fn child_stderr(stderr: ChildStderr) -> io::Result<Receiver> {
    Receiver::from_owned_fd(stderr.into_owned_fd()?)
}

/// A child's standard input, to be copied to. Drop it to let the child see the end.
///
/// # Errors
///
/// It cannot be registered with the runtime.
pub fn child_stdin(stdin: ChildStdin) -> io::Result<Sender> {
    Sender::from_owned_fd(stdin.into_owned_fd()?)
}
