//! Where to listen.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::values::read_from_text;

/// An address as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// HOST:PORT.
    Tcp(String),
    /// A socket in the filesystem.
    Unix(PathBuf),
}

impl Address {
    /// Whether it is whatever port is free, and another one each time.
    pub(crate) fn is_any(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.ends_with(":0"))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            if path.is_empty() {
                return Err("a socket path is missing after `unix://`".to_owned());
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.parse::<u16>().is_ok() {
            return Ok(Self::Tcp(format!("127.0.0.1:{text}")));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        if port.parse::<u16>().is_err() || host.contains('/') || bare_v6 {
            return Err(format!(
                "`{text}` is no address: write 8080, 0.0.0.0:8080, [::]:8080 or unix://PATH"
            ));
        }
        let host = if host.is_empty() { "[::]" } else { host };
        Ok(Self::Tcp(format!("{host}:{port}")))
    }
}

read_from_text! { Address }

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let tcp = |address: &str| Ok(Address::Tcp(address.to_owned()));
        assert_eq!("8080".parse(), tcp("127.0.0.1:8080"));
        assert_eq!(":8080".parse(), tcp("[::]:8080"));
        assert_eq!("[::1]:0".parse(), tcp("[::1]:0"));
        assert_eq!("localhost:80".parse(), tcp("localhost:80"));
        assert_eq!("unix:///run/x".parse(), Ok(Address::Unix("/run/x".into())));
        for wrong in ["", "x", "x:", "x:99999", "::1:80x", "::1", "unix://", "http://x:80"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
