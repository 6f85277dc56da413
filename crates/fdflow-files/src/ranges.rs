//! The `Range` header: which bytes of a file are asked for.

use std::ops::Range;

/// No answer has more parts; what asks for more gets the whole.
pub(crate) const MAX_PARTS: usize = 200;

/// What a `Range` header comes to for a file of some length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: the header is of no use, or of no good.
    Whole,
    /// One range, within the file, not empty.
    One(Range<u64>),
    /// Several, none of which overlaps another, in the order they were asked for.
    Many(Vec<Range<u64>>),
    /// None of the ranges is in the file: 416.
    Nothing,
}

/// Reads a `Range` header's value for a file of `length` bytes.
///
/// Another unit than bytes, and what is no list of ranges, is ignored, as the RFC has it. Ranges
/// that overlap become one. More than [`MAX_PARTS`], or together more than the file, give the
/// whole: nobody needs that, but one who wants to make a server work.
pub(crate) fn wanted(value: &[u8], length: u64) -> Wanted {
    let Some(list) = after_unit(value) else { return Wanted::Whole };
    let mut found = Vec::new();
    let mut asked = 0_usize;
    let mut sum = 0_u64;
    for spec in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if spec.is_empty() {
            continue;
        }
        let Some(spec) = Spec::read(spec) else { return Wanted::Whole };
        asked += 1;
        if asked > MAX_PARTS {
            return Wanted::Whole;
        }
        match spec.within(length) {
            // A suffix of an empty file: satisfiable, but no `Content-Range` can say so.
            Some(range) if range.is_empty() => return Wanted::Whole,
            Some(range) => {
                sum = sum.saturating_add(range.end - range.start);
                found.push(range);
            }
            None => {}
        }
    }
    match found.len() {
        0 if asked == 0 => Wanted::Whole,
        0 => Wanted::Nothing,
        _ if sum > length => Wanted::Whole,
        _ => joined(found),
    }
}

/// A range as it is asked for.
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Spec {
    fn read(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Self::Last(number(last)?)),
            (false, true) => Some(Self::From(number(first)?)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The part of it that is in the file; `None` if it is not satisfiable.
    fn within(&self, length: u64) -> Option<Range<u64>> {
        match *self {
            Self::From(first) => (first < length).then_some(first..length),
            Self::Between(first, last) => {
                (first < length).then(|| first..last.saturating_add(1).min(length))
            }
            Self::Last(0) => None,
            Self::Last(count) => Some(length.saturating_sub(count)..length),
        }
    }
}

/// What follows `bytes=`.
fn after_unit(value: &[u8]) -> Option<&[u8]> {
    let equals = value.iter().position(|byte| *byte == b'=')?;
    value[..equals].trim_ascii().eq_ignore_ascii_case(b"bytes").then(|| &value[equals + 1..])
}

/// Decimal digits. What is too large for 64 bits is past the end of any file, and so is the
/// largest number.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

/// Joins what overlaps; a joined range stands where the first of its parts stood.
fn joined(mut found: Vec<Range<u64>>) -> Wanted {
    if let [only] = found.as_slice() {
        return Wanted::One(only.clone());
    }
    let mut by_start: Vec<(usize, Range<u64>)> = found.drain(..).enumerate().collect();
    by_start.sort_by_key(|(place, range)| (range.start, *place));
    let mut parts: Vec<(usize, Range<u64>)> = Vec::with_capacity(by_start.len());
    for (place, range) in by_start {
        match parts.last_mut() {
            Some((first, last)) if range.start < last.end => {
                last.end = last.end.max(range.end);
                *first = (*first).min(place);
            }
            _ => parts.push((place, range)),
        }
    }
    parts.sort_by_key(|(place, _)| *place);
    found.extend(parts.into_iter().map(|(_, range)| range));
    match found.as_slice() {
        [only] => Wanted::One(only.clone()),
        _ => Wanted::Many(found),
    }
}

#[cfg(test)]
#[path = "ranges/tests.rs"]
mod tests;
