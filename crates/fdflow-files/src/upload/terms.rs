//! The terms of an upload: what may already have the name, and what the request demands of it.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use rustix::fs::{FileType, Stat};

use super::refusal::Refusal;
use super::store::Rule;
use crate::conditions::{self, Ruling, Validators};
use crate::etag::{SETTLING, Tag};

/// The preconditions that a method which writes may have.
const CONDITIONS: [HeaderName; 3] = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];

/// What must be true of what has the name.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    overwrite: bool,
    conditions: HeaderMap,
}

impl Terms {
    /// Of a request, which may be older than the program: see [`Terms::to_text`].
    pub(super) fn new(overwrite: bool, fields: &HeaderMap) -> Self {
        let mut conditions = HeaderMap::new();
        for name in CONDITIONS {
            for value in fields.get_all(&name) {
                conditions.append(&name, value.clone());
            }
        }
        Self { overwrite, conditions }
    }

    /// The preconditions, to be kept on disk.
    pub(super) fn to_text(&self) -> Vec<(String, String)> {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        self.conditions.iter().filter_map(text).collect()
    }

    /// The same terms again.
    pub(super) fn from_text(overwrite: bool, text: &[(String, String)]) -> Self {
        let mut fields = HeaderMap::new();
        for (name, value) in text {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                fields.append(name, value);
            }
        }
        Self::new(overwrite, &fields)
    }
}

impl Rule for Terms {
    fn check(&self, there: Option<&Stat>) -> Result<(), Refusal> {
        let current = there.map(validators);
        if conditions::rule(&self.conditions, current.as_ref(), false) != Ruling::Proceed {
            let reason = "what has this name is not what the request expects";
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, reason));
        }
        let Some(there) = there else { return Ok(()) };
        match FileType::from_raw_mode(there.st_mode) {
            FileType::RegularFile if self.overwrite => Ok(()),
            FileType::RegularFile => {
                Err(Refusal::conflict("a file has this name, and files are not overwritten here"))
            }
            FileType::Directory => Err(Refusal::conflict("a folder has this name")),
            _ => Err(Refusal::conflict("what has this name is no regular file")),
        }
    }
}

fn validators(stat: &Stat) -> Validators {
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let modified = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(nanoseconds);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
    let settled = now - modified >= SETTLING;
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    let time = (stat.st_mtime, nanoseconds);
    Validators {
        tag: Tag::of_file(time, length, stat.st_ino, !settled),
        modified: Some(stat.st_mtime),
        strong_date: settled,
    }
}
