//! Values of flags that several commands share: read from text, on the command line as in a
//! configuration file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fdflow::Routes;
use http::HeaderValue;
use serde::de::{Deserializer, Error, Visitor};

use crate::{deny, size};

/// Reads a value from text, or from a number in the configuration file.
pub(crate) fn from_text<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err = String>,
{
    struct Text<T>(std::marker::PhantomData<T>);
    impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }
    deserializer.deserialize_any(Text(std::marker::PhantomData))
}

macro_rules! read_from_text {
    ($($name:ty)*) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::daemon::values::from_text(deserializer)
            }
        }
    )*};
}
pub(crate) use read_from_text;

read_from_text! { Size Rate Span Routing Origin }

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        size::parse(text).map(Self)
    }
}

/// Bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match size::parse(text.strip_suffix("/s").unwrap_or(text))? {
            0 => Err("a rate of nothing sends nothing: write one as 1M/s".to_owned()),
            rate => Ok(Self(rate)),
        }
    }
}

/// A duration that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(span) if !span.is_zero() => Ok(Self(span)),
            _ => Err(format!("`{text}` is no duration: write one as 500ms, 5s or 1m")),
        }
    }
}

/// Routes that are not to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Routing(pub(crate) Routes);

impl FromStr for Routing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        deny::parse(text).map(Self)
    }
}

/// An origin that may read the answers; `*` is all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(pub(crate) HeaderValue);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no origin: write it as https://example.org, or `*` for all");
        let plain = text.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', ',', ' '])
        });
        if text != "*" && !plain {
            return Err(wrong());
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates_are_read_as_people_write_them() {
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("5s".parse(), Ok(Span(Duration::from_secs(5))));
        assert_eq!("1m".parse(), Ok(Span(Duration::from_secs(60))));
        assert_eq!("64K/s".parse(), Ok(Rate(65_536)));
        assert_eq!("1M".parse(), Ok(Rate(1 << 20)));
        for wrong in ["", "5", "0s", "-1s", "five"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
        assert!("0/s".parse::<Rate>().is_err() && "1M/m".parse::<Rate>().is_err());
    }

    #[test]
    fn origins_that_could_break_an_answer_are_refused() {
        assert!(
            "https://a.example:8443".parse::<Origin>().is_ok() && "*".parse::<Origin>().is_ok()
        );
        for wrong in ["a.example", "https://", "https://a/b", "https://a, https://b", "null\n"] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong:?}");
        }
    }
}
