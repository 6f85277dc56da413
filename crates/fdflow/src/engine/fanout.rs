//! From one pipe to several: tee exactly n, then move exactly n.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;

use super::Stop;
use crate::kind::Kind;
use crate::operation::{Operation, Side};
use crate::policy::CALL_MAX;
use crate::sys::errno::uninterrupted;
use crate::sys::{End, Interest, Kernel};

/// Gives the pipe `to` up to `n` of the bytes at the head of the pipe `from`, where they stay.
/// Nothing: `from` has ended.
///
/// Every call starts at the head again, so that what it gave has to be moved out of `from`, to
/// the byte, before the next one for the same `to`.
pub(crate) fn tee<K: Kernel>(
    kernel: &K,
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    n: u64,
) -> Result<u64, Stop> {
    let n = usize::try_from(n).unwrap_or(usize::MAX).min(CALL_MAX);
    match uninterrupted(|| kernel.tee(end(from), end(to), n)) {
        Ok(0) => ended(kernel, from),
        Ok(given) if given <= n => Ok(given as u64),
        Ok(_) => Err(failed(Errno::IO)),
        // The call does not say which of the two it would wait for, and a full `to` comes before
        // the end of `from`.
        Err(Errno::AGAIN) if held(kernel, from)? == 0 => ended(kernel, from),
        Err(Errno::AGAIN) => Err(Stop::Wait(Side::Sink)),
        Err(errno) => Err(failed(errno)),
    }
}

/// A zero is the end only where nothing is in the pipe and poll calls it ready all the same:
/// another writer that fills `to` between two looks of the kernel makes it answer 0 too.
fn ended<K: Kernel>(kernel: &K, from: BorrowedFd<'_>) -> Result<u64, Stop> {
    let here = Interest { fd: from, readable: true };
    let ready = uninterrupted(|| kernel.poll(&[here], Some(Duration::ZERO))).map_err(failed)?;
    match (ready, held(kernel, from)?) {
        (0, _) => Err(Stop::Wait(Side::Source)),
        (_, 0) => Ok(0),
        _ => Err(Stop::Wait(Side::Sink)),
    }
}

fn held<K: Kernel>(kernel: &K, pipe: BorrowedFd<'_>) -> Result<usize, Stop> {
    kernel.held(pipe).map_err(failed)
}

fn failed(errno: Errno) -> Stop {
    Stop::Call { operation: Operation::Tee, side: None, errno }
}

/// Moves up to `n` bytes out of the pipe `from`, to where nobody reads them.
pub(crate) fn discard<K: Kernel>(
    kernel: &K,
    from: BorrowedFd<'_>,
    nowhere: BorrowedFd<'_>,
    n: u64,
) -> Result<u64, Errno> {
    let n = usize::try_from(n).unwrap_or(usize::MAX).min(CALL_MAX);
    let to = End { kind: Kind::Device, ..end(nowhere) };
    match uninterrupted(|| kernel.splice(end(from), to, n))? {
        moved @ 1.. if moved <= n => Ok(moved as u64),
        _ => Err(Errno::IO),
    }
}

/// Writes to a pipe of our own that does not block.
pub(crate) fn write<K: Kernel>(kernel: &K, bytes: &[u8], to: BorrowedFd<'_>) -> Result<u64, Stop> {
    // Said by its flag: told by the call too, some kernels would take a page at a time.
    let to = End { nowait: false, ..end(to) };
    match uninterrupted(|| kernel.write(to, bytes)) {
        Ok(n) if n <= bytes.len() => Ok(n as u64),
        Ok(_) => Err(failed(Errno::IO)),
        Err(Errno::AGAIN) => Err(Stop::Wait(Side::Sink)),
        Err(errno) => Err(failed(errno)),
    }
}

/// A pipe as an end of a call that must not wait.
fn end(fd: BorrowedFd<'_>) -> End<'_> {
    End { fd, kind: Kind::Pipe, at: None, nowait: true }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::fd::AsFd;

    use super::*;
    use crate::kind::Traits;
    use crate::sys::Result as Answer;

    /// Answers tee, held and poll from lists.
    struct Scripted {
        tee: RefCell<Vec<Answer<usize>>>,
        held: usize,
        ready: u32,
    }

    impl Kernel for Scripted {
        fn traits(&self, _: BorrowedFd<'_>) -> Answer<Traits> {
            Err(Errno::NOSYS)
        }
        fn read(&self, _: End<'_>, _: &mut [u8]) -> Answer<usize> {
            Err(Errno::NOSYS)
        }
        fn write(&self, _: End<'_>, _: &[u8]) -> Answer<usize> {
            Err(Errno::NOSYS)
        }
        fn poll(&self, _: &[Interest<'_>], _: Option<Duration>) -> Answer<u32> {
            Ok(self.ready)
        }
        fn length(&self, _: BorrowedFd<'_>) -> Answer<u64> {
            Err(Errno::NOSYS)
        }
        fn tee(&self, _: End<'_>, _: End<'_>, _: usize) -> Answer<usize> {
            self.tee.borrow_mut().pop().unwrap_or(Err(Errno::NOSYS))
        }
        fn held(&self, _: BorrowedFd<'_>) -> Answer<usize> {
            Ok(self.held)
        }
    }

    fn answer(tee: &[Answer<usize>], held: usize, ready: u32) -> Result<u64, Stop> {
        let kernel = Scripted { tee: RefCell::new(tee.to_vec()), held, ready };
        let (reader, writer) = std::io::pipe().unwrap();
        super::tee(&kernel, reader.as_fd(), writer.as_fd(), 100)
    }

    #[test]
    fn h63_a_signal_between_is_no_answer() {
        assert!(matches!(answer(&[Ok(7), Err(Errno::INTR), Err(Errno::INTR)], 7, 1), Ok(7)));
    }

    #[test]
    fn h20_would_block_names_the_end_that_it_is_about() {
        assert!(matches!(answer(&[Err(Errno::AGAIN)], 0, 0), Err(Stop::Wait(Side::Source))));
        assert!(matches!(answer(&[Err(Errno::AGAIN)], 9, 1), Err(Stop::Wait(Side::Sink))));
    }

    #[test]
    fn h21_a_full_mirror_does_not_hide_the_end() {
        assert!(matches!(answer(&[Err(Errno::AGAIN)], 0, 1), Ok(0)));
    }

    #[test]
    fn h09_a_zero_is_the_end_only_of_an_empty_pipe_without_writers() {
        assert!(matches!(answer(&[Ok(0)], 0, 1), Ok(0)));
        assert!(matches!(answer(&[Ok(0)], 5, 1), Err(Stop::Wait(Side::Sink))));
        assert!(matches!(answer(&[Ok(0)], 0, 0), Err(Stop::Wait(Side::Source))));
    }

    #[test]
    fn more_than_was_asked_for_is_no_answer_either() {
        assert!(matches!(answer(&[Ok(101)], 200, 1), Err(Stop::Call { .. })));
    }
}
