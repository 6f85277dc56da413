//! What a folder is said to hold is what can be had from it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{FileOrFolder, Scene, Symlinks, WAYS, answer_of, name, runtime};
use crate::listing::Entry;
use crate::root::Root;

fn listed(root: &Root, uri: &str) -> Vec<Entry> {
    runtime().block_on(async {
        let dir = root.open(&name(uri)).await.unwrap();
        root.list(&dir).await.unwrap()
    })
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
}

#[test]
fn folders_come_first_with_the_exact_size_and_time_of_each_file() {
    let scene = Scene::new();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    fs::File::options().write(true).open(scene.inside("file")).unwrap().set_modified(time).unwrap();
    for way in WAYS {
        let entries = listed(&scene.root(way, Symlinks::Inside), "/");
        assert_eq!(names(&entries), ["sub", "file"]);
        assert_eq!(entries[0].kind, FileOrFolder::Folder);
        assert_eq!((entries[1].kind, entries[1].length), (FileOrFolder::File, 4));
        assert_eq!(entries[1].modified, (1_000_000_000, 123_456_789));
    }
}

#[test]
fn what_the_rules_keep_back_is_not_listed() {
    let scene = Scene::new();
    for hidden in [".hidden", "back\\slash"] {
        fs::write(scene.inside(hidden), "").unwrap();
    }
    fs::create_dir(scene.inside(".well-known")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, scene.inside("fifo"), rustix::fs::Mode::RUSR).unwrap();
    scene.link("../outside", "out");
    scene.link("none", "dangling");
    scene.link("fifo", "to_fifo");
    scene.link("../file", "sub/up");
    scene.link("sub", "in");
    for way in WAYS {
        let seen = |symlinks, uri| names(&listed(&scene.root(way, symlinks), uri));
        assert_eq!(seen(Symlinks::Never, "/"), ["sub", "file"]);
        assert_eq!(seen(Symlinks::Inside, "/"), ["in", "sub", "file"]);
        assert_eq!(seen(Symlinks::Follow, "/"), ["in", "out", "sub", "file"]);
        assert_eq!(seen(Symlinks::Never, "/sub/"), ["deep", "file"]);
        // A link that leads up, but not out.
        assert_eq!(seen(Symlinks::Inside, "/sub/"), ["deep", "file", "up"]);
        assert_eq!(seen(Symlinks::Inside, "/in/"), ["deep", "file", "up"]);
    }
    let all = Root::new(&scene.inside(""), Symlinks::Inside, true).unwrap();
    assert_eq!(names(&listed(&all, "/")), [".well-known", "in", "sub", ".hidden", "file"]);
}

#[test]
fn a_file_cannot_be_listed() {
    let scene = Scene::new();
    let root = Root::new(&scene.inside(""), Symlinks::Inside, false).unwrap();
    let answer = runtime().block_on(async {
        let file = root.open(&name("/file")).await.unwrap();
        root.list(&file).await
    });
    assert_eq!(answer.unwrap_err().kind(), std::io::ErrorKind::NotADirectory);
}

#[test]
fn a_folder_is_listed_twice_at_once_and_whole_each_time() {
    let scene = Scene::new();
    let root = Root::new(&scene.inside(""), Symlinks::Inside, false).unwrap();
    runtime().block_on(async {
        let dir = root.open(&name("/")).await.unwrap();
        let (one, other) = tokio::join!(root.list(&dir), root.list(&dir));
        assert_eq!(one.unwrap().len(), 2);
        assert_eq!(other.unwrap().len(), 2);
    });
}

/// Any name that a filesystem can hold and a URI can say.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no name", |byte| !matches!(byte, 0 | b'/' | b'\\'));
    vec(byte, 1..40).prop_filter("hidden", |name| name[0] != b'.')
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_name_is_listed_and_its_path_fetches_exactly_it(
        wanted in btree_set(any_name(), 1..8), folder in any_name(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join(OsStr::from_bytes(&folder));
        fs::create_dir(&inside).unwrap();
        for name in &wanted {
            fs::write(inside.join(OsStr::from_bytes(name)), format!("{name:?}")).unwrap();
        }
        let root = Root::new(dir.path(), Symlinks::Inside, false).unwrap();
        let above = listed(&root, "/");
        prop_assert_eq!(above.len(), 1);
        prop_assert_eq!(&above[0].name, &folder);
        let at = name("/").child(&above[0].name).as_folder();
        let entries = listed(&root, &at.to_uri());
        let found: std::collections::BTreeSet<_> =
            entries.iter().map(|entry| entry.name.clone()).collect();
        prop_assert_eq!(&found, &wanted);
        for entry in entries {
            let uri = at.child(&entry.name).to_uri();
            prop_assert!(uri.parse::<http::Uri>().is_ok(), "{}", uri);
            prop_assert_eq!(answer_of(&root, &uri), format!("holds {:?}", entry.name));
        }
    }
}
