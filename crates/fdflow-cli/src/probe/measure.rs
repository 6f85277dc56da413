//! Moves bytes between every source and every sink, and tells how they went.

use std::io;

use fdflow::{Operation, Policy, Report, Route, Routes, Transfer, TransferError};

use super::ask;
use super::content::compare;
use super::ends::{Giver, MOST, Taker};
use super::findings::{By, Findings, Pair};
use super::flow;
use super::kinds::{self, Kind};
use super::limits;
use super::streams::PATIENCE;

/// Everything there is to find out.
pub(super) fn all() -> Findings {
    let (kernel, limits) = (limits::kernel(), limits::read());
    let mut absent = Vec::new();
    let kinds = kinds::all(&mut absent);
    let mut pairs = Vec::with_capacity(kinds.sources.len() * kinds.sinks.len());
    for from in &kinds.sources {
        pairs.extend(kinds.sinks.iter().map(|to| pair(from, to)));
    }
    Findings { kernel, limits, pairs, absent }
}

fn pair(from: &Kind, to: &Kind) -> Pair {
    let (taken, mut failure) = match carried(from, to) {
        Ok(taken) => (taken, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let (route, by) = taken.unzip();
    let refused = ask::refusals(from, to, route).unwrap_or_else(|error| {
        failure.get_or_insert_with(|| error.to_string());
        Vec::new()
    });
    let by = by.flatten();
    Pair { from: from.name.clone(), to: to.name.clone(), route, by, refused, failure }
}

/// The route that the library takes, and how the bytes went on it; `None` where `FDFLOW_DENY`
/// leaves it none.
fn carried(from: &Kind, to: &Kind) -> io::Result<Option<(Route, Option<By>)>> {
    let (Some(source), Some(sink)) = (from.socket(), to.socket()) else {
        let Some((report, by)) = carry(from, to, Policy::default())? else { return Ok(None) };
        return Ok(main_route(&report).map(|route| (route, by)));
    };
    // Between sockets the library splices only what proves to be a stream.
    let report = flow::run(source, sink)?;
    let Some(route) = report.as_ref().and_then(main_route) else { return Ok(None) };
    let policy = Policy { routes: Routes::only(route), ..Policy::default() };
    Ok(carry(from, to, policy)?.map(|(_, by)| (route, by)))
}

/// Moves bytes between two fresh ends, overwrites the source, and only then reads the sink.
fn carry(from: &Kind, to: &Kind, policy: Policy) -> io::Result<Option<(Report, Option<By>)>> {
    let taker = Taker::new(to)?;
    let giver = Giver::new(from, taker.most.min(MOST))?;
    let n = giver.n.min(taker.most);
    let policy = Policy { limit: Some(n as u64), idle_timeout: Some(PATIENCE), ..policy };
    let mut transfer = Transfer::new(giver.descriptor(), taker.descriptor()).policy(policy);
    let Some(report) = unless_denied(transfer.run())? else { return Ok(None) };
    let overwritten = giver.overwrite()?;
    let got = taker.read_back(n)?;
    if report.bytes() != n as u64 {
        return Err(io::Error::other(format!("{} of {n} bytes were moved", report.bytes())));
    }
    let Some(got) = got else { return Ok(Some((report, None))) };
    let sent = giver.content.as_ref().and_then(|content| content.get(..n));
    // Bytes that nobody knows can only be counted.
    let by = compare(sent.unwrap_or(&got), &got, overwritten).map_err(io::Error::other)?;
    if got.len() != n {
        return Err(io::Error::other(format!("{n} bytes were sent, {} arrived", got.len())));
    }
    Ok(Some((report, by)))
}

/// What a transfer did; `None` where no route was left, which is a finding and no failure.
pub(super) fn unless_denied<T>(answer: Result<T, TransferError>) -> io::Result<Option<T>> {
    match answer {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.operation() == Operation::Plan => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The route that most bytes went by.
fn main_route(report: &Report) -> Option<Route> {
    let used = Route::ALL.into_iter().filter(|route| report.bytes_by(*route) > 0);
    used.max_by_key(|route| report.bytes_by(*route))
}
