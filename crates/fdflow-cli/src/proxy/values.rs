//! The values of the proxy's flags.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use fdflow_proxy::Balance;
use fdflow_proxy::Network;
use fdflow_proxy::header::Version;

use super::target::Target;
use crate::daemon::values::read_from_text;

read_from_text! { Target Balancing Speaks Peers SniRule From TapPolicy }

macro_rules! of_the_library {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) struct $name(pub(super) $inner);

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                text.parse().map(Self).map_err(|error: <$inner as FromStr>::Err| error.to_string())
            }
        }
    };
}

of_the_library! {
    /// How upstreams are chosen.
    Balancing(Balance)
}
of_the_library! {
    /// A version of the PROXY protocol.
    Speaks(Version)
}
of_the_library! {
    /// Addresses of peers.
    Peers(Network)
}

/// The address that upstream connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct From(pub(super) IpAddr);

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("`{text}` is no address of this machine: write one as 192.0.2.1");
        text.parse().map(Self).map_err(wrong)
    }
}

/// Where connections for a TLS name go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SniRule {
    pub(super) name: String,
    pub(super) to: Target,
}

impl FromStr for SniRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no rule: write NAME=ADDR, as in *.example.org=127.0.0.1:8443");
        let (name, to) =
            text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        Ok(Self { name: name.to_owned(), to: to.parse()? })
    }
}

/// What is done where a recording cannot follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TapPolicy {
    /// The flow waits for it.
    Block,
    /// The recording is left, and the flow goes on.
    #[default]
    Detach,
}

impl FromStr for TapPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => Ok(Self::Block),
            "detach" => Ok(Self::Detach),
            _ => Err(format!("`{text}` is none of block and detach")),
        }
    }
}

impl fmt::Display for SniRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.to)
    }
}
