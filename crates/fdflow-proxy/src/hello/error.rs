//! What is wrong with a hello, for a log.

use std::error::Error;
use std::fmt;

use super::{MAX_HELLO, MAX_LENGTH};

/// Why bytes are no ClientHello.
///
/// ```
/// use fdflow_proxy::hello::server_name;
///
/// let error = server_name(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap_err();
/// assert_eq!(error.to_string(), "not TLS: it does not begin with a record of a handshake");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloError {
    /// It does not begin with a record of a TLS handshake.
    NotTls,
    /// It begins with one, and is no ClientHello.
    Malformed(HelloFault),
    /// It has, or announces, more bytes than are read of a hello.
    TooLong,
}

/// What is wrong with a hello that began well.
///
/// ```
/// use fdflow_proxy::hello::HelloFault;
///
/// let fault = HelloFault::RecordType(21);
/// assert_eq!(fault.to_string(), "a record of type 21 comes before its end");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelloFault {
    /// A record of another type comes before its end.
    RecordType(u8),
    /// A later record is of another major version than 3.
    RecordVersion(u8),
    /// A record is empty, or longer than 2¹⁴ bytes.
    RecordLength(u16),
    /// The first message of the handshake is another.
    Message(u8),
    /// Its last record has more in it.
    Trailing,
    /// It ends within the version or the random bytes.
    Short,
    /// The session id is cut, or longer than 32 bytes.
    Session,
    /// The cipher suites are cut, or none, or half of one.
    CipherSuites,
    /// The compression methods are cut, or none.
    Compression,
    /// The extensions do not end where the hello ends.
    Extensions,
    /// The list of server names is cut, or empty.
    Names,
    /// There are two server names, or two lists of them.
    TwoNames,
    /// The server name is no DNS name.
    Name,
}

impl Error for HelloError {}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => f.write_str("not TLS: it does not begin with a record of a handshake"),
            Self::Malformed(fault) => write!(f, "malformed ClientHello: {fault}"),
            Self::TooLong => write!(
                f,
                "ClientHello too long: {MAX_HELLO} bytes are read of one, {MAX_LENGTH} with the \
                 heads of its records"
            ),
        }
    }
}

impl fmt::Display for HelloFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordType(kind) => write!(f, "a record of type {kind} comes before its end"),
            Self::RecordVersion(major) => {
                write!(f, "a record of it is of major version {major}, not 3")
            }
            Self::RecordLength(length) => {
                write!(f, "a record of it has {length} bytes; 1 to 16384 are allowed")
            }
            Self::Message(kind) => write!(f, "the handshake begins with a message of type {kind}"),
            Self::Trailing => f.write_str("its last record has more in it than the hello"),
            Self::Short => f.write_str("it ends within its version or its random bytes"),
            Self::Session => f.write_str("its session id is cut, or longer than 32 bytes"),
            Self::CipherSuites => f.write_str("its cipher suites are cut, or none"),
            Self::Compression => f.write_str("its compression methods are cut, or none"),
            Self::Extensions => f.write_str("its extensions do not end where it ends"),
            Self::Names => f.write_str("its list of server names is cut, or empty"),
            Self::TwoNames => f.write_str("it has two server names"),
            Self::Name => f.write_str("its server name is no DNS name"),
        }
    }
}
