//! Values of flags.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use fdflow::Lag;
use fdflow_tokio::Start;

use crate::daemon::values::Span;
use crate::size;

/// Where readers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Begin {
    #[default]
    Live,
    Beginning,
    Bytes(u64),
    Time(Duration),
}

impl Begin {
    /// The same for one who comes now.
    pub(super) fn now(self) -> Start {
        match self {
            Self::Live => Start::Live,
            Self::Beginning => Start::Beginning,
            Self::Bytes(bytes) => Start::Back(bytes),
            Self::Time(time) => {
                Start::Since(SystemTime::now().checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH))
            }
        }
    }
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "live" => return Ok(Self::Live),
            "beginning" => return Ok(Self::Beginning),
            _ => {}
        }
        let wrong = || {
            format!(
                "`{text}` is no start: write live, beginning, 64M-back (bytes) or 10m-back (time)"
            )
        };
        match size_or_time(text.strip_suffix("-back").ok_or_else(wrong)?) {
            Some(Either::Size(bytes)) => Ok(Self::Bytes(bytes)),
            Some(Either::Time(time)) => Ok(Self::Time(time)),
            None => Err(wrong()),
        }
    }
}

/// A number of bytes, or a span of time.
enum Either {
    Size(u64),
    Time(Duration),
}

/// Units of time are small letters, of size large ones: `m` is minutes, and `M` or `MiB` mebibytes.
fn size_or_time(text: &str) -> Option<Either> {
    let has_large = text.bytes().any(|byte| byte.is_ascii_uppercase());
    if let (false, Ok(Span(time))) = (has_large, text.parse()) {
        return Some(Either::Time(time));
    }
    size::parse(text).ok().filter(|bytes| *bytes > 0).map(Either::Size)
}

/// When another file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotate {
    Size(u64),
    Age(Duration),
}

impl FromStr for Rotate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match size_or_time(text) {
            Some(Either::Size(bytes)) => Ok(Self::Size(bytes)),
            Some(Either::Time(time)) => Ok(Self::Age(time)),
            None => Err(format!("`{text}` is neither a size (1G) nor a duration (1h)")),
        }
    }
}

/// How much of a recording is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Files(usize),
    Bytes(u64),
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keep = match text.parse() {
            Ok(files) => Self::Files(files),
            Err(_) => Self::Bytes(size::parse(text).map_err(|_| {
                format!("`{text}` is neither a number of files (10) nor a size (10G)")
            })?),
        };
        match keep {
            Self::Files(0) | Self::Bytes(0) => {
                Err("nothing would be kept: write 1 or more".to_owned())
            }
            keep => Ok(keep),
        }
    }
}

/// What becomes of readers that lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LagPolicy {
    Block,
    Gap,
    #[default]
    Detach,
}

impl LagPolicy {
    /// The same for a fan-out.
    pub(super) fn lag(self, most: u64) -> Lag {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        match self {
            Self::Block => Lag::Block,
            Self::Gap => Lag::DropBeyond(most),
            Self::Detach => Lag::DetachBeyond(most),
        }
    }
}

impl FromStr for LagPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => Ok(Self::Block),
            "gap" => Ok(Self::Gap),
            "detach" => Ok(Self::Detach),
            _ => Err(format!("`{text}` is no policy: there are block, gap and detach")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_told_apart() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!("live".parse(), Ok(Begin::Live));
        assert_eq!("64M-back".parse(), Ok(Begin::Bytes(64 << 20)));
        assert_eq!("4096-back".parse(), Ok(Begin::Bytes(4096)));
        assert_eq!("10m-back".parse(), Ok(Begin::Time(minutes(10))));
        assert_eq!("1G".parse(), Ok(Rotate::Size(1 << 30)));
        assert_eq!("50M".parse(), Ok(Rotate::Size(50 << 20)));
        assert_eq!("1h".parse(), Ok(Rotate::Age(minutes(60))));
        assert_eq!("10".parse(), Ok(Keep::Files(10)));
        assert_eq!("10G".parse(), Ok(Keep::Bytes(10 << 30)));
        for wrong in ["", "back", "-back", "10m", "0-back", "x-back"] {
            assert!(wrong.parse::<Begin>().is_err(), "{wrong}");
        }
        assert!("0".parse::<Keep>().is_err() && "x".parse::<Keep>().is_err());
        assert!("0".parse::<Rotate>().is_err() && "drop".parse::<LagPolicy>().is_err());
    }
}
