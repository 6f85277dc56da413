//! What a service is told: what to show, what to send along, how much to keep.

use std::io;
use std::path::Path;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::name::Name;
use crate::pattern::Pattern;
use crate::root::Root;
use crate::{Symlinks, UploadOptions};

/// How files are served. Begin with [`Options::default`] and change what should be otherwise.
///
/// ```
/// use fdflow_files::{Files, Options};
/// use http::{HeaderValue, header};
///
/// # fn main() -> std::io::Result<()> {
/// let options = Options::default()
///     .listing(false)
///     .spa(true)
///     .cache_control(HeaderValue::from_static("max-age=60"))
///     .header_for("/assets/*", header::CACHE_CONTROL, HeaderValue::from_static("immutable"));
/// let files = Files::with_options(".", options)?;
/// # let _ = files;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) listing: bool,
    pub(crate) index: Vec<String>,
    pub(crate) symlinks: Symlinks,
    pub(crate) hidden: bool,
    pub(crate) spa: bool,
    pub(crate) not_found: Option<String>,
    pub(crate) precompressed: bool,
    pub(crate) compress: bool,
    pub(crate) cache_entries: usize,
    pub(crate) cache_bytes: usize,
    pub(crate) uploads: Option<UploadOptions>,
    pub(crate) rules: Vec<Rule>,
}

/// A header for the answers whose paths are of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pattern: Pattern,
    name: HeaderName,
    value: HeaderValue,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listing: true,
            index: vec!["index.html".to_owned()],
            symlinks: Symlinks::default(),
            hidden: false,
            spa: false,
            not_found: None,
            precompressed: true,
            compress: false,
            cache_entries: 512,
            cache_bytes: 16 << 20,
            uploads: None,
            rules: Vec::new(),
        }
    }
}

impl Options {
    /// Whether a folder without an index file is listed. Default: yes.
    #[must_use]
    pub fn listing(mut self, listing: bool) -> Self {
        self.listing = listing;
        self
    }

    /// The names that stand for a folder, tried in this order. Default: `index.html`.
    #[must_use]
    pub fn index<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.index = names.into_iter().map(Into::into).collect();
        self
    }

    /// Which symbolic links are followed. Default: those that stay inside the folder.
    #[must_use]
    pub fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.symlinks = symlinks;
        self
    }

    /// Whether names that begin with a dot are served. Default: no.
    #[must_use]
    pub fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// Whether the root's index file answers for paths that are not there, with 200: for programs
    /// that run in one page. Paths with an extension in their last component get it only if the
    /// request names `text/html`, so that a missing script stays missing. Default: no.
    #[must_use]
    pub fn spa(mut self, spa: bool) -> Self {
        self.spa = spa;
        self
    }

    /// A file in the folder whose contents are the answer, with 404, for what is not there.
    #[must_use]
    pub fn not_found(mut self, path: impl Into<String>) -> Self {
        self.not_found = Some(path.into());
        self
    }

    /// Whether `a.js.br`, `a.js.zst` or `a.js.gz` is sent in place of `a.js` to those who accept
    /// it. A sibling that is older than the file itself is not. Default: yes.
    #[must_use]
    pub fn precompressed(mut self, precompressed: bool) -> Self {
        self.precompressed = precompressed;
        self
    }

    /// Whether types that get smaller by it are compressed while they are sent. Costs processor
    /// time, and neither sendfile nor ranges are to be had for these answers. Default: no.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// How many files are kept open at most, and how many bytes of small files are kept in memory
    /// with them. Files that nobody has asked for during ten to twenty seconds are closed. What is
    /// kept is never older than what a new look at the disk would find. Default: 512, 16 MiB.
    #[must_use]
    pub fn cache(mut self, files: usize, bytes: usize) -> Self {
        self.cache_entries = files;
        self.cache_bytes = bytes;
        self
    }

    /// Takes uploads: PUT, POST, and uploads in parts. Whoever can reach the service can write to
    /// the folder then. Default: none.
    #[must_use]
    pub fn uploads(mut self, uploads: UploadOptions) -> Self {
        self.uploads = Some(uploads);
        self
    }

    /// `Cache-Control` for the answers that have a file in them, or tell that it is unchanged.
    #[must_use]
    pub fn cache_control(self, value: HeaderValue) -> Self {
        self.header(CACHE_CONTROL, value)
    }

    /// A header for every answer; `Cache-Control` as [`Options::cache_control`] has it.
    #[must_use]
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.header_for("*", name, value)
    }

    /// A header for the answers whose paths are of this pattern, in which `*` stands for any
    /// text, slashes too. The path is the file's: `/a/` that is answered by its index file is
    /// `/a/index.html` here. Where several patterns fit, the last one counts.
    #[must_use]
    pub fn header_for(mut self, pattern: &str, name: HeaderName, value: HeaderValue) -> Self {
        self.rules.push(Rule { pattern: Pattern::new(pattern), name, value });
        self
    }

    /// The headers that the rules have for a path.
    pub(crate) fn add_headers(&self, path: &[u8], about_file: bool, headers: &mut HeaderMap) {
        for rule in &self.rules {
            if (rule.name == CACHE_CONTROL && !about_file) || !rule.pattern.matches(path) {
                continue;
            }
            if rule.name == http::header::VARY {
                headers.append(&rule.name, rule.value.clone());
            } else {
                headers.insert(&rule.name, rule.value.clone());
            }
        }
    }

    pub(crate) fn open(&self, dir: &Path) -> io::Result<Root> {
        for name in &self.index {
            Name::root().checked_child(name.as_bytes()).map_err(|bad| invalid(name, bad))?;
        }
        Root::new(dir, self.symlinks, self.hidden)
    }

    /// The name of the file for what is not there.
    pub(crate) fn not_found_name(&self) -> io::Result<Option<Name>> {
        let Some(path) = &self.not_found else { return Ok(None) };
        let mut name = Name::root();
        for component in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            name = name.checked_child(component.as_bytes()).map_err(|bad| invalid(path, bad))?;
        }
        Ok(Some(name))
    }
}

fn invalid(name: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}`: {why}"))
}
