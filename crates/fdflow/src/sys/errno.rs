//! What an errno means: the one table.

use rustix::io::Errno;

use crate::kind::Kind;
use crate::operation::{Operation, Side};

/// What to do about a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Make the call again: a signal came between.
    Retry,
    /// An end is not ready.
    WouldBlock,
    /// This route does not work for this pair: take the next one.
    Refused,
    /// A real failure: report it.
    Failed,
}

/// What the answer `errno` to `operation` means.
///
/// `fresh` says that the call has not moved a byte yet on this leg. Refusals are an allow-list
/// per operation; whatever is not on it is a failure and reported as it came. A socket's error is
/// told once by the kernel, so that taking it for a refusal would turn a reset into an end of
/// file.
#[must_use]
pub fn verdict(operation: Operation, errno: Errno, fresh: bool) -> Verdict {
    match errno {
        Errno::INTR => Verdict::Retry,
        Errno::AGAIN => Verdict::WouldBlock,
        _ if refused(operation, errno, fresh) => Verdict::Refused,
        _ => Verdict::Failed,
    }
}

fn refused(operation: Operation, errno: Errno, fresh: bool) -> bool {
    match operation {
        Operation::Sendfile | Operation::Splice | Operation::Tee => not_for_this_pair(errno),
        // EBADF: the sink is open for appending, perhaps only since we looked. EIO without
        // progress: what CIFS answers between shares; a real one comes again from read or write.
        Operation::CopyFileRange => {
            not_for_this_pair(errno)
                || errno == Errno::BADF
                || errno == Errno::ISDIR
                || errno == Errno::TXTBSY
                || (errno == Errno::IO && fresh)
        }
        // Nothing has been moved when it fails, so that whatever is really wrong shows again on
        // the next route; only running out of space or a failing disk is worth stopping for.
        Operation::Reflink => !matches!(errno, Errno::NOSPC | Errno::DQUOT | Errno::IO),
        // No pipe to be had is a reason for user space, never a failure.
        Operation::Pipe => true,
        _ => false,
    }
}

fn not_for_this_pair(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::INVAL
            | Errno::NOSYS
            | Errno::XDEV
            | Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::OVERFLOW
    )
}

/// Which end a failure of a call that touches both is about; `None` where that cannot be told.
#[must_use]
pub fn blame(operation: Operation, errno: Errno, source: Kind, sink: Kind) -> Option<Side> {
    match errno {
        Errno::PIPE | Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::ROFS => Some(Side::Sink),
        Errno::TXTBSY => Some(Side::Sink),
        Errno::CONNRESET | Errno::NOTCONN | Errno::TIMEDOUT | Errno::HOSTUNREACH => {
            if source.is_stream() { Some(Side::Source) } else { Some(Side::Sink) }
        }
        // From a pipe only the sink can fail, into a pipe only the source.
        _ if operation == Operation::Splice && source == Kind::Pipe => Some(Side::Sink),
        _ if operation == Operation::Splice && sink == Kind::Pipe => Some(Side::Source),
        Errno::IO if operation == Operation::Sendfile && sink.is_stream() => Some(Side::Source),
        _ => None,
    }
}

/// Makes a call until no signal interrupts it.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}

/// The name of `errno`, such as `EINVAL`; `unknown` for one that no call here is known to answer.
#[must_use]
pub fn name(errno: Errno) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == errno).map_or("unknown", |(_, name)| name)
}

/// What the system says of `errno`, without its number.
#[must_use]
pub fn meaning(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

const NAMES: &[(Errno, &str)] = &[
    (Errno::TOOBIG, "E2BIG"),
    (Errno::ACCESS, "EACCES"),
    (Errno::ADDRINUSE, "EADDRINUSE"),
    (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (Errno::AFNOSUPPORT, "EAFNOSUPPORT"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::ALREADY, "EALREADY"),
    (Errno::BADF, "EBADF"),
    (Errno::BADMSG, "EBADMSG"),
    (Errno::BUSY, "EBUSY"),
    (Errno::CONNABORTED, "ECONNABORTED"),
    (Errno::CONNREFUSED, "ECONNREFUSED"),
    (Errno::CONNRESET, "ECONNRESET"),
    (Errno::DESTADDRREQ, "EDESTADDRREQ"),
    (Errno::DOM, "EDOM"),
    (Errno::DQUOT, "EDQUOT"),
    (Errno::EXIST, "EEXIST"),
    (Errno::FAULT, "EFAULT"),
    (Errno::FBIG, "EFBIG"),
    (Errno::HOSTDOWN, "EHOSTDOWN"),
    (Errno::HOSTUNREACH, "EHOSTUNREACH"),
    (Errno::INPROGRESS, "EINPROGRESS"),
    (Errno::INTR, "EINTR"),
    (Errno::INVAL, "EINVAL"),
    (Errno::IO, "EIO"),
    (Errno::ISCONN, "EISCONN"),
    (Errno::ISDIR, "EISDIR"),
    (Errno::LOOP, "ELOOP"),
    (Errno::MFILE, "EMFILE"),
    (Errno::MSGSIZE, "EMSGSIZE"),
    (Errno::NAMETOOLONG, "ENAMETOOLONG"),
    (Errno::NETDOWN, "ENETDOWN"),
    (Errno::NETRESET, "ENETRESET"),
    (Errno::NETUNREACH, "ENETUNREACH"),
    (Errno::NFILE, "ENFILE"),
    (Errno::NOBUFS, "ENOBUFS"),
    (Errno::NODATA, "ENODATA"),
    (Errno::NODEV, "ENODEV"),
    (Errno::NOENT, "ENOENT"),
    (Errno::NOLCK, "ENOLCK"),
    (Errno::NOLINK, "ENOLINK"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::NOPROTOOPT, "ENOPROTOOPT"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::NOSYS, "ENOSYS"),
    (Errno::NOTCONN, "ENOTCONN"),
    (Errno::NOTDIR, "ENOTDIR"),
    (Errno::NOTSOCK, "ENOTSOCK"),
    (Errno::NOTTY, "ENOTTY"),
    (Errno::NXIO, "ENXIO"),
    (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    (Errno::OVERFLOW, "EOVERFLOW"),
    (Errno::PERM, "EPERM"),
    (Errno::PIPE, "EPIPE"),
    (Errno::PROTO, "EPROTO"),
    (Errno::PROTONOSUPPORT, "EPROTONOSUPPORT"),
    (Errno::PROTOTYPE, "EPROTOTYPE"),
    (Errno::RANGE, "ERANGE"),
    (Errno::ROFS, "EROFS"),
    (Errno::SHUTDOWN, "ESHUTDOWN"),
    (Errno::SPIPE, "ESPIPE"),
    (Errno::SRCH, "ESRCH"),
    (Errno::STALE, "ESTALE"),
    (Errno::TIMEDOUT, "ETIMEDOUT"),
    (Errno::TOOMANYREFS, "ETOOMANYREFS"),
    (Errno::TXTBSY, "ETXTBSY"),
    (Errno::USERS, "EUSERS"),
    (Errno::XDEV, "EXDEV"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const MOVERS: [Operation; 4] =
        [Operation::Sendfile, Operation::Splice, Operation::Tee, Operation::CopyFileRange];

    #[test]
    fn h40_h41_h42_refusals_are_refused_fresh_or_not() {
        for operation in MOVERS {
            for errno in [
                Errno::INVAL,
                Errno::NOSYS,
                Errno::XDEV,
                Errno::OPNOTSUPP,
                Errno::PERM,
                Errno::OVERFLOW,
            ] {
                for fresh in [true, false] {
                    assert_eq!(verdict(operation, errno, fresh), Verdict::Refused, "{operation}");
                }
            }
        }
        assert_eq!(verdict(Operation::CopyFileRange, Errno::BADF, false), Verdict::Refused);
    }

    #[test]
    fn h18_an_error_of_an_end_is_never_a_refusal() {
        for operation in MOVERS.into_iter().chain([Operation::Read, Operation::Write]) {
            for errno in [Errno::CONNRESET, Errno::PIPE, Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
                for fresh in [true, false] {
                    assert_eq!(verdict(operation, errno, fresh), Verdict::Failed, "{operation}");
                }
            }
            assert_eq!(verdict(operation, Errno::IO, false), Verdict::Failed);
        }
        assert_eq!(verdict(Operation::Splice, Errno::BADF, true), Verdict::Failed);
        assert_eq!(verdict(Operation::Read, Errno::INVAL, true), Verdict::Failed);
    }

    #[test]
    fn h44_only_copy_file_range_may_answer_eio_before_it_moved_anything() {
        assert_eq!(verdict(Operation::CopyFileRange, Errno::IO, true), Verdict::Refused);
        assert_eq!(verdict(Operation::Splice, Errno::IO, true), Verdict::Failed);
        assert_eq!(verdict(Operation::Sendfile, Errno::IO, true), Verdict::Failed);
    }

    #[test]
    fn h63_a_signal_is_no_answer() {
        let mut answers = [Err(Errno::INTR), Err(Errno::INTR), Ok(7)].into_iter();
        assert_eq!(uninterrupted(|| answers.next().unwrap()), Ok(7));
    }

    #[test]
    fn names_are_those_of_the_manual() {
        assert_eq!(name(Errno::INVAL), "EINVAL");
        assert_eq!(meaning(Errno::INVAL), "Invalid argument");
    }
}
