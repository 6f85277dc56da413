//! What was found out, as the JSON output spells it.

use fdflow::{Refusal, Route};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::limits::Limits;

/// Everything that the program found out.
#[derive(Debug, serde::Serialize)]
pub(super) struct Findings {
    pub(super) kernel: String,
    pub(super) limits: Limits,
    pub(super) pairs: Vec<Pair>,
    pub(super) absent: Vec<Absent>,
}

/// What became of the bytes between two kinds of descriptors.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) from: String,
    pub(super) to: String,
    /// The route that carried most bytes; `None` where none was left.
    pub(super) route: Option<Route>,
    /// `None` where it cannot be told.
    pub(super) by: Option<By>,
    /// Every other route that the kernel or `FDFLOW_DENY` refuses.
    pub(super) refused: Vec<Refusal>,
    /// What went wrong: a transfer that failed or, worse, bytes that arrived changed.
    pub(super) failure: Option<String>,
}

/// Whether the receiver sees what is written to the source after the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    Reference,
    Copy,
}

impl By {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Copy => "copy",
        }
    }
}

/// A kind of descriptor that this machine does not have, or not at this end.
#[derive(Debug, serde::Serialize)]
pub(super) struct Absent {
    pub(super) kind: String,
    pub(super) reason: String,
}

impl Absent {
    pub(super) fn new(kind: impl Into<String>, reason: impl ToString) -> Self {
        Self { kind: kind.into(), reason: reason.to_string() }
    }
}

impl Findings {
    /// One line for everything that went wrong.
    pub(super) fn failures(&self) -> Vec<String> {
        let failed = |pair: &Pair| {
            let failure = pair.failure.as_ref()?;
            Some(format!("{} -> {}: {failure}", pair.from, pair.to))
        };
        self.pairs.iter().filter_map(failed).collect()
    }
}

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let refused: Vec<_> = self.refused.iter().map(Refused).collect();
        let mut map = to.serialize_struct("Pair", 6)?;
        map.serialize_field("from", &self.from)?;
        map.serialize_field("to", &self.to)?;
        map.serialize_field("route", &self.route.map(Route::name))?;
        map.serialize_field("by", &self.by)?;
        map.serialize_field("refused", &refused)?;
        match &self.failure {
            Some(failure) => map.serialize_field("failure", failure)?,
            None => map.skip_field("failure")?,
        }
        map.end()
    }
}

/// A refusal: its errno tells enough, and where there is none, the reason in words is added.
struct Refused<'a>(&'a Refusal);

impl Serialize for Refused<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Refusal { route, reason, .. } = self.0;
        let errno = reason.errno_name();
        let mut map = to.serialize_struct("Refused", 3)?;
        map.serialize_field("route", route.name())?;
        map.serialize_field("errno", &errno)?;
        match errno {
            None => map.serialize_field("reason", &reason.to_string())?,
            Some(_) => map.skip_field("reason")?,
        }
        map.end()
    }
}
