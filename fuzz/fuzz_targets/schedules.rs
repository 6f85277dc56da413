//! Transfers on a kernel that answers what the fuzzer likes: the same checks as the random
//! schedules among the library's tests.
//!
//! ```text
//! cargo +nightly fuzz run schedules
//! ```
#![no_main]

use fdflow::sys::scripted::check_schedule;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check_schedule(bytes));
