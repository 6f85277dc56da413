//! What became of a body: how many bytes went by which route, and why not by sendfile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fdflow::Errno;

/// Live figures of a body, to be read while it is sent and afterwards. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    sendfile: AtomicU64,
    copied: AtomicU64,
    /// A [`Why`] as a number, 0: none.
    why: AtomicU32,
}

/// Why bytes of a file went through user space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// So few bytes that to send them together with the head is cheaper.
    Small,
    /// The connection is no [`Transport`](crate::Transport) (TLS, HTTP/2, a test), or the body is
    /// polled in another task than the connection's.
    OtherTransport,
    /// The program asked for it: [`FileBody::copied`](crate::FileBody::copied).
    Asked,
    /// Sendfile is denied, by the connection's routes or by `FDFLOW_DENY`.
    Denied,
    /// The file cannot be mapped.
    NotMapped,
    /// Sendfile refused the file with this errno.
    Refused(Errno),
}

impl Delivery {
    /// Bytes that sendfile gave to the socket.
    #[must_use]
    pub fn sendfile(&self) -> u64 {
        self.shared.sendfile.load(Ordering::Relaxed)
    }

    /// Bytes of files that went through user space.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.shared.copied.load(Ordering::Relaxed)
    }

    /// Why bytes went through user space, which is [`Small`](Why::Small) only where there is no other
    /// reason; `None` where none did, or none has yet.
    #[must_use]
    pub fn why(&self) -> Option<Why> {
        Why::from_number(self.shared.why.load(Ordering::Relaxed))
    }

    pub(crate) fn add_sendfile(&self, n: usize) {
        self.shared.sendfile.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_copied(&self, n: usize, why: Why) {
        self.shared.copied.fetch_add(n as u64, Ordering::Relaxed);
        let said = &self.shared.why;
        if why == Why::Small {
            // The last piece of a large body is small too: that is not why the others were copied.
            let _first = said
                .compare_exchange(0, why.number(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        } else {
            said.store(why.number(), Ordering::Relaxed);
        }
    }
}

impl Why {
    /// Errnos lie above the numbers of the other reasons.
    const REFUSED: u32 = 16;

    fn number(self) -> u32 {
        match self {
            Self::Small => 1,
            Self::OtherTransport => 2,
            Self::Asked => 3,
            Self::Denied => 4,
            Self::NotMapped => 5,
            Self::Refused(errno) => Self::REFUSED + errno.raw_os_error().unsigned_abs(),
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Small),
            2 => Some(Self::OtherTransport),
            3 => Some(Self::Asked),
            4 => Some(Self::Denied),
            5 => Some(Self::NotMapped),
            _ => {
                let errno = number.checked_sub(Self::REFUSED)?;
                Some(Self::Refused(Errno::from_raw_os_error(i32::try_from(errno).ok()?)))
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small => f.write_str("small: sent together with its head"),
            Self::OtherTransport => f.write_str("not a connection that sendfile can be used on"),
            Self::Asked => f.write_str("the program asked for a copy"),
            Self::Denied => f.write_str("sendfile is denied"),
            Self::NotMapped => f.write_str("the file cannot be mapped"),
            Self::Refused(errno) => {
                write!(f, "sendfile refused it: {}", fdflow::sys::errno::meaning(*errno))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_being_a_number() {
        let reasons = [
            Why::Small,
            Why::OtherTransport,
            Why::Asked,
            Why::Denied,
            Why::NotMapped,
            Why::Refused(Errno::PERM),
            Why::Refused(Errno::INVAL),
        ];
        for why in reasons {
            assert_eq!(Why::from_number(why.number()), Some(why), "{why}");
        }
        assert_eq!(Why::from_number(0), None);
    }

    #[test]
    fn that_the_last_piece_is_small_hides_no_other_reason() {
        let delivery = Delivery::default();
        for (why, told) in [
            (Why::Small, Why::Small),
            (Why::Denied, Why::Denied),
            (Why::Small, Why::Denied),
            (Why::NotMapped, Why::NotMapped),
        ] {
            delivery.add_copied(10, why);
            assert_eq!(delivery.why(), Some(told));
        }
        assert_eq!(delivery.copied(), 40);
    }
}
