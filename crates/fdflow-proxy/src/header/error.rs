//! What is wrong with a header, for a log.

use std::error::Error;
use std::fmt;

use super::{MAX_LENGTH, Version, v1};

/// Why bytes are no PROXY header.
///
/// ```
/// use fdflow_proxy::header::{HeaderError, parse};
///
/// let error = parse(b"PROXY TCP4 192.0.2.256 192.0.2.9 1 2\r\n").unwrap_err();
/// assert!(matches!(error, HeaderError::Malformed { .. }));
/// assert_eq!(
///     error.to_string(),
///     "malformed PROXY v1 header: the source is no address of the announced family"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// It begins like neither version.
    NotAHeader,
    /// It begins like one, and is none.
    Malformed {
        /// How it began.
        version: Version,
        /// What is wrong with it.
        fault: HeaderFault,
    },
    /// It has, or announces, more bytes than are read of a header.
    TooLong,
}

/// What is wrong with a header that began well.
///
/// ```
/// use fdflow_proxy::header::HeaderFault;
///
/// let fault = HeaderFault::Family(0x41);
/// assert_eq!(fault.to_string(), "its family and protocol 0x41 are not among the defined ones");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderFault {
    /// v1: a carriage return or a line feed without the other.
    LineEnd,
    /// v1: neither `TCP4` nor `TCP6` nor `UNKNOWN`.
    Protocol,
    /// v1: other than four fields with one space before each.
    Fields,
    /// v1: the source is no address of the protocol.
    Source,
    /// v1: the destination is no address of the protocol.
    Destination,
    /// v1: the source's port is no number from 0 to 65535 without leading zeros.
    SourcePort,
    /// v1: the destination's port is no number from 0 to 65535 without leading zeros.
    DestinationPort,
    /// v2: the version in the 13th byte is not 2.
    Version(u8),
    /// v2: the command is neither LOCAL nor PROXY.
    Command(u8),
    /// v2: the 14th byte names no family or no protocol that is defined.
    Family(u8),
    /// v2: it is shorter than the addresses of its family.
    Short(u16),
    /// v2: something that follows the addresses ends past the header's end.
    Extra,
}

impl Error for HeaderError {}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAHeader => f.write_str("not a PROXY header: it begins like neither v1 nor v2"),
            Self::Malformed { version, fault } => {
                write!(f, "malformed PROXY {version} header: {fault}")
            }
            Self::TooLong => write!(
                f,
                "PROXY header too long: v1 may have {} bytes, and {MAX_LENGTH} are read of a v2",
                v1::MAX_LINE
            ),
        }
    }
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineEnd => f.write_str("its line does not end in CR LF"),
            Self::Protocol => f.write_str("its protocol is not TCP4, TCP6 or UNKNOWN"),
            Self::Fields => {
                f.write_str("it has not two addresses and two ports, a space before each")
            }
            Self::Source => f.write_str("the source is no address of the announced family"),
            Self::Destination => {
                f.write_str("the destination is no address of the announced family")
            }
            Self::SourcePort => f.write_str("the source's port is no number from 0 to 65535"),
            Self::DestinationPort => {
                f.write_str("the destination's port is no number from 0 to 65535")
            }
            Self::Version(version) => write!(f, "its version is {version}, not 2"),
            Self::Command(command) => {
                write!(f, "its command {command:#x} is neither LOCAL nor PROXY")
            }
            Self::Family(family) => {
                write!(f, "its family and protocol {family:#04x} are not among the defined ones")
            }
            Self::Short(length) => {
                write!(
                    f,
                    "it announces {length} bytes, fewer than the addresses of its family take"
                )
            }
            Self::Extra => f.write_str("what follows its addresses does not end where it ends"),
        }
    }
}

/// A name of a version that is none.
///
/// ```
/// use fdflow_proxy::header::Version;
///
/// let error = "v3".parse::<Version>().unwrap_err();
/// assert_eq!(error.to_string(), "no PROXY protocol `v3`: it is v1 or v2");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionError {
    name: String,
}

impl VersionError {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

impl Error for VersionError {}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no PROXY protocol `{}`: it is v1 or v2", self.name)
    }
}
