//! The PROXY protocol: what a proxy says of a connection before it passes on the first byte.
//!
//! Version 1 is a line of text, version 2 is binary. [`parse`] reads either and says how many bytes
//! it took; [`write()`] makes either. Versions 1 and 2 as HAProxy's `proxy-protocol.txt` has them.

mod error;
mod v1;
mod v2;
mod write;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

pub use error::{HeaderError, HeaderFault, VersionError};
pub use write::write;

use crate::Parsed;

/// No header that is longer than this is read, whatever length it announces: 4 KiB, as in nginx.
///
/// A version 1 line has its own bound of 107 bytes. A version 2 header with addresses takes 28, 52
/// or 232 bytes; the rest is what a proxy may add to it: names, certificates' subjects, checksums.
///
/// ```
/// use fdflow_proxy::header::{HeaderError, MAX_LENGTH, parse};
///
/// let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
/// header.extend(u16::try_from(MAX_LENGTH - 15).unwrap().to_be_bytes());
/// assert_eq!(parse(&header), Err(HeaderError::TooLong));
/// ```
pub const MAX_LENGTH: usize = 4096;

/// What a header says of the connection behind it.
///
/// ```
/// use fdflow_proxy::Parsed;
/// use fdflow_proxy::header::{Header, Place, parse};
///
/// let line = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n";
/// let Ok(Parsed::Done { value: Header::Proxied { source, .. }, .. }) = parse(line) else {
///     unreachable!("it is a header with addresses");
/// };
/// assert_eq!(source, Place::Ip("192.0.2.1:56324".parse().unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The connection's own addresses hold: the proxy speaks for itself (a health check), or does
    /// not know, or names a protocol that is no stream.
    Local,
    /// The proxy passes on somebody else's connection.
    Proxied {
        /// Who connected.
        source: Place,
        /// Where they connected to.
        destination: Place,
    },
}

/// One end of a connection.
///
/// ```
/// use fdflow_proxy::header::Place;
///
/// let client = Place::Ip("[2001:db8::1]:5000".parse().unwrap());
/// assert_eq!(client.to_string(), "[2001:db8::1]:5000");
/// assert_eq!(Place::Unix(b"/run/app.sock".to_vec()).to_string(), "unix:/run/app.sock");
/// assert_eq!(Place::Unix(b"\0app".to_vec()).to_string(), "unix:@app");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// An IP address and a port. Mapped addresses (`::ffff:192.0.2.1`) are kept as they were said.
    Ip(SocketAddr),
    /// The name of a Unix socket: a path, an abstract name with its leading zero byte, or nothing.
    Unix(Vec<u8>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(name) => match name.split_first() {
                Some((0, name)) => write!(f, "unix:@{}", name.escape_ascii()),
                _ => write!(f, "unix:{}", name.escape_ascii()),
            },
        }
    }
}

/// Which PROXY protocol.
///
/// ```
/// use fdflow_proxy::header::Version;
///
/// assert_eq!("v2".parse(), Ok(Version::V2));
/// assert_eq!(Version::V1.to_string(), "v1");
/// assert!("2".parse::<Version>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(VersionError::new(text)),
        }
    }
}

/// Reads a header of either version at the beginning of `bytes`.
///
/// Any part of a header will do: as long as what is there can still become one, the answer is
/// [`Parsed::More`], and no more than [`MAX_LENGTH`] bytes are ever asked for. Bytes after the
/// header are not looked at. What a version 2 header carries besides addresses is skipped; its
/// lengths are checked, its contents are not.
///
/// # Errors
///
/// What is wrong, as soon as it is certain. The connection should be closed: nothing says where its
/// own bytes would begin.
///
/// ```
/// use fdflow_proxy::Parsed;
/// use fdflow_proxy::header::{Header, HeaderError, Version, parse, write};
///
/// # fn main() -> Result<(), HeaderError> {
/// let local = write(Version::V2, &Header::Local);
/// assert_eq!(parse(&local)?, Parsed::Done { value: Header::Local, length: 16 });
/// assert_eq!(parse(&local[..15])?, Parsed::More);
/// assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(HeaderError::NotAHeader));
/// # Ok(())
/// # }
/// ```
pub fn parse(bytes: &[u8]) -> Result<Parsed<Header>, HeaderError> {
    if starts(bytes, v2::SIGNATURE) {
        return v2::parse(bytes);
    }
    if starts(bytes, v1::SIGNATURE) {
        return v1::parse(bytes);
    }
    Err(HeaderError::NotAHeader)
}

/// Whether `bytes` begin with the signature, as far as they go. The first byte tells the two apart.
fn starts(bytes: &[u8], signature: &[u8]) -> bool {
    let both = bytes.len().min(signature.len());
    bytes[..both] == signature[..both]
}
