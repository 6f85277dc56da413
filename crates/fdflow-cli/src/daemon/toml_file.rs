//! Configuration files, and where in one something is wrong.

use std::path::Path;

use serde::de::DeserializeOwned;

/// Reads a file. The message names the line and the key that are wrong.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("cannot read {shown}: {error}; name another file with --config")
    })?;
    parse(&text).map_err(|message| format!("{shown}{message}"))
}

/// Reads text. What is wrong begins with `:LINE:`.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let message = error.message().replace('\n', " ");
        let key = error.span().and_then(|span| key(text, span.start)).unwrap_or_default();
        if key.is_empty() || message.contains(&format!("`{key}`")) {
            format!(":{line}: {message}")
        } else {
            format!(":{line}: {key}: {message}")
        }
    })
}

/// The key in the line around `at`, or before it where a list goes over several lines.
fn key(text: &str, at: usize) -> Option<&str> {
    let end = text.get(at..)?.find('\n').map_or(text.len(), |n| at + n);
    text.get(..end)?.lines().rev().find_map(|line| {
        let (key, _) = line.split_once('=')?;
        let key = key.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (!key.is_empty() && key.chars().all(plain)).then_some(key)
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::daemon::values::Span;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Keys {
        hidden: Option<bool>,
        idle_timeout: Option<Span>,
        many: Option<Vec<Span>>,
    }

    #[test]
    fn what_is_wrong_is_named_by_key_and_line() {
        let wrong = |text: &str| parse::<Keys>(text).unwrap_err();
        let message = wrong("hidden = true\n\nhiden = true\n");
        assert!(message.starts_with(":3:") && message.contains("`hiden`"), "{message}");
        let message = wrong("hidden = true\nidle-timeout = \"soon\"\n");
        assert!(message.starts_with(":2: idle-timeout:") && message.contains("soon"), "{message}");
        let message = wrong("many = [\n  \"x\",\n]\n");
        assert!(message.contains("many:") && message.contains("no duration"), "{message}");
        assert!(wrong("hidden = \n").starts_with(":1:"));
        assert!(!wrong("hidden = 3\n").contains('\n'));
        let right: Keys = parse("hidden = true\nmany = [\"1s\"]\n").unwrap();
        assert_eq!(
            (right.hidden, right.idle_timeout, right.many.map(|m| m.len())),
            (Some(true), None, Some(1))
        );
    }
}
