use proptest::prelude::*;

use super::*;

fn kept<F>(timeline: &Timeline<F>) -> u64 {
    timeline.extents.iter().map(|extent| extent.length).sum()
}

fn found(timeline: &Timeline<&'static str>, at: u64) -> String {
    match timeline.find(at) {
        Found::Bytes { file, offset, length } => format!("{file} {offset}+{length}"),
        Found::Missing { until } => format!("missing until {until}"),
        Found::End => "end".to_owned(),
    }
}

#[test]
fn bytes_are_found_where_they_were_put() {
    let (a, b) = (Arc::new("a"), Arc::new("b"));
    let mut timeline = Timeline::at(0);
    assert_eq!((found(&timeline, 0).as_str(), timeline.start()), ("end", 0));
    timeline.append(0, 10, &a, 0);
    timeline.append(10, 5, &a, 10);
    timeline.append(15, 5, &b, 0);
    assert_eq!(found(&timeline, 0), "a 0+15");
    assert_eq!(found(&timeline, 14), "a 14+1");
    assert_eq!(found(&timeline, 15), "b 0+5");
    assert_eq!((found(&timeline, 20).as_str(), timeline.end()), ("end", 20));
    timeline.append(30, 5, &b, 5);
    assert_eq!(found(&timeline, 20), "missing until 30");
    assert_eq!(found(&timeline, 31), "b 6+4");
    timeline.remove(&a);
    assert_eq!((found(&timeline, 3).as_str(), timeline.start()), ("missing until 15", 15));
}

#[test]
fn what_was_in_memory_is_in_a_file_later_in_one_piece_with_it() {
    let (disk, memory) = (Arc::new("disk"), Arc::new("memory"));
    let mut timeline = Timeline::at(0);
    timeline.append(0, 10, &disk, 0);
    timeline.append(10, 10, &memory, 0);
    timeline.move_to(10, 4, &disk, 10);
    assert_eq!(found(&timeline, 0), "disk 0+14");
    assert_eq!(found(&timeline, 14), "memory 4+6");
    timeline.move_to(14, 6, &disk, 14);
    assert_eq!((found(&timeline, 0).as_str(), kept(&timeline)), ("disk 0+20", 20));
    timeline.append(20, 1, &memory, 0);
    timeline.remove(&memory);
    assert_eq!((timeline.end(), found(&timeline, 20).as_str()), (21, "missing until 21"));
    // What was dropped meanwhile cannot be moved.
    timeline.move_to(20, 1, &disk, 20);
    assert_eq!(kept(&timeline), 20);
}

/// Something that happens to a recording.
#[derive(Debug, Clone)]
enum Event {
    /// So many bytes come, in the file with this number.
    Append(usize, u64),
    /// So many bytes of the stream are in no file.
    Miss(u64),
    /// So many of the oldest bytes of this file are in that one from now on.
    Move(usize, u64, usize),
    Remove(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..4_usize, 0..9_u64).prop_map(|(file, n)| Event::Append(file, n)),
        1 => (0..5_u64).prop_map(Event::Miss),
        2 => (0..4_usize, 1..9_u64, 0..4_usize).prop_map(|(from, n, to)| Event::Move(from, n, to)),
        1 => (0..4_usize).prop_map(Event::Remove),
    ];
    proptest::collection::vec(event, 0..60)
}

/// For each byte of the stream the file and the place in it.
type Model = Vec<Option<(usize, u64)>>;

/// How many bytes from `at` on lie one behind the other in one file.
fn run(model: &Model, at: usize) -> u64 {
    let (file, offset) = model[at].unwrap();
    let follows = |(n, place): (u64, &Option<(usize, u64)>)| *place == Some((file, offset + n));
    (0..).zip(&model[at..]).take_while(|one| follows(*one)).count() as u64
}

proptest! {
    #[test]
    fn it_is_what_a_table_of_every_byte_is(events in events()) {
        let files: Vec<_> = (0..4).map(Arc::new).collect();
        let (mut timeline, mut model, mut lengths) = (Timeline::at(0), Model::new(), [0_u64; 4]);
        for event in events {
            match event {
                Event::Append(file, n) => {
                    timeline.append(model.len() as u64, n, &files[file], lengths[file]);
                    model.extend((0..n).map(|i| Some((file, lengths[file] + i))));
                    lengths[file] += n;
                }
                Event::Miss(n) => {
                    model.extend((0..n).map(|_| None));
                    timeline.advance(model.len() as u64);
                }
                Event::Move(from, n, to) => {
                    // As it is done with memory: the oldest stretch of a file, from its beginning.
                    let Some(first) = model.iter().position(|at| at.is_some_and(|(f, _)| f == from))
                    else { continue };
                    let n = n.min(run(&model, first));
                    timeline.move_to(first as u64, n, &files[to], lengths[to]);
                    for (i, place) in (0..n).zip(&mut model[first..]) {
                        *place = Some((to, lengths[to] + i));
                    }
                    lengths[to] += n;
                }
                Event::Remove(file) => {
                    timeline.remove(&files[file]);
                    let gone = |place: &&mut Option<(usize, u64)>| place.is_some_and(|(f, _)| f == file);
                    model.iter_mut().filter(gone).for_each(|place| *place = None);
                }
            }
            prop_assert_eq!(timeline.end(), model.len() as u64);
            let first = model.iter().position(Option::is_some).unwrap_or(model.len());
            prop_assert_eq!(timeline.start(), first as u64);
            for at in 0..model.len() {
                match (timeline.find(at as u64), model[at]) {
                    (Found::Bytes { file, offset, length }, Some(place)) => {
                        prop_assert_eq!((*file, offset), place);
                        prop_assert!(length >= 1 && length <= run(&model, at));
                    }
                    (Found::Missing { until }, None) => {
                        let next = model[at..].iter().position(Option::is_some);
                        let next = next.map_or(model.len(), |next| at + next);
                        prop_assert_eq!(until, next as u64);
                    }
                    (found, place) => prop_assert!(false, "{found:?} {place:?}"),
                }
            }
            prop_assert!(matches!(timeline.find(model.len() as u64), Found::End));
        }
    }
}
