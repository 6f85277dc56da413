//! Names: a path below the root as the bytes that stand on disk, and its form in a URI.
//!
//! A name is decoded once, from the path of a URI, and is bytes from then on: nothing is ever
//! decoded twice, and what is not UTF-8 is a name like any other.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What stands for itself in a URI's path: RFC 3986's unreserved characters and `/`. Everything
/// else is escaped, so that no reader, attribute or shell sees anything in it.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A path below the root: components that are never empty, `.` or `..`, and hold no `/`, no `\`
/// and no NUL.
///
/// Two URIs with the same components are the same name, whichever way they were escaped; only
/// whether one ended with a slash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    /// Joined by `/`; empty for the root.
    path: Vec<u8>,
    slash: bool,
}

/// Why the path of a URI is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadName {
    /// It does not begin with `/`.
    Relative,
    /// A `%` without two hexadecimal digits.
    Escape,
    /// `..`, escaped or not.
    Parent,
    /// A component that holds `/`, `\` or NUL once it is decoded.
    Forbidden,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relative => "a path begins with a slash",
            Self::Escape => "a percent sign is followed by two hexadecimal digits",
            Self::Parent => "`..` is not allowed in a path",
            Self::Forbidden => "a name cannot hold a slash, a backslash or NUL",
        })
    }
}

impl std::error::Error for BadName {}

impl Name {
    /// The root.
    pub(crate) fn root() -> Self {
        Self { path: Vec::new(), slash: true }
    }

    /// Decodes the path of a URI, once. An empty path is the root.
    ///
    /// Empty components and `.` are dropped, as every web server and RFC 3986 §5.2.4 do: `//a/./b`
    /// is `/a/b`. Neither can lead elsewhere, and what [`Name::to_uri`] gives is always without
    /// them, so that a redirect to it never begins with `//`. `..` is refused, not resolved: no
    /// client sends it, except on purpose.
    ///
    /// # Errors
    ///
    /// See [`BadName`]: all of them are the client's.
    pub(crate) fn from_uri(path: &str) -> Result<Self, BadName> {
        Self::plain(path).map_or_else(|| Self::decoded(path), Ok)
    }

    fn decoded(path: &str) -> Result<Self, BadName> {
        if !path.is_empty() && !path.starts_with('/') {
            return Err(BadName::Relative);
        }
        let mut name = Self::root();
        for escaped in path.split('/') {
            let component = decode(escaped.as_bytes())?;
            name.slash = component.is_empty() || component == b".";
            if !name.slash {
                name.push(&component)?;
            }
        }
        Ok(name)
    }

    /// The name, where there is nothing in the path to decode, to drop or to refuse: it is most
    /// often so, and done in one pass.
    fn plain(path: &str) -> Option<Self> {
        let relative = path.strip_prefix('/')?.as_bytes();
        let mut before = b'/';
        for &byte in relative {
            match byte {
                b'%' | b'\\' | 0 => return None,
                // Nothing between two slashes, or a dot, or a hidden name: looked at with care.
                b'/' | b'.' if before == b'/' => return None,
                _ => before = byte,
            }
        }
        (before != b'/').then(|| Self { path: relative.to_vec(), slash: false })
    }

    /// Whether it is the root itself.
    pub(crate) fn is_root(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether it ended with a slash, as a folder's name should.
    pub(crate) fn has_slash(&self) -> bool {
        self.slash
    }

    /// The path relative to the root, without slashes at its ends; `.` for the root.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.path.is_empty() { b"." } else { &self.path }
    }

    /// Its components, from the root on.
    pub(crate) fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.path.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
    }

    /// The last component; the root has none.
    pub(crate) fn file_name(&self) -> Option<&[u8]> {
        self.components().last()
    }

    /// The folder that it is in; the root is in none.
    pub(crate) fn parent(&self) -> Option<Self> {
        let length = self.file_name()?.len();
        let end = self.path.len() - length;
        Some(Self { path: self.path[..end.saturating_sub(1)].to_vec(), slash: true })
    }

    /// What has this name in this folder. For names of the program's own or from a listing; one
    /// that a client has sent goes through [`Name::checked_child`].
    pub(crate) fn child(&self, name: &[u8]) -> Self {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self { path, slash: false }
    }

    /// What has this name in this folder, where it can be a name.
    ///
    /// # Errors
    ///
    /// [`BadName`] where it is empty, `.` or `..`, or holds `/`, `\` or NUL.
    pub(crate) fn checked_child(&self, name: &[u8]) -> Result<Self, BadName> {
        if name.is_empty() || name == b"." {
            return Err(BadName::Forbidden);
        }
        let mut child = Self { path: self.path.clone(), slash: false };
        child.push(name)?;
        Ok(child)
    }

    /// Its sibling whose name has this at its end: `a.js` and `.br` give `a.js.br`.
    pub(crate) fn with_suffix(&self, suffix: &[u8]) -> Self {
        let mut path = self.path.clone();
        path.extend_from_slice(suffix);
        Self { path, slash: false }
    }

    /// The same name as a folder's, with the slash.
    pub(crate) fn as_folder(&self) -> Self {
        Self { path: self.path.clone(), slash: true }
    }

    /// The absolute path of a URI that fetches exactly this.
    pub(crate) fn to_uri(&self) -> String {
        let mut uri = String::with_capacity(self.path.len() + 2);
        uri.push('/');
        uri.extend(escape(&self.path));
        if self.slash && !self.is_root() {
            uri.push('/');
        }
        uri
    }

    /// Whether any component begins with a dot. `.well-known` as the first is not hidden: it is
    /// where RFC 8615 has a site's public facts, and nothing else is ever there.
    pub(crate) fn is_hidden(&self) -> bool {
        let mut components = self.components();
        let first = components.next().is_some_and(|first| first != WELL_KNOWN && dotted(first));
        first || components.any(dotted)
    }

    fn push(&mut self, component: &[u8]) -> Result<(), BadName> {
        check(component)?;
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(component);
        Ok(())
    }
}

/// See [`Name::is_hidden`].
pub(crate) const WELL_KNOWN: &[u8] = b".well-known";

/// Whether a component is hidden by its own look.
pub(crate) fn dotted(component: &[u8]) -> bool {
    component.first() == Some(&b'.')
}

/// Whether a component that stands on disk has a URI: all do, but for those with a backslash.
pub(crate) fn can_be_asked_for(component: &[u8]) -> bool {
    check(component).is_ok()
}

/// Escapes a path or a component for a URI; slashes stay.
pub(crate) fn escape(bytes: &[u8]) -> percent_encoding::PercentEncode<'_> {
    percent_encode(bytes, ESCAPED)
}

fn check(component: &[u8]) -> Result<(), BadName> {
    if component == b".." {
        return Err(BadName::Parent);
    }
    if component.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) {
        return Err(BadName::Forbidden);
    }
    Ok(())
}

fn decode(escaped: &[u8]) -> Result<Vec<u8>, BadName> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(byte) = rest.next() {
        let byte =
            if *byte == b'%' { digit(rest.next())? << 4 | digit(rest.next())? } else { *byte };
        bytes.push(byte);
    }
    Ok(bytes)
}

fn digit(character: Option<&u8>) -> Result<u8, BadName> {
    match character {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(BadName::Escape),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn name(uri: &str) -> Name {
        Name::from_uri(uri).unwrap()
    }

    #[test]
    fn a_path_is_decoded_once() {
        assert_eq!(name("/a%20b/%C3%BC%ff").as_bytes(), b"a b/\xc3\xbc\xff");
        assert_eq!(name("/%2541").as_bytes(), b"%41");
        assert_eq!(name("/a+b").as_bytes(), b"a+b");
        assert_eq!(name("/ü").as_bytes(), "ü".as_bytes());
    }

    #[test]
    fn empty_components_and_dots_are_dropped_and_two_dots_refused() {
        for same in ["/a/b", "//a//b", "/./a/b", "/a/%2e/b"] {
            assert_eq!(name(same), name("/a/b"));
        }
        for (uri, slash) in [("/a/", true), ("/a//", true), ("/a/.", true), ("/a", false)] {
            assert_eq!((name(uri).as_bytes(), name(uri).has_slash()), (&b"a"[..], slash));
        }
        for root in ["", "/", "//", "/."] {
            assert!(name(root).is_root() && name(root).has_slash());
            assert_eq!((name(root).as_bytes(), &*name(root).to_uri()), (&b"."[..], "/"));
        }
        for up in ["/..", "/a/../b", "/%2e.", "/a/%2E%2e/"] {
            assert_eq!(Name::from_uri(up), Err(BadName::Parent));
        }
        assert_eq!(name("/...").as_bytes(), b"...");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (uri, why) in [
            ("*", BadName::Relative),
            ("a", BadName::Relative),
            ("/%", BadName::Escape),
            ("/%4", BadName::Escape),
            ("/%4/", BadName::Escape),
            ("/%+4", BadName::Escape),
            ("/%gg", BadName::Escape),
            ("/a%2fb", BadName::Forbidden),
            ("/a%2F..", BadName::Forbidden),
            ("/a\\b", BadName::Forbidden),
            ("/%5c", BadName::Forbidden),
            ("/a%00", BadName::Forbidden),
        ] {
            assert_eq!(Name::from_uri(uri), Err(why), "{uri}");
        }
    }

    #[test]
    fn a_name_has_a_parent_children_and_siblings() {
        let file = name("/a/b.js");
        assert_eq!(file.file_name(), Some(&b"b.js"[..]));
        assert_eq!(file.parent(), Some(name("/a/")));
        assert_eq!(file.parent().and_then(|a| a.parent()), Some(Name::root()));
        assert_eq!((Name::root().parent(), Name::root().file_name()), (None, None));
        assert_eq!(file.with_suffix(b".br"), name("/a/b.js.br"));
        assert_eq!(name("/a/").child(b"c"), name("/a/c"));
        assert_eq!(Name::root().child(b"c"), name("/c"));
        assert_eq!(Name::root().checked_child(b"c"), Ok(name("/c")));
        assert_eq!(name("/a").as_folder(), name("/a/"));
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\\b", b"a\0"] {
            assert!(Name::root().checked_child(bad).is_err());
        }
    }

    #[test]
    fn dots_hide_and_only_the_first_well_known_does_not() {
        for hidden in ["/.a", "/a/.b/c", "/.well-known/.a", "/a/.well-known", "/.well-known2"] {
            assert!(name(hidden).is_hidden(), "{hidden}");
        }
        for shown in ["/", "/a.b", "/a/b.", "/.well-known", "/.well-known/security.txt"] {
            assert!(!name(shown).is_hidden(), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_refused_and_a_name_fetches_itself(uri in "/?([./%a-f2\\\\ü]|%[0-9a-f]{2}){0,12}") {
            if let Ok(name) = Name::from_uri(&uri) {
                prop_assert_eq!(&Name::from_uri(&name.to_uri()), &Ok(name.clone()));
                for component in name.components() {
                    prop_assert!(check(component).is_ok() && component != b"." && !component.is_empty());
                }
            }
        }

        #[test]
        fn a_path_with_nothing_to_decode_is_the_name_that_decoding_gives(uri in "/?([./%a-c\\\\ü]|%2e|/\\.){0,8}") {
            if let Some(name) = Name::plain(&uri) {
                prop_assert_eq!(Name::decoded(&uri), Ok(name));
            }
        }

        #[test]
        fn any_bytes_that_can_be_a_name_come_back_from_its_uri(bytes in vec(any::<u8>(), 1..20)) {
            if let Ok(name) = Name::root().checked_child(&bytes) {
                let uri = name.to_uri();
                prop_assert!(uri.parse::<http::Uri>().is_ok());
                prop_assert_eq!(Name::from_uri(&uri), Ok(name));
                prop_assert!(can_be_asked_for(&bytes));
            }
        }
    }
}
