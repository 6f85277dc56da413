//! Entity tags: made of a file's facts, read from requests, compared.

use std::fmt::Write as _;

/// How long a file must have been left alone before its tag is strong, in nanoseconds.
///
/// A change within the clock's step may leave no other time behind; steps are some milliseconds
/// on local filesystems, two seconds on the coarsest ones.
pub(crate) const SETTLING: i128 = 2_000_000_000;

/// An entity tag as it stands in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    text: String,
}

impl Tag {
    /// Of a file with this modification time, length and inode.
    pub(crate) fn of_file(modified: (i64, u32), length: u64, inode: u64, weak: bool) -> Self {
        let nanoseconds = i128::from(modified.0) * 1_000_000_000 + i128::from(modified.1);
        let mut text = String::with_capacity(56);
        // Writing into a string cannot fail.
        let _fits = write!(
            text,
            "{}\"{nanoseconds:x}-{length:x}-{inode:x}\"",
            if weak { "W/" } else { "" }
        );
        Self { text }
    }

    /// Of the same file in a coding made while it is sent: weak, as it may come out differently.
    pub(crate) fn coded(&self, coding: &str) -> Self {
        let opaque = self.opaque().trim_matches('"');
        Self { text: format!("W/\"{opaque}-{coding}\"") }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_weak(&self) -> bool {
        self.text.starts_with("W/")
    }

    /// With its quotes, without the mark of weakness.
    fn opaque(&self) -> &str {
        self.text.strip_prefix("W/").unwrap_or(&self.text)
    }

    /// Equal, and neither is weak.
    pub(crate) fn equals_strongly(&self, other: Given<'_>) -> bool {
        !self.is_weak() && !other.weak && self.opaque().as_bytes() == other.opaque
    }

    /// Equal, weak or not.
    pub(crate) fn equals_weakly(&self, other: Given<'_>) -> bool {
        self.opaque().as_bytes() == other.opaque
    }
}

/// A tag that a request gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given<'a> {
    pub(crate) weak: bool,
    /// With its quotes.
    pub(crate) opaque: &'a [u8],
}

/// The one tag that this text is, if it is one.
pub(crate) fn one(text: &[u8]) -> Option<Given<'_>> {
    let (tag, rest) = first(text.trim_ascii())?;
    rest.is_empty().then_some(tag)
}

/// The tags of a list. What follows a mistake is left out, as nothing can be said about it.
pub(crate) fn list(text: &[u8]) -> List<'_> {
    List { rest: text }
}

/// See [`list`].
#[derive(Debug)]
pub(crate) struct List<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for List<'a> {
    type Item = Given<'a>;

    fn next(&mut self) -> Option<Given<'a>> {
        let text = skip_gaps(self.rest);
        self.rest = &[];
        let (tag, rest) = first(text)?;
        let rest = rest.trim_ascii_start();
        if !rest.is_empty() && rest[0] != b',' {
            return None;
        }
        self.rest = rest;
        Some(tag)
    }
}

/// Past blanks and commas: lists may have empty elements.
fn skip_gaps(text: &[u8]) -> &[u8] {
    let gap = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b',')).count();
    &text[gap..]
}

/// The tag at the beginning, and what follows it.
fn first(text: &[u8]) -> Option<(Given<'_>, &[u8])> {
    let (weak, text) = match text.strip_prefix(b"W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let inner = text.strip_prefix(b"\"")?;
    let length = inner.iter().position(|byte| *byte == b'"')?;
    let legal = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff);
    if !inner[..length].iter().all(legal) {
        return None;
    }
    Some((Given { weak, opaque: &text[..length + 2] }, &inner[length + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(weak: bool, opaque: &str) -> Given<'_> {
        Given { weak, opaque: opaque.as_bytes() }
    }

    #[test]
    fn a_tag_tells_time_length_and_inode_apart() {
        let tag = Tag::of_file((1, 2), 3, 4, false);
        assert_eq!(tag.as_str(), "\"3b9aca02-3-4\"");
        for other in [((1, 3), 3, 4), ((2, 2), 3, 4), ((1, 2), 4, 4), ((1, 2), 3, 5)] {
            assert_ne!(tag, Tag::of_file(other.0, other.1, other.2, false));
        }
        let before_1970 = Tag::of_file((-1, 999_999_999), 0, 0, true);
        assert!(before_1970.is_weak() && before_1970 != Tag::of_file((-2, 0), 0, 0, true));
    }

    #[test]
    fn weak_tags_are_never_equal_strongly() {
        for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
            let tag = Tag::of_file((1, 2), 3, 4, ours);
            let given = given(theirs, "\"3b9aca02-3-4\"");
            assert_eq!(tag.equals_strongly(given), !ours && !theirs);
            assert!(tag.equals_weakly(given));
        }
    }

    #[test]
    fn a_coded_tag_is_another_and_weak() {
        let tag = Tag::of_file((1, 2), 3, 4, false).coded("gzip");
        assert_eq!(tag.as_str(), "W/\"3b9aca02-3-4-gzip\"");
        assert_eq!(Tag::of_file((1, 2), 3, 4, true).coded("gzip"), tag);
    }

    #[test]
    fn lists_are_read_with_commas_inside_tags_and_empty_elements() {
        let text = b" ,, \"a,b\" ,W/\"c\",\t\"\"";
        let tags: Vec<_> = list(text).collect();
        assert_eq!(tags, [given(false, "\"a,b\""), given(true, "\"c\""), given(false, "\"\"")]);
    }

    #[test]
    fn what_follows_a_mistake_is_left_out() {
        for text in ["abc", "\"a", "w/\"a\"", "\"a b\"", "W/ \"a\"", "*", "\"a\" \"b\""] {
            assert_eq!(list(text.as_bytes()).count(), 0, "{text}");
        }
        assert_eq!(list(b"\"a\", b, \"c\"").count(), 1);
    }

    #[test]
    fn one_tag_is_one_only() {
        assert_eq!(one(b" \"a\" "), Some(given(false, "\"a\"")));
        assert_eq!(one(b"W/\"a\""), Some(given(true, "\"a\"")));
        assert_eq!(one(b"\"a\", \"b\""), None);
        assert_eq!(one(b"a"), None);
    }
}
