//! `fdflow serve` and the clients that people have: each test runs the real programs, and reads in
//! the access log what they asked for and by which route it went.
//!
//! A client that is not installed is `SKIPPED`; `.ci/run` installs all of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod aria2;
mod browser;
mod chromium;
mod curl;
mod curl_names;
mod curl_transports;
mod curl_uploads;
mod git;
mod replaced;
mod site;
mod video;
mod wget;
mod zsync;
