//! What a scripted kernel is to answer: rules for single calls, then one byte of script a call.

use rustix::io::Errno;

use crate::kind::Kind;
use crate::operation::Operation;

/// What a call is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// As a kernel in good health does.
    Well,
    /// At most so many bytes.
    Short(u64),
    /// Nothing, although there is something: what procfs, FUSE and overlays do.
    Zero,
    /// An error, and nothing is moved.
    Errno(Errno),
}

/// A call, as far as its answers depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) n: u64,
    /// Whether an end is non-blocking, so that `EAGAIN` can be had at any time.
    pub(super) again: bool,
    /// Whether 0 can be had without being the end.
    pub(super) zero: bool,
    pub(super) source: Option<Kind>,
    pub(super) sink: Option<Kind>,
}

impl Call {
    pub(super) fn of(operation: Operation) -> Self {
        Self { operation, n: 1, again: false, zero: false, source: None, sink: None }
    }

    /// What `byte` means for this call.
    fn answer(&self, byte: u8) -> Answer {
        let high = byte >> 4;
        let pick = |list: &[Errno]| match list.len() {
            0 => Answer::Well,
            len => Answer::Errno(list[usize::from(high) % len]),
        };
        match byte & 0xf {
            8..=10 if high == 0 => Answer::Short(1),
            8..=10 => Answer::Short((self.n / (u64::from(high) + 1)).max(1)),
            11 if interruptible(self.operation) => Answer::Errno(Errno::INTR),
            12 if self.again => Answer::Errno(Errno::AGAIN),
            13 if self.zero => Answer::Zero,
            14 => pick(refusals(self.operation)),
            15 => pick(&self.faults()),
            _ => Answer::Well,
        }
    }

    /// The failures that this call can have, whichever end's they are.
    fn faults(&self) -> Vec<Errno> {
        let mut faults = match self.operation {
            // Out of a private pipe: nobody else knows it.
            Operation::Read if self.source.is_none() => return vec![],
            Operation::Read => vec![Errno::INVAL, Errno::PERM, Errno::OPNOTSUPP, Errno::BADF],
            Operation::Write => vec![Errno::INVAL, Errno::PERM, Errno::NOSYS, Errno::BADF],
            Operation::Splice | Operation::Sendfile => vec![Errno::BADF],
            Operation::CopyFileRange | Operation::Tee => vec![],
            Operation::Reflink => return vec![Errno::NOSPC, Errno::DQUOT, Errno::IO],
            Operation::Probe => return vec![Errno::IO, Errno::STALE],
            Operation::Wait => return vec![Errno::NOMEM],
            // What cannot be made a hole is written; only that can fail.
            Operation::Hole => return vec![Errno::NOSPC, Errno::FBIG, Errno::IO],
            Operation::Buffered | Operation::Flush => return vec![Errno::IO],
            _ => return vec![],
        };
        match self.source {
            Some(kind) if kind.is_stream() => {
                faults.extend([Errno::CONNRESET, Errno::TIMEDOUT, Errno::NOTCONN]);
            }
            Some(Kind::Pipe) | None => {}
            Some(_) => faults.push(Errno::IO),
        }
        match self.sink {
            Some(kind) if kind.is_stream() => faults.extend([Errno::PIPE, Errno::CONNRESET]),
            Some(Kind::Pipe) => faults.push(Errno::PIPE),
            Some(Kind::File | Kind::Block) => {
                faults.extend([Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::IO]);
            }
            Some(_) => faults.push(Errno::IO),
            None => {}
        }
        faults
    }
}

fn interruptible(operation: Operation) -> bool {
    !matches!(operation, Operation::Probe | Operation::Seek | Operation::Pipe)
}

/// "Not for this pair", as kernels say it.
const NOT_FOR_THIS_PAIR: [Errno; 6] =
    [Errno::INVAL, Errno::NOSYS, Errno::XDEV, Errno::OPNOTSUPP, Errno::PERM, Errno::OVERFLOW];

/// The errors after which another route has to be taken. This says again, on purpose in other
/// words, what `errno.rs` says: the one checks the other.
fn refusals(operation: Operation) -> &'static [Errno] {
    match operation {
        Operation::Sendfile | Operation::Splice | Operation::Tee | Operation::Hole => {
            &NOT_FOR_THIS_PAIR
        }
        Operation::CopyFileRange => &[
            Errno::INVAL,
            Errno::NOSYS,
            Errno::XDEV,
            Errno::OPNOTSUPP,
            Errno::PERM,
            Errno::OVERFLOW,
            Errno::BADF,
            Errno::ISDIR,
            Errno::TXTBSY,
            // Where nothing has been copied yet; `refuses` looks at that.
            Errno::IO,
        ],
        Operation::Reflink => {
            &[Errno::OPNOTSUPP, Errno::XDEV, Errno::INVAL, Errno::NOTTY, Errno::BADF, Errno::PERM]
        }
        Operation::Pipe => &[Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::PERM, Errno::NOSYS],
        Operation::Seek => &[Errno::INVAL, Errno::NOSYS, Errno::ACCESS],
        _ => &[],
    }
}

/// Whether `errno` means that another route has to be taken. `moved`: the call has moved bytes
/// before.
pub(super) fn refuses(operation: Operation, errno: Errno, moved: bool) -> bool {
    let late = operation == Operation::CopyFileRange && errno == Errno::IO && moved;
    refusals(operation).contains(&errno) && !late
}

/// The rules and the bytes; after both a kernel in good health.
#[derive(Debug, Default)]
pub(super) struct Script {
    bytes: Vec<u8>,
    at: usize,
    rules: Vec<(Operation, u32, Answer)>,
    counts: Vec<(Operation, u32)>,
}

impl Script {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), ..Self::default() }
    }

    /// From now on the `nth` call (from 0) of `operation` is answered so, whatever the bytes say.
    pub(super) fn rule(&mut self, operation: Operation, nth: u32, answer: Answer) {
        self.rules.push((operation, nth, answer));
    }

    /// How many calls of `operation` have been answered.
    pub(super) fn count(&self, operation: Operation) -> u32 {
        self.counts.iter().find(|(counted, _)| *counted == operation).map_or(0, |(_, n)| *n)
    }

    pub(super) fn answer(&mut self, call: &Call) -> Answer {
        let nth = self.count(call.operation);
        match self.counts.iter_mut().find(|(counted, _)| *counted == call.operation) {
            Some((_, n)) => *n += 1,
            None => self.counts.push((call.operation, 1)),
        }
        let rule = |(operation, at, _): &&(Operation, u32, Answer)| {
            *operation == call.operation && *at == nth
        };
        if let Some((.., answer)) = self.rules.iter().find(rule) {
            return *answer;
        }
        self.byte().map_or(Answer::Well, |byte| call.answer(byte))
    }

    /// The next byte of script; `None` when it has run out.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }
}
