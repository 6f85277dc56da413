//! The names of endpoints on the command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What a name on the command line refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A file, FIFO or device.
    Path(PathBuf),
    /// Standard input or output.
    Standard,
    /// A descriptor that the program was started with.
    Fd(i32),
    /// Connect to a TCP address.
    Tcp(String),
    /// Accept one TCP connection.
    TcpListen(String),
    /// Connect to a Unix socket.
    Unix(PathBuf),
    /// Accept one connection on a Unix socket.
    UnixListen(PathBuf),
}

impl Endpoint {
    /// Reads a name. Everything that is none of the other forms is a path; `./tcp://x` is one too.
    pub(crate) fn parse(name: &OsStr) -> Result<Self, String> {
        let bytes = name.as_bytes();
        if bytes == b"-" {
            return Ok(Self::Standard);
        }
        let Some(at) = bytes.windows(3).position(|part| part == b"://") else {
            if bytes.is_empty() {
                return Err("an empty name is no endpoint".to_owned());
            }
            return Ok(Self::Path(PathBuf::from(name)));
        };
        let rest = &bytes[at + 3..];
        let path = || {
            if rest.is_empty() {
                return Err("a socket path is missing after `://`".to_owned());
            }
            Ok(PathBuf::from(OsString::from_vec(rest.to_vec())))
        };
        match &bytes[..at] {
            b"fd" => fd(rest),
            b"tcp" => address(rest).map(Self::Tcp),
            b"tcp-listen" => address(rest).map(Self::TcpListen),
            b"unix" => path().map(Self::Unix),
            b"unix-listen" => path().map(Self::UnixListen),
            scheme if scheme.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-') => {
                Err(format!(
                    "unknown kind `{}://`; there are tcp://, tcp-listen://, unix://, \
                     unix-listen:// and fd:// (for a file of this name write ./{})",
                    String::from_utf8_lossy(scheme),
                    name.to_string_lossy()
                ))
            }
            _ => Ok(Self::Path(PathBuf::from(name))),
        }
    }

    /// For clap, which hands names over one by one.
    pub(crate) fn parser() -> impl clap::builder::TypedValueParser<Value = Self> {
        use clap::builder::TypedValueParser;
        clap::builder::OsStringValueParser::new().try_map(|name| Self::parse(&name))
    }
}

fn fd(number: &[u8]) -> Result<Endpoint, String> {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
    match number {
        Some(number @ 0..) => Ok(Endpoint::Fd(number)),
        _ => Err("`fd://` needs the number of an open descriptor, as in fd://3".to_owned()),
    }
}

fn address(text: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(text);
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    if port.is_some_and(|port| port.parse::<u16>().is_ok()) {
        return Ok(text.into_owned());
    }
    Err(format!("`{text}` is no address: write HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080"))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Standard => f.write_str("-"),
            Self::Fd(number) => write!(f, "fd://{number}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::TcpListen(address) => write!(f, "tcp-listen://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::UnixListen(path) => write!(f, "unix-listen://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<Endpoint, String> {
        Endpoint::parse(OsStr::new(name))
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(parse("-"), Ok(Endpoint::Standard));
        assert_eq!(parse("fd://7"), Ok(Endpoint::Fd(7)));
        assert_eq!(parse("tcp://[::1]:80"), Ok(Endpoint::Tcp("[::1]:80".into())));
        assert_eq!(parse("tcp-listen://h:0"), Ok(Endpoint::TcpListen("h:0".into())));
        assert_eq!(parse("unix:///run/x"), Ok(Endpoint::Unix("/run/x".into())));
        assert_eq!(parse("unix-listen://x"), Ok(Endpoint::UnixListen("x".into())));
        assert_eq!(parse("a:b"), Ok(Endpoint::Path("a:b".into())));
        assert_eq!(parse("./tcp://x"), Ok(Endpoint::Path("./tcp://x".into())));
        assert_eq!(
            Endpoint::parse(OsStr::from_bytes(b"\xff")),
            Ok(Endpoint::Path(OsStr::from_bytes(b"\xff").into()))
        );
    }

    #[test]
    fn wrong_names_say_what_to_write() {
        assert!(parse("tcp://localhost").unwrap_err().contains("HOST:PORT"));
        assert!(parse("tcp://:80").unwrap_err().contains("HOST:PORT"));
        assert!(parse("fd://x").unwrap_err().contains("fd://3"));
        assert!(parse("fd://-1").is_err() && parse("unix://").is_err() && parse("").is_err());
        assert!(parse("http://x/").unwrap_err().contains("unknown kind"));
    }

    #[test]
    fn a_name_is_printed_as_it_is_written() {
        for name in ["-", "fd://3", "tcp://h:1", "unix-listen:///x", "some/file"] {
            assert_eq!(parse(name).unwrap().to_string(), name);
        }
    }
}
