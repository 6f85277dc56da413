//! A file that was opened and looked at: what an answer says about it, ready to be sent.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fdflow_hyper::OpenFile;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderValue};
use rustix::io::{Errno, ReadWriteFlags};

use crate::Options;
use crate::conditions::Validators;
use crate::etag::{SETTLING, Tag};
use crate::media_type::{self, SAMPLE};
use crate::multipart::Source;
use crate::name::Name;
use crate::root::{Facts, Opened};

/// Files up to this size are given as bytes, so that head and body go out in one send.
pub(crate) const SMALL: u64 = 32 << 10;

/// What an entry takes beside the contents, roughly.
const OVERHEAD: usize = 1 << 10;

/// What there is to know of a file, as long as its facts stay the same.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) facts: Facts,
    pub(crate) source: Source,
    /// Of an answer with the whole file in it.
    pub(crate) head: HeaderMap,
    pub(crate) media_type: HeaderValue,
    pub(crate) validators: Validators,
    /// Whether the answer may depend on `Accept-Encoding`.
    pub(crate) negotiable: bool,
    /// Whether it was left alone for long enough that any change shows in its facts.
    pub(crate) settled: bool,
    /// Whether another version is known to have had the same date.
    ambiguous: bool,
    /// Held open also where the contents are in memory: so its inode cannot become another
    /// file's, and looking at it never waits for a disk.
    _open: OpenFile,
}

/// Why there is no entry.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The file changed while it was looked at: look again.
    Changed,
    Failed(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Entry {
    /// Looks at an opened file. What has to wait for a disk does so on another thread.
    ///
    /// # Errors
    ///
    /// See [`Unread`].
    pub(crate) async fn read(
        name: &Name,
        opened: Opened,
        options: &Options,
        before: Option<&Self>,
    ) -> Result<Self, Unread> {
        let Opened { fd, facts, .. } = opened;
        let now = now();
        let small = facts.length <= SMALL;
        let wanted = if small { facts.length } else { facts.length.min(SAMPLE as u64) };
        let wanted = usize::try_from(wanted).unwrap_or(SAMPLE);
        let (fd, bytes) = beginning(fd, wanted, facts).await?.ok_or(Unread::Changed)?;
        let last = name.file_name().unwrap_or_default();
        let media_type = media_type::of(last, &bytes[..bytes.len().min(SAMPLE)], small);
        let open = OpenFile::with_length(File::from(fd), facts.length);
        let open = if facts.slow { open.on_slow_filesystem() } else { open };
        let source =
            if small { Source::Memory(Bytes::from(bytes)) } else { Source::File(open.clone()) };
        let age = now - nanoseconds(facts.modified);
        // The time of change counts too: whoever changes a file and sets its time back leaves no
        // other trace.
        let settled = age >= SETTLING && now - nanoseconds(facts.changed) >= SETTLING;
        let negotiable = options.precompressed && media_type::may_have_siblings(&media_type)
            || options.compress && media_type::is_compressible(&media_type);
        let ambiguous = before.is_some_and(|before| {
            before.facts.modified.0 == facts.modified.0
                && (before.facts != facts || before.ambiguous)
        });
        let validators = validators(&facts, age, ambiguous);
        let mut entry = Self {
            facts,
            source,
            head: HeaderMap::new(),
            media_type,
            validators,
            negotiable,
            settled,
            ambiguous,
            _open: open,
        };
        entry.head = entry.whole_head(name, options);
        Ok(entry)
    }

    fn whole_head(&self, name: &Name, options: &Options) -> HeaderMap {
        let mut head = HeaderMap::with_capacity(12);
        head.insert(CONTENT_TYPE, self.media_type.clone());
        head.insert(CONTENT_LENGTH, HeaderValue::from(self.facts.length));
        head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        put_validators(&self.validators, &mut head);
        if self.negotiable {
            head.insert(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
        }
        options.add_headers(&path_of(name), true, &mut head);
        head
    }

    /// What it counts for in the cache.
    pub(crate) fn cost(&self) -> usize {
        let contents = match &self.source {
            Source::Memory(bytes) => bytes.len(),
            Source::File(_) => 0,
        };
        contents + OVERHEAD
    }
}

/// The path of a name, decoded.
pub(crate) fn path_of(name: &Name) -> Vec<u8> {
    let relative: &[u8] = if name.is_root() { b"" } else { name.as_bytes() };
    let slash: &[u8] = if name.has_slash() && !name.is_root() { b"/" } else { b"" };
    [b"/", relative, slash].concat()
}

/// Puts the validators in a head in place of those that are there.
pub(crate) fn put_validators(validators: &Validators, head: &mut HeaderMap) {
    if let Ok(tag) = HeaderValue::from_str(validators.tag.as_str()) {
        head.insert(ETAG, tag);
    }
    head.remove(LAST_MODIFIED);
    let date = validators.modified.and_then(|seconds| u64::try_from(seconds).ok());
    if let Some(seconds) = date {
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        if let Ok(value) = HeaderValue::try_from(text) {
            head.insert(LAST_MODIFIED, value);
        }
    }
}

/// A file of the future has no date: `Last-Modified` must not be later than `Date`. Neither has
/// one from before 1970, as HTTP cannot say it.
///
/// The date is strong unless the name is known to have had two versions in that second, both of
/// which may have been sent with it.
fn validators(facts: &Facts, age: i128, ambiguous: bool) -> Validators {
    let weak = age < SETTLING;
    let (seconds, _) = facts.modified;
    Validators {
        tag: Tag::of_file(facts.modified, facts.length, facts.inode, weak),
        modified: (age >= 0 && seconds >= 0).then_some(seconds),
        strong_date: !weak && !ambiguous,
    }
}

/// Nanoseconds since 1970.
fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

fn nanoseconds((seconds, nanoseconds): (i64, u32)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

/// An opened file and its first bytes, at once where they are in memory, else from another thread.
/// `None` where the file is not as the facts have it any more.
async fn beginning(
    fd: OwnedFd,
    length: usize,
    facts: Facts,
) -> io::Result<Option<(OwnedFd, Vec<u8>)>> {
    let mut bytes = vec![0; length];
    if !facts.slow {
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let read = match length {
            0 => Ok(0),
            _ => rustix::io::preadv2(&fd, into, 0, ReadWriteFlags::NOWAIT),
        };
        if read == Ok(length) {
            return Ok(is_as_before(&fd, &facts)?.then_some((fd, bytes)));
        }
    }
    let reading = tokio::task::spawn_blocking(move || {
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::pread(&fd, &mut bytes[filled..], filled as u64) {
                Ok(0) => return Ok(None),
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(is_as_before(&fd, &facts)?.then_some((fd, bytes)))
    });
    reading.await?
}

/// Whether what was read is what the facts are about: nothing has changed the file meanwhile.
fn is_as_before(fd: impl AsFd, facts: &Facts) -> io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    let fraction = |nanoseconds| u32::try_from(nanoseconds).unwrap_or(0);
    Ok(u64::try_from(stat.st_size) == Ok(facts.length)
        && (stat.st_mtime, fraction(stat.st_mtime_nsec)) == facts.modified
        && (stat.st_ctime, fraction(stat.st_ctime_nsec)) == facts.changed)
}
