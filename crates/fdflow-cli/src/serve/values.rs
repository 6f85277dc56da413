//! The values of flags: read from text, on the command line as in the configuration file.

use std::fmt;
use std::str::FromStr;

use http::header::{HeaderName, HeaderValue};

use crate::daemon::values::read_from_text;

read_from_text! { Header Value Credential Symlinks LogFormat }

/// A header to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header(pub(super) HeaderName, pub(super) HeaderValue);

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no header: write it as `Name: value`");
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_str(name.trim()).map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        Ok(Self(name, value))
    }
}

/// A header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value(pub(super) HeaderValue);

impl FromStr for Value {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        HeaderValue::from_str(text)
            .map(Self)
            .map_err(|_| format!("`{}` cannot stand in a header", text.escape_debug()))
    }
}

/// A user and the hash of the password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) user: String,
    pub(super) hash: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

impl FromStr for Credential {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text itself is not repeated: it may hold a password.
        let (user, hash) = text
            .split_once(':')
            .filter(|(user, hash)| !user.is_empty() && !hash.is_empty())
            .ok_or("write USER:HASH, as `htpasswd -nB USER` prints it")?;
        super::password::check_form(hash)?;
        Ok(Self { user: user.to_owned(), hash: hash.to_owned() })
    }
}

/// Which symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symlinks(pub(super) fdflow_files::Symlinks);

impl FromStr for Symlinks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// The form of the access log's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LogFormat {
    /// The combined format, and after it the duration, the route and the reason.
    #[default]
    Combined,
    /// A JSON object.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "combined" => Ok(Self::Combined),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is none of combined and json")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_could_break_an_answer_are_refused() {
        assert!("X-A: b c".parse::<Header>().is_ok());
        for wrong in ["X-A", ": b", "X A: b", "X-A: b\r\nX-B: c", "X-A: \0"] {
            assert!(wrong.parse::<Header>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_is_not_repeated_in_the_message() {
        let message = "bob:secret".parse::<Credential>().unwrap_err();
        assert!(!message.contains("secret") && message.contains("htpasswd -nB"), "{message}");
    }
}
