use proptest::prelude::*;

use super::*;

fn second(n: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + n)
}

#[test]
fn a_line_a_second_and_one_before_the_bytes_behind_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (mut index, found) = Index::open(&path, 0).unwrap();
    assert_eq!(found, Outline::default());
    index.begin(100, 0, second(0)).unwrap();
    for (at, offset, seconds) in [(100, 0, 0), (110, 10, 0), (120, 20, 1)] {
        index.begin(at, offset, second(seconds)).unwrap();
        index.note(at, offset, second(seconds)).unwrap();
    }
    index.begin(150, 30, second(1)).unwrap();
    index.note(150, 30, second(1)).unwrap();
    index.note(160, 40, second(5)).unwrap();
    let by = |time| index.at(time).unwrap().map(|entry| entry.at);
    assert_eq!(
        [by(second(0)), by(second(1)), by(second(4)), by(second(9))].map(Option::unwrap),
        [100, 150, 150, 160]
    );
    assert_eq!(by(SystemTime::UNIX_EPOCH), None);
    assert_eq!(at(&path, 4, second(4)).unwrap().map(|entry| entry.at), Some(150));
    assert_eq!(first(&path).map(|entry| (entry.at, entry.offset)), Some((100, 0)));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().all(|line| line.len() == LINE - 1), "{text}");
    assert_eq!(text.lines().count(), 5);
    assert!(text.ends_with("2027-01-15T08:00:05.000Z 00000000000000000160 00000000000000000040\n"));
    let (_, outline) = Index::open(&path, 40).unwrap();
    let places: Vec<_> = outline.stretches.iter().map(|entry| (entry.at, entry.offset)).collect();
    assert_eq!((places, outline.born), (vec![(100, 0), (150, 30)], Some(second(0))));
}

#[test]
fn what_is_torn_wrong_or_beyond_the_file_is_taken_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (mut index, _) = Index::open(&path, 0).unwrap();
    for n in 0..4 {
        index.note(n * 10, n * 10, second(n)).unwrap();
    }
    drop(index);
    let whole = std::fs::read(&path).unwrap();
    let reopened = |text: &[u8], length| {
        std::fs::write(&path, text).unwrap();
        let (index, found) = Index::open(&path, length).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), LENGTH * (1 + found.entries));
        assert!(std::fs::read(&path).unwrap().starts_with(HEAD.as_bytes()));
        drop(index);
        found.entries
    };
    assert_eq!(reopened(&whole, 30), 4);
    assert_eq!(reopened(&whole, 29), 3);
    assert_eq!(reopened(&whole[..whole.len() - 1], 30), 3);
    let mut wrong = whole.clone();
    wrong[LINE * 2 + 30] = b'x';
    assert_eq!(reopened(&wrong, 30), 1);
    assert_eq!(reopened(b"", 30), 0);
    assert_eq!(reopened(&whole[..20], 30), 0, "a torn head");
    assert_eq!(reopened(&[0; 100], 30), 0, "nothing but zeros");
}

#[test]
fn a_file_that_is_no_index_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts.index");
    let notes =
        "what somebody wrote of the camera, in a file that happens to be called so, and long";
    std::fs::write(&path, notes).unwrap();
    let error = Index::open(&path, 1000).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("cam.ts.index"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(Index::open(&path, 0).unwrap_err().to_string().contains("cam.ts.index"));
}

#[test]
fn a_clock_that_is_set_back_keeps_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut index, _) = Index::open(&dir.path().join("index"), 0).unwrap();
    index.begin(0, 0, second(100)).unwrap();
    index.begin(20, 10, second(50)).unwrap();
    assert_eq!(index.at(second(100)).unwrap().unwrap().at, 20);
    assert_eq!(index.at(second(99)).unwrap(), None);
}

#[test]
fn a_clock_that_is_far_out_is_written_as_well_as_a_line_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (mut index, _) = Index::open(&path, 0).unwrap();
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    let after = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST + 5);
    index.note(0, 0, before).unwrap();
    index.note(10, 10, after).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("\n1970-01-01T00:00:00.000Z ") && text.contains("\n9999-12-31T23:59:59.")
    );
    assert_eq!(Index::open(&path, 10).unwrap().1.entries, 2);
}

#[test]
fn a_line_that_cannot_be_written_is_tried_again_a_second_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    drop(Index::open(&path, 0).unwrap());
    let file = File::open(&path).unwrap();
    let mut index = Index { file, entries: 0, last: None, tried: None };
    assert!(index.begin(0, 0, second(0)).is_err(), "it is not open for writing");
    assert!(index.begin(0, 0, second(0)).is_err(), "what must be told is not put off");
    assert!(index.note(1, 1, second(0)).is_ok(), "this may be put off");
    assert!(index.note(1, 1, second(1)).is_err());
    assert_eq!((index.entries, index.last), (0, None));
}

/// Lines of every kind: right ones in some order, and others.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![9 => 0..50_u64, 1 => Just(u64::MAX), 1 => Just(MOST - 100)];
    let right = (0..50_u64, number.clone(), number).prop_map(|(time, at, offset)| {
        Entry { time: second(time), at, offset }.line().into_bytes()
    });
    let wrong = proptest::collection::vec(any::<u8>(), 0..80);
    let lines = proptest::collection::vec(prop_oneof![8 => right, 1 => wrong], 0..12);
    (any::<bool>(), lines).prop_map(|(with_head, lines)| {
        let head = if with_head { format!("{HEAD:<66}\n") } else { String::new() };
        [head.into_bytes(), lines.concat()].concat()
    })
}

proptest! {
    #[test]
    fn whatever_is_in_an_index_what_is_taken_of_it_is_in_order(
        text in text(), length in 0..60_u64, cut in any::<proptest::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        std::fs::write(&path, &text[..cut.index(text.len() + 1)])?;
        let Ok((index, outline)) = Index::open(&path, length) else { return Ok(()) };
        drop(index);
        let kept = std::fs::read(&path)?;
        let head = format!("{HEAD:<66}\n");
        prop_assert!(kept.starts_with(head.as_bytes()));
        let all: Vec<_> = kept.chunks(LINE).skip(1).map(|line| Entry::parse(line).unwrap()).collect();
        prop_assert_eq!(all.len() as u64, outline.entries);
        for pair in all.windows(2) {
            prop_assert!(pair[0].time <= pair[1].time && pair[0].offset <= pair[1].offset);
            prop_assert!(pair[0].at - pair[0].offset <= pair[1].at - pair[1].offset);
        }
        prop_assert!(all.iter().all(|entry| entry.offset <= length && entry.at <= MOST));
        // It can be gone on with, and is the same when it is opened again.
        let (mut index, again) = Index::open(&path, length).unwrap();
        prop_assert_eq!(&again, &outline);
        let at = outline.last.map_or(0, |last| last.ahead()) + length + 7;
        index.begin(at, length, second(20)).unwrap();
        index.note(at, length, second(90)).unwrap();
        prop_assert!(Index::open(&path, length).unwrap().1.entries > outline.entries);
        for entry in &all {
            prop_assert!(index.at(entry.time).unwrap().unwrap().time <= entry.time);
        }
    }
}
