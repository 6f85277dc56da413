//! `fdflow relay --http`: readers that speak HTTP, each test with real sockets, or with curl.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod endings;
mod following;
mod heads;
mod ranges;
mod site;
mod slow;
