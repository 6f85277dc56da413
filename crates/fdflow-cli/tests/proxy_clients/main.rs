//! `fdflow proxy` between the clients and servers that people have: each test runs the real
//! programs, and then reads in the log that every flow came to its end, and looks at what is left.
//!
//! A program that is not installed is `SKIPPED`; `.ci/run` installs all of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod git;
mod haproxy;
mod iperf;
mod nginx;
mod openssl;
mod postgres;
mod programs;
mod redis;
mod ssh;
