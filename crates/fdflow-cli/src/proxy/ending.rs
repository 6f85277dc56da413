//! Why a flow ended, and who ended it.

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// Both directions came to their end.
    Done,
    /// A connection was reset, or broke.
    Reset,
    /// Nothing moved for too long.
    Idle,
    /// One direction had ended, and nothing moved in the other for too long.
    HalfClosed,
    /// It lasted too long.
    Lifetime,
    /// Somebody asked for it.
    Cut,
    /// The program ended.
    Drained,
    /// The client may not come in.
    Denied,
    /// The peer's PROXY header is not believed.
    Untrusted,
    /// What came is no PROXY header.
    BadHeader,
    /// What came is no ClientHello.
    BadHello,
    /// The PROXY header or the ClientHello did not come in time.
    HeaderTimeout,
    /// No upstream is for that name.
    NoName,
    /// No upstream could be connected to.
    NoUpstream,
    /// Too many connections are from that address.
    Crowd,
    /// The client was gone before it was connected.
    Gone,
    /// Another error.
    Error,
}

impl Why {
    pub(super) const ALL: [Self; 17] = [
        Self::Done,
        Self::Reset,
        Self::Idle,
        Self::HalfClosed,
        Self::Lifetime,
        Self::Cut,
        Self::Drained,
        Self::Denied,
        Self::Untrusted,
        Self::BadHeader,
        Self::BadHello,
        Self::HeaderTimeout,
        Self::NoName,
        Self::NoUpstream,
        Self::Crowd,
        Self::Gone,
        Self::Error,
    ];

    /// In the log and in figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Reset => "reset",
            Self::Idle => "idle-timeout",
            Self::HalfClosed => "half-closed-timeout",
            Self::Lifetime => "lifetime",
            Self::Cut => "cut",
            Self::Drained => "drained",
            Self::Denied => "denied",
            Self::Untrusted => "untrusted",
            Self::BadHeader => "bad-proxy-header",
            Self::BadHello => "bad-hello",
            Self::HeaderTimeout => "header-timeout",
            Self::NoName => "no-such-name",
            Self::NoUpstream => "no-upstream",
            Self::Crowd => "too-many-from-source",
            Self::Gone => "client-gone",
            Self::Error => "error",
        }
    }
}

/// Who.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Client,
    Upstream,
    Proxy,
}

impl Who {
    pub(super) const ALL: [Self; 3] = [Self::Client, Self::Upstream, Self::Proxy];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

/// How a flow ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) why: Why,
    pub(super) who: Who,
    /// The system's words, where there are some.
    pub(super) detail: Option<String>,
}

impl Ending {
    /// By the proxy.
    pub(super) fn refused(why: Why) -> Self {
        Self { why, who: Who::Proxy, detail: None }
    }

    pub(super) fn by(why: Why, who: Who, detail: impl ToString) -> Self {
        Self { why, who, detail: Some(detail.to_string()) }
    }
}
