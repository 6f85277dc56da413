//! The configuration file.

use std::path::Path;

use super::flags::Flags;

/// Reads flags from a file. The message names the key and the line that are wrong.
pub(super) fn read(path: &Path) -> Result<Flags, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("cannot read {shown}: {error}; name another file with --config")
    })?;
    parse(&text).map_err(|message| format!("{shown}{message}"))
}

fn parse(text: &str) -> Result<Flags, String> {
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
    use super::*;

    #[test]
    fn keys_are_named_like_the_flags() {
        let flags =
            parse("listen = [\"8080\"]\nmax-upload = \"2GiB\"\nhidden = true\nrate = 4096\n");
        let flags = flags.unwrap();
        assert_eq!((flags.listen.len(), flags.hidden), (1, Some(true)));
        assert_eq!(flags.max_upload.map(|size| size.0), Some(2 << 30));
        assert_eq!(flags.rate.map(|rate| rate.0), Some(4096));
    }

    #[test]
    fn what_is_wrong_is_named_by_key_and_line() {
        let message = parse("hidden = true\n\nhiden = true\n").unwrap_err();
        assert!(message.starts_with(":3:") && message.contains("`hiden`"), "{message}");
        let message = parse("spa = true\nidle-timeout = \"soon\"\n").unwrap_err();
        assert!(message.starts_with(":2: idle-timeout:") && message.contains("soon"), "{message}");
        let message = parse("auth = [\n  \"bob:x\",\n]\n").unwrap_err();
        assert!(message.contains("auth:") && message.contains("htpasswd"), "{message}");
        assert!(parse("spa = \n").unwrap_err().starts_with(":1:"));
        assert!(!parse("spa = 3\n").unwrap_err().contains('\n'));
    }
}
