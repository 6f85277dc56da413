//! Every step by hand, and all of them together against a transcription of the text.

use std::time::Duration;

use http::header::HeaderValue;
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000;

fn current(weak: bool) -> Validators {
    Validators { tag: Tag::of_file((NOW, 0), 1, 1, weak), modified: Some(NOW), strong_date: !weak }
}

fn ours() -> String {
    current(false).tag.as_str().to_owned()
}

fn on(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap());
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn ruled(lines: &[(HeaderName, &str)]) -> Ruling {
    rule(&headers(lines), Some(&current(false)), true)
}

#[test]
fn no_condition_proceeds() {
    assert_eq!(ruled(&[]), Ruling::Proceed);
    assert_eq!(rule(&HeaderMap::new(), None, false), Ruling::Proceed);
}

#[test]
fn step_1_if_match_fails_where_no_tag_is_the_current_one() {
    assert_eq!(ruled(&[(IF_MATCH, "\"other\"")]), Ruling::Failed);
    assert_eq!(ruled(&[(IF_MATCH, &format!("\"other\", {}", ours()))]), Ruling::Proceed);
    assert_eq!(ruled(&[(IF_MATCH, "*")]), Ruling::Proceed);
    assert_eq!(rule(&headers(&[(IF_MATCH, "*")]), None, false), Ruling::Failed);
    assert_eq!(ruled(&[(IF_MATCH, &format!("W/{}", ours()))]), Ruling::Failed);
    let map = headers(&[(IF_MATCH, &ours())]);
    assert_eq!(rule(&map, Some(&current(true)), true), Ruling::Failed);
}

#[test]
fn step_2_if_unmodified_since_counts_only_without_if_match() {
    assert_eq!(ruled(&[(IF_UNMODIFIED_SINCE, &on(NOW - 1))]), Ruling::Failed);
    assert_eq!(ruled(&[(IF_UNMODIFIED_SINCE, &on(NOW))]), Ruling::Proceed);
    let both = [(IF_MATCH, &*ours()), (IF_UNMODIFIED_SINCE, &*on(NOW - 1))];
    assert_eq!(ruled(&both), Ruling::Proceed);
}

#[test]
fn step_3_if_none_match_compares_weakly_and_fails_what_is_no_reading() {
    let map = headers(&[(IF_NONE_MATCH, &format!("W/{}", ours()))]);
    assert_eq!(rule(&map, Some(&current(false)), true), Ruling::NotModified);
    assert_eq!(rule(&map, Some(&current(true)), true), Ruling::NotModified);
    assert_eq!(rule(&map, Some(&current(false)), false), Ruling::Failed);
    let star = headers(&[(IF_NONE_MATCH, "*")]);
    assert_eq!(rule(&star, Some(&current(false)), false), Ruling::Failed);
    assert_eq!(rule(&star, None, false), Ruling::Proceed);
}

#[test]
fn step_4_if_modified_since_counts_only_without_if_none_match_and_for_reading() {
    assert_eq!(ruled(&[(IF_MODIFIED_SINCE, &on(NOW))]), Ruling::NotModified);
    assert_eq!(ruled(&[(IF_MODIFIED_SINCE, &on(NOW - 1))]), Ruling::Proceed);
    let both = [(IF_NONE_MATCH, "\"other\""), (IF_MODIFIED_SINCE, &*on(NOW))];
    assert_eq!(ruled(&both), Ruling::Proceed);
    let map = headers(&[(IF_MODIFIED_SINCE, &on(NOW))]);
    assert_eq!(rule(&map, Some(&current(false)), false), Ruling::Proceed);
}

#[test]
fn a_failed_if_match_goes_before_if_none_match() {
    let both = [(IF_MATCH, "\"other\""), (IF_NONE_MATCH, &*ours())];
    assert_eq!(ruled(&both), Ruling::Failed);
    let both = [(IF_UNMODIFIED_SINCE, &*on(NOW - 1)), (IF_MODIFIED_SINCE, &*on(NOW))];
    assert_eq!(ruled(&both), Ruling::Failed);
}

#[test]
fn dates_that_cannot_be_read_or_are_several_are_ignored() {
    for name in [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
        for text in ["yesterday", "", "Sun, 99 Nov 1994 08:49:37 GMT", "1700000000"] {
            assert_eq!(ruled(&[(name.clone(), text)]), Ruling::Proceed, "{name}: {text}");
        }
    }
    let twice = [(IF_MODIFIED_SINCE, &*on(NOW)), (IF_MODIFIED_SINCE, &*on(NOW))];
    assert_eq!(ruled(&twice), Ruling::Proceed);
}

#[test]
fn the_three_forms_of_a_date_are_read() {
    for text in [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tuesday, 14-Nov-23 22:13:20 GMT",
        "Tue Nov 14 22:13:20 2023",
    ] {
        assert_eq!(date(text.as_bytes()), Some(NOW), "{text}");
    }
}

#[test]
fn h69_if_range_takes_strong_validators_only() {
    let holds = |value: &str, validators: &Validators| {
        range_may_be_answered(&headers(&[(IF_RANGE, value)]), validators)
    };
    let (strong, weak) = (current(false), current(true));
    assert!(range_may_be_answered(&HeaderMap::new(), &weak));
    assert!(holds(&ours(), &strong));
    assert!(!holds(&ours(), &weak));
    assert!(!holds(&format!("W/{}", ours()), &strong));
    assert!(!holds(weak.tag.as_str(), &weak));
    assert!(!holds("\"other\"", &strong));
    assert!(!holds(&format!("{}, {}", ours(), ours()), &strong));
    assert!(!holds("*", &strong));
}

#[test]
fn h69_an_if_range_date_must_be_the_very_one_and_strong() {
    let holds = |value: &str, validators: &Validators| {
        range_may_be_answered(&headers(&[(IF_RANGE, value)]), validators)
    };
    assert!(holds(&on(NOW), &current(false)));
    assert!(!holds(&on(NOW), &current(true)));
    assert!(!holds(&on(NOW - 1), &current(false)));
    assert!(!holds(&on(NOW + 1), &current(false)));
    assert!(!holds("yesterday", &Validators { modified: None, ..current(false) }));
}

/// A header of tags, before it is written down.
#[derive(Debug, Clone)]
enum Tags {
    Star,
    /// Which are ours, and which are weak.
    List(Vec<(bool, bool)>),
}

fn tags() -> impl Strategy<Value = Option<Tags>> {
    let list = prop::collection::vec(any::<(bool, bool)>(), 0..3).prop_map(Tags::List);
    prop::option::of(prop_oneof![Just(Tags::Star), list])
}

fn days() -> impl Strategy<Value = Option<i64>> {
    prop::option::of(-1_i64..=1)
}

fn written(tags: &Tags) -> String {
    let Tags::List(list) = tags else { return "*".to_owned() };
    let one = |(mine, weak): &(bool, bool)| {
        let opaque = if *mine { ours() } else { "\"a,b\"".to_owned() };
        if *weak { format!("W/{opaque}") } else { opaque }
    };
    list.iter().map(one).collect::<Vec<_>>().join(" , ")
}

/// The text of the RFC, step by step, on what was meant and not on what was written.
fn oracle(
    [if_match, if_none_match]: [&Option<Tags>; 2],
    [unmodified, modified]: [Option<i64>; 2],
    exists: Option<bool>,
    reading: bool,
) -> Ruling {
    let named = |tags: &Tags, strong: bool| match (tags, exists) {
        (_, None) => false,
        (Tags::Star, Some(_)) => true,
        (Tags::List(list), Some(weak)) => {
            list.iter().any(|(mine, other)| *mine && !(strong && (weak || *other)))
        }
    };
    let mut step = if if_match.is_some() { 1 } else { 2 };
    loop {
        step = match (step, if_match, if_none_match) {
            (1, Some(tags), _) if !named(tags, true) => return Ruling::Failed,
            (1, ..) => 3,
            (2, ..) if exists.is_some() && unmodified.is_some_and(|day| day < 0) => {
                return Ruling::Failed;
            }
            (2, ..) => 3,
            (3, _, Some(tags)) if named(tags, false) && reading => return Ruling::NotModified,
            (3, _, Some(tags)) if named(tags, false) => return Ruling::Failed,
            (3, _, Some(_)) => 5,
            (3, _, None) if reading => 4,
            (4, ..) if exists.is_some() && modified.is_some_and(|day| day >= 0) => {
                return Ruling::NotModified;
            }
            _ => return Ruling::Proceed,
        }
    }
}

proptest! {
    #[test]
    fn the_rulings_are_those_of_the_text(
        if_match in tags(),
        if_none_match in tags(),
        unmodified in days(),
        modified in days(),
        exists in prop::option::of(any::<bool>()),
        reading in any::<bool>(),
    ) {
        let mut map = HeaderMap::new();
        let mut add = |name, text: Option<String>| {
            if let Some(text) = text {
                map.append(name, HeaderValue::from_str(&text).unwrap());
            }
        };
        add(IF_MATCH, if_match.as_ref().map(written));
        add(IF_NONE_MATCH, if_none_match.as_ref().map(written));
        add(IF_UNMODIFIED_SINCE, unmodified.map(|day| on(NOW + day)));
        add(IF_MODIFIED_SINCE, modified.map(|day| on(NOW + day)));
        let validators = exists.map(current);
        let expected = oracle([&if_match, &if_none_match], [unmodified, modified], exists, reading);
        prop_assert_eq!(rule(&map, validators.as_ref(), reading), expected);
    }

    #[test]
    fn nothing_in_a_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
            let mut map = HeaderMap::new();
            map.insert(name, value.clone());
            let _ruling = rule(&map, Some(&current(false)), true);
            let _answered = range_may_be_answered(&map, &current(false));
        }
    }
}
