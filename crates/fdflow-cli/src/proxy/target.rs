//! Where connections are passed on to, as it is written.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An upstream, or a name under which there are some.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) place: Place,
    /// Its share of the connections, beside those of the others.
    pub(super) weight: u32,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// HOST:PORT; all addresses of the host.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
    /// A name with SRV records.
    Srv(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((place, option)) = text.split_once(",weight=") else {
            return Ok(Self { place: text.parse()?, weight: 1 });
        };
        let weight = option.parse().ok().filter(|weight| (1..=1000).contains(weight));
        let weight = weight.ok_or_else(|| {
            format!(
                "`{option}` is no weight: write a number from 1 to 1000, as in {place},weight=3"
            )
        })?;
        Ok(Self { place: place.parse()?, weight })
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            if path.is_empty() {
                return Err("a socket path is missing after `unix://`".to_owned());
            }
            return Ok(Self::Unix(path.into()));
        }
        if let Some(name) = text.strip_prefix("srv://") {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                return Err(format!(
                    "`{text}` is no SRV name: write one as srv://_http._tcp.example.org"
                ));
            }
            return Ok(Self::Srv(name.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        if !port.parse::<u16>().is_ok_and(|port| port > 0)
            || host.is_empty()
            || host.contains(['/', ',', ' '])
            || bare_v6
        {
            return Err(format!(
                "`{text}` is no upstream: write HOST:PORT, [::1]:PORT, unix://PATH or srv://NAME"
            ));
        }
        Ok(Self::Tcp(text.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Srv(name) => write!(f, "srv://{name}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        if self.weight != 1 {
            write!(f, ",weight={}", self.weight)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_printed_as_people_write_them() {
        for text in [
            "127.0.0.1:80",
            "[::1]:80",
            "db.example.org:5432,weight=3",
            "unix:///run/x.sock",
            "srv://_pg._tcp.db.local",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "x",
            "x:",
            ":80",
            "x:0",
            "x:99999",
            "::1:80",
            "unix://",
            "srv://",
            "srv://a b",
            "http://x:80",
            "x:80,weight=0",
            "x:80,weight=",
            "x:80,weight=1001",
            "x:80,wait=1",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
