//! Asks the kernel for one route at a time, whatever the library would have planned.

use std::io;

use fdflow::{Operation, Reason, Refusal, Route, denied_by_environment};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::ends::{Giver, MOST, Taker};
use super::kinds::{Kind, What};
use super::streams::Stream;

/// The routes, but for the one that was taken, that are refused between two kinds.
pub(super) fn refusals(from: &Kind, to: &Kind, taken: Option<Route>) -> io::Result<Vec<Refusal>> {
    let mut refused = Vec::new();
    for route in Route::ALL.into_iter().filter(|route| route.in_kernel() && Some(*route) != taken) {
        if !makes_sense(route, from, to) {
            continue;
        }
        if denied_by_environment().contains(route) {
            refused.push(Refusal::new(route, Reason::Denied));
        } else if let Some(reason) = ask(route, from, to)? {
            refused.push(Refusal::new(route, reason));
        }
    }
    Ok(refused)
}

/// Whether somebody could expect `route` to work.
fn makes_sense(route: Route, from: &Kind, to: &Kind) -> bool {
    match route {
        Route::Reflink => from.is_file() && to.is_file(),
        Route::CopyFileRange => from.is_file() || to.is_file(),
        _ => true,
    }
}

/// Why the kernel refuses `route`; `None` where it does not.
fn ask(route: Route, from: &Kind, to: &Kind) -> io::Result<Option<Reason>> {
    let (giver, taker) = (Giver::new(from, MOST)?, Taker::new(to)?);
    let n = giver.n.min(taker.most);
    let (source, sink) = (giver.descriptor(), taker.descriptor());
    let (operation, answer) = match route {
        Route::Reflink => (Operation::Reflink, rustix::fs::ioctl_ficlone(sink, source).map(|()| n)),
        Route::CopyFileRange => {
            let call = || rustix::fs::copy_file_range(source, None, sink, None, n);
            (Operation::CopyFileRange, uninterrupted(call))
        }
        Route::Sendfile => {
            let call = || rustix::fs::sendfile(sink, source, None, n);
            (Operation::Sendfile, uninterrupted(call))
        }
        Route::Splice if is_pipe(from) || is_pipe(to) => {
            let call = || rustix::pipe::splice(source, None, sink, None, n, SpliceFlags::NONBLOCK);
            (Operation::Splice, uninterrupted(call))
        }
        Route::Splice => (Operation::Splice, splice_through_pipe(&giver, &taker, n)),
        _ => return Ok(None),
    };
    Ok(match answer {
        Ok(0) => Some(Reason::ZeroBeforeEnd(operation)),
        Ok(_) => None,
        Err(errno) => Some(Reason::Errno { operation, errno }),
    })
}

fn is_pipe(kind: &Kind) -> bool {
    kind.what == What::Stream(Stream::Pipe)
}

fn splice_through_pipe(giver: &Giver, taker: &Taker, n: usize) -> Result<usize, Errno> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let flags = SpliceFlags::NONBLOCK;
    let source = giver.descriptor();
    let n = uninterrupted(|| rustix::pipe::splice(source, None, &writer, None, n, flags))?;
    let sink = taker.descriptor();
    uninterrupted(|| rustix::pipe::splice(&reader, None, sink, None, n, flags))
}

fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}
