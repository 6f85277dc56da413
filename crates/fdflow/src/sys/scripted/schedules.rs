//! Random schedules: whatever a kernel answers, in whatever order, no byte is lost.

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::try_schedule;

/// How many schedules to run: `FDFLOW_SCHEDULES`, or enough for a few seconds.
fn schedules() -> u32 {
    let named = std::env::var("FDFLOW_SCHEDULES").ok();
    named.and_then(|n| n.parse().ok()).unwrap_or(2500)
}

/// Checks as many random schedules as are to be run.
pub(crate) fn check_schedules(check: impl Fn(&[u8]) -> Result<(), String>) {
    let config = Config {
        cases: schedules(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let run =
        runner.run(&vec(any::<u8>(), 0..200), |bytes| check(&bytes).map_err(TestCaseError::fail));
    if let Err(error) = run {
        panic!("{error}");
    }
}

#[test]
fn whatever_a_kernel_answers_every_byte_is_accounted_for() {
    check_schedules(try_schedule);
}
