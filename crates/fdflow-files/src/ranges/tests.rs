//! By hand what the RFC shows, the rest against sets of bytes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn of(text: &str, length: u64) -> Wanted {
    wanted(text.as_bytes(), length)
}

fn many(ranges: &[Range<u64>]) -> Wanted {
    Wanted::Many(ranges.to_vec())
}

#[test]
fn single_suffix_and_open_ranges() {
    assert_eq!(of("bytes=0-499", 10_000), Wanted::One(0..500));
    assert_eq!(of("bytes=500-999", 10_000), Wanted::One(500..1000));
    assert_eq!(of("bytes=-500", 10_000), Wanted::One(9500..10_000));
    assert_eq!(of("bytes=9500-", 10_000), Wanted::One(9500..10_000));
    assert_eq!(of("bytes=9999-20000", 10_000), Wanted::One(9999..10_000));
    assert_eq!(of("bytes=-20000", 10_000), Wanted::One(0..10_000));
    assert_eq!(of("Bytes=0-0", 10_000), Wanted::One(0..1));
}

#[test]
fn several_ranges_keep_their_order() {
    assert_eq!(of("bytes=0-0,-1", 10_000), many(&[0..1, 9999..10_000]));
    assert_eq!(of("bytes= 50-59 ,\t10-19,, 30-39", 100), many(&[50..60, 10..20, 30..40]));
}

#[test]
fn ranges_that_touch_stay_apart_and_those_that_overlap_become_one() {
    assert_eq!(of("bytes=0-4,5-9", 100), many(&[0..5, 5..10]));
    assert_eq!(of("bytes=0-5,5-9", 100), Wanted::One(0..10));
    assert_eq!(of("bytes=20-29,0-4,3-9,25-34", 100), many(&[20..35, 0..10]));
}

#[test]
fn what_is_past_the_end_is_left_out_and_nothing_else_is_416() {
    assert_eq!(of("bytes=0-1,200-300", 100), Wanted::One(0..2));
    for text in ["bytes=100-", "bytes=100-100", "bytes=-0", "bytes=200-,-0"] {
        assert_eq!(of(text, 100), Wanted::Nothing, "{text}");
    }
    assert_eq!(of("bytes=0-", 0), Wanted::Nothing);
    assert_eq!(of("bytes=-5", 0), Wanted::Whole);
}

#[test]
fn what_is_no_list_of_byte_ranges_is_ignored() {
    for text in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes=1 -2",
        "items=0-1",
        "0-1",
        "bytes=0-1,x",
        "bytes=--1",
    ] {
        assert_eq!(of(text, 100), Wanted::Whole, "{text}");
    }
}

#[test]
fn numbers_without_bound_are_past_the_end() {
    let huge = "9".repeat(400);
    assert_eq!(of(&format!("bytes=5-{huge}"), 100), Wanted::One(5..100));
    assert_eq!(of(&format!("bytes=-{huge}"), 100), Wanted::One(0..100));
    assert_eq!(of(&format!("bytes={huge}-"), 100), Wanted::Nothing);
    assert_eq!(of("bytes=0-18446744073709551615", u64::MAX), Wanted::One(0..u64::MAX));
}

#[test]
fn h68_more_than_200_parts_give_the_whole() {
    let list = |count: u64| {
        let specs: Vec<String> = (0..count).map(|i| format!("{}-{}", 10 * i, 10 * i)).collect();
        format!("bytes={}", specs.join(","))
    };
    assert!(matches!(of(&list(200), 1 << 20), Wanted::Many(parts) if parts.len() == 200));
    assert_eq!(of(&list(201), 1 << 20), Wanted::Whole);
    assert_eq!(of(&format!("bytes={}", "0-0,".repeat(201)), 1 << 20), Wanted::Whole);
}

#[test]
fn h68_more_than_the_file_together_gives_the_whole() {
    assert_eq!(of("bytes=0-,0-", 100), Wanted::Whole);
    assert_eq!(of("bytes=0-59,40-99", 100), Wanted::Whole);
    assert_eq!(of("bytes=0-59,60-99", 100), many(&[0..60, 60..100]));
}

/// One range, before it is written down.
#[derive(Debug, Clone)]
enum Asked {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Asked {
    fn written(&self) -> String {
        match self {
            Self::From(first) => format!("{first}-"),
            Self::Between(first, last) => format!("{first}-{last}"),
            Self::Last(count) => format!("-{count}"),
        }
    }

    /// Byte by byte.
    fn bytes(&self, length: u64) -> BTreeSet<u64> {
        let is_in = |at: &u64| match *self {
            Self::From(first) => first <= *at,
            Self::Between(first, last) => first <= *at && *at <= last,
            Self::Last(count) => length - at <= count,
        };
        (0..length).filter(is_in).collect()
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        (0_u64..80).prop_map(Asked::From),
        (0_u64..80, 0_u64..12).prop_map(|(first, more)| Asked::Between(first, first + more)),
        (0_u64..80).prop_map(Asked::Last),
    ]
}

proptest! {
    #[test]
    fn the_bytes_given_are_the_bytes_asked_for(
        specs in prop::collection::vec(asked(), 1..6),
        length in 1_u64..64,
    ) {
        let text: Vec<String> = specs.iter().map(Asked::written).collect();
        let sets: Vec<BTreeSet<u64>> = specs.iter().map(|spec| spec.bytes(length)).collect();
        let union: BTreeSet<u64> = sets.iter().flatten().copied().collect();
        let sum: usize = sets.iter().map(BTreeSet::len).sum();
        let ranges = match of(&format!("bytes={}", text.join(",")), length) {
            Wanted::Whole => {
                prop_assert!(sum as u64 > length);
                return Ok(());
            }
            Wanted::Nothing => {
                prop_assert!(union.is_empty());
                return Ok(());
            }
            Wanted::One(range) => vec![range],
            Wanted::Many(ranges) => {
                prop_assert!(ranges.len() > 1);
                ranges
            }
        };
        prop_assert!(sum as u64 <= length);
        prop_assert!(ranges.iter().all(|range| !range.is_empty() && range.end <= length));
        let given: Vec<u64> = ranges.iter().cloned().flatten().collect();
        let set: BTreeSet<u64> = given.iter().copied().collect();
        prop_assert_eq!(set.len(), given.len(), "a byte is given twice");
        prop_assert_eq!(&set, &union);
        let place = |range: &Range<u64>| sets.iter().position(|set| {
            set.first().is_some_and(|first| range.contains(first))
        });
        prop_assert!(ranges.iter().map(place).is_sorted());
    }

    #[test]
    fn nothing_in_a_range_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), length: u64) {
        let mut value = b"bytes=".to_vec();
        value.extend(bytes);
        let _wanted = wanted(&value, length);
    }
}
