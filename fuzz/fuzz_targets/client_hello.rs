//! ClientHellos that the fuzzer likes: read without a panic, to the same end however they are
//! cut. The same laws as among the crate's tests.
//!
//! ```text
//! cargo +nightly fuzz run client_hello
//! ```
#![no_main]

#[path = "../../crates/fdflow-proxy/tests/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| laws::check_hello(bytes));
