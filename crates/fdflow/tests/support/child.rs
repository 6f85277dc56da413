//! Tests that change their whole process, and so need one of their own.

use std::process::{Command, Output};

const CHILD: &str = "FDFLOW_TEST_CHILD";

/// `true` in a process of the test's own. Elsewhere runs the test of this name in such a process,
/// checks that it passed there, and returns `false`: there is nothing left to do.
pub fn alone(test: &str) -> bool {
    if is_child() {
        return true;
    }
    let _room = super::Room::enter();
    passed(&command(test).output().unwrap());
    false
}

/// Whether this is a process that was started for one test.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// The test of this name, as a command.
pub fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    command
}

/// Checks that a command made here ran its test, and that the test passed.
pub fn passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    let listed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}: {listed}", output.status);
    assert!(listed.contains("1 passed"), "no such test: {listed}");
}
