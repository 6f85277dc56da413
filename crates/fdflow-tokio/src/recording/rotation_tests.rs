use super::super::timeline::Timeline;
use super::*;

/// A file of the recording with these bytes, from `at` of the stream on.
fn segment(path: &Path, at: u64, bytes: &str) -> (Segment, Arc<Lock>) {
    let (file, lock) = open_locked(path).unwrap();
    let segment = Segment::current(Arc::clone(&file), path, &mut Timeline::at(at)).unwrap();
    segment.begin(at).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&*file, bytes.as_bytes(), 0).unwrap();
    segment.grow(at, bytes.len() as u64);
    (segment, lock)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Where the bytes of a file begin, by its index.
fn begins(path: &Path) -> Option<u64> {
    index::first(&names::index_of(path)).map(|entry| entry.at)
}

fn names_in(dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string();
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|one| name(one).unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_gets_its_number_and_another_its_name_which_is_never_free() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let (old, _lock) = segment(&path, 100, "old");
    std::fs::write(names::numbered(&path, 4), "somebody else's").unwrap();
    let rotated = rotate(&old, &path, 4, 103).unwrap();
    assert_eq!((rotated.number, old.path()), (5, names::numbered(&path, 5)));
    assert_eq!((text(&names::numbered(&path, 5)), text(&path)), ("old".into(), String::new()));
    assert_eq!(text(&names::numbered(&path, 4)), "somebody else's");
    assert_eq!((begins(&names::numbered(&path, 5)), begins(&path)), (Some(100), Some(103)));
    assert_eq!(open_locked(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_rotation_that_a_crash_interrupts_anywhere_is_undone_or_was_done() {
    for step in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.ts");
        drop(segment(&path, 100, "old"));
        let to = names::numbered(&path, 1);
        // The steps of a rotation, as far as it came.
        if step > 0 {
            File::create(&to).unwrap();
        }
        if step > 1 {
            let (mut index, _) = Index::open(&names::index_of(&to), 0).unwrap();
            index.begin(103, 0, SystemTime::now()).unwrap();
        }
        if step > 2 {
            exchange(&names::index_of(&path), &names::index_of(&to)).unwrap();
        }
        if step > 3 {
            exchange(&path, &to).unwrap();
        }
        recover(&path).unwrap();
        if step < 4 {
            assert_eq!(names_in(dir.path()), ["cam.ts", "cam.ts.index"], "step {step}");
            assert_eq!((text(&path), begins(&path)), ("old".into(), Some(100)), "step {step}");
        } else {
            assert_eq!(
                (text(&to), begins(&to), begins(&path)),
                ("old".into(), Some(100), Some(103))
            );
        }
    }
}

#[test]
fn what_somebody_else_did_to_the_names_is_gone_on_from_or_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let (old, _lock) = segment(&path, 0, "old");
    std::fs::remove_file(names::index_of(&path)).unwrap();
    let second = rotate(&old, &path, 1, 3).unwrap();
    assert_eq!(names_in(dir.path()), ["cam.000001.ts", "cam.ts", "cam.ts.index"]);
    std::fs::remove_file(&path).unwrap();
    let third = rotate(&second.segment, &path, 2, 3).unwrap();
    assert!(!third.is_kept);
    assert_eq!((text(&path), begins(&path)), (String::new(), Some(3)));
    std::fs::rename(&path, dir.path().join("moved")).unwrap();
    std::fs::write(&path, "another").unwrap();
    let error = rotate(&third.segment, &path, 3, 3).unwrap_err();
    assert!(error.to_string().contains("cam.ts: somebody put another file"), "{error}");
    assert_eq!(text(&path), "another");
}
