//! The `Range` header, for a stream of which some part is kept.

use std::ops::Range;

use fdflow_tokio::{Look, Recording};

/// A range as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spec {
    From(u64),
    /// Both ends included.
    Between(u64, u64),
    Last(u64),
}

/// The ranges of a header; `None`: another unit, or no list of ranges, which is as if nothing had
/// been asked for.
pub(super) fn specs(value: &[u8]) -> Option<Vec<Spec>> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, list) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let list = list.split(',').map(str::trim).filter(|spec| !spec.is_empty());
    let specs: Vec<Spec> = list.map(spec).collect::<Option<_>>()?;
    Some(specs).filter(|specs| !specs.is_empty())
}

fn spec(text: &str) -> Option<Spec> {
    let (first, last) = text.split_once('-')?;
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Spec::Last(number(last)?)),
        (false, true) => Some(Spec::From(number(first)?)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

/// Decimal digits. What is too large for 64 bits is past the end of any stream.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

impl Spec {
    /// The bytes of the recording that it comes to: what there is from its first byte on without a
    /// gap. `None`: that byte is not kept, or has not come yet.
    pub(super) fn within(self, recording: &Recording) -> Option<Range<u64>> {
        let end = recording.end();
        match self {
            Self::From(first) => there(recording, first..end),
            Self::Between(first, last) => there(recording, first..last.saturating_add(1).min(end)),
            Self::Last(bytes) => {
                let first = end.saturating_sub(bytes).max(recording.start());
                there(recording, kept_from(recording, first)..end)
            }
        }
    }
}

fn kept_from(recording: &Recording, at: u64) -> u64 {
    match recording.look(at) {
        Look::Missing { until } => until,
        _ => at,
    }
}

fn there(recording: &Recording, wanted: Range<u64>) -> Option<Range<u64>> {
    let mut at = wanted.start;
    while at < wanted.end {
        let Look::Bytes { length, .. } = recording.look(at) else { break };
        at = wanted.end.min(at + length);
    }
    (at > wanted.start).then_some(wanted.start..at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_rfc_has_them() {
        for (text, expected) in [
            ("bytes=0-9", Some(vec![Spec::Between(0, 9)])),
            ("Bytes=5-", Some(vec![Spec::From(5)])),
            ("bytes=-7", Some(vec![Spec::Last(7)])),
            ("bytes= 1-2 ,, 4-", Some(vec![Spec::Between(1, 2), Spec::From(4)])),
            ("bytes=99999999999999999999-", Some(vec![Spec::From(u64::MAX)])),
            ("bytes=2-1", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("seconds=1-2", None),
            ("bytes", None),
        ] {
            assert_eq!(specs(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_what_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stream");
        std::fs::write(&path, [0; 100]).unwrap();
        let (recording, _writer) = Recording::open(path).unwrap();
        for (spec, expected) in [
            (Spec::From(40), Some(40..100)),
            (Spec::Between(0, 0), Some(0..1)),
            (Spec::Between(90, 1000), Some(90..100)),
            (Spec::Between(0, u64::MAX), Some(0..100)),
            (Spec::Last(30), Some(70..100)),
            (Spec::Last(3000), Some(0..100)),
            (Spec::Last(0), None),
            (Spec::From(100), None),
            (Spec::Between(100, 200), None),
        ] {
            assert_eq!(spec.within(&recording), expected, "{spec:?}");
        }
    }
}
