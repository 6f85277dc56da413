//! Names that are too long, folders without permission, and no descriptors left.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_thread_res_uid;

use super::{
    OpenError, Scene, Symlinks, WAYS, alone, answer_of, confine, is_root, name, root_at, runtime,
    said, skipped,
};

#[test]
fn long_names_are_too_long_and_nothing_else() {
    let scene = Scene::new();
    let longest = "n".repeat(255);
    fs::write(scene.inside(&longest), "long").unwrap();
    scene.answers(&format!("/{longest}"), "holds long");
    scene.answers(&format!("/{longest}n"), "NameTooLong");
    scene.answers(&format!("/none/{longest}n"), "NotFound");
    scene.answers(&"/n".repeat(2049), "NameTooLong");
    scene.answers(&"/n".repeat(2048), "NotFound");
}

#[test]
fn what_the_program_may_not_read_is_denied() {
    if !is_root() {
        return skipped("what_the_program_may_not_read_is_denied", "not root, to become another");
    }
    let scene = Scene::new();
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(scene.inside("sub/deep/file"), "").unwrap();
    for (path, mode) in [("file", 0), ("sub/deep", 0o711), ("sub", 0o700)] {
        fs::set_permissions(scene.inside(path), fs::Permissions::from_mode(mode)).unwrap();
        confine::on_a_thread(|| {
            let nobody = rustix::fs::Uid::from_raw(65_534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            for way in WAYS {
                let root = scene.root(way, Symlinks::Inside);
                let answers = [
                    ("file", "/file", "Denied"),
                    // Through it one may go, and read what is in it by name.
                    ("sub/deep", "/sub/deep/", "Denied"),
                    ("sub/deep", "/sub/deep/file", "holds "),
                    ("sub", "/sub/file", "Denied"),
                    ("sub", "/sub/none", "Denied"),
                ];
                for (_, uri, answer) in answers.iter().filter(|(at, ..)| *at == path) {
                    let name = name(uri);
                    assert_eq!(said(root.open_patiently(&name)), *answer, "{uri} by {way:?}");
                    assert_eq!(said(runtime().block_on(root.open(&name))), *answer);
                }
            }
        });
    }
}

#[test]
fn without_descriptors_it_says_so_and_recovers() {
    if !alone("limits::without_descriptors_it_says_so_and_recovers") {
        return;
    }
    let scene = Scene::new();
    let roots = WAYS.map(|way| scene.root(way, Symlinks::Inside));
    let limit = Rlimit { current: Some(64), maximum: Some(64) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut spent = Vec::new();
    while let Ok(fd) = rustix::io::dup(&roots[0].shared.folder) {
        spent.push(fd);
    }
    let (file, folder) = (name("/sub/file"), name("/sub/"));
    for root in &roots {
        for name in [&file, &folder] {
            let answer = root.open_patiently(name);
            assert!(matches!(answer, Err(OpenError::NoDescriptors)), "{answer:?}");
            let answer = root.try_open(name);
            assert!(matches!(answer, None | Some(Err(OpenError::NoDescriptors))), "{answer:?}");
        }
    }
    // With one it is looked at and cannot be opened; with enough all is as before.
    spent.pop();
    for root in &roots {
        let answer = root.open_patiently(&file);
        assert!(matches!(answer, Err(OpenError::NoDescriptors)), "{answer:?}");
    }
    spent.truncate(spent.len() - 8);
    for root in &roots {
        assert_eq!(said(root.open_patiently(&file)), "holds ours below");
    }
}

#[test]
fn no_answer_leaves_a_descriptor_open() {
    if !alone("limits::no_answer_leaves_a_descriptor_open") {
        return;
    }
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    let scene = Scene::new();
    scene.link("../outside/file", "out");
    scene.link("sub/../file", "in");
    rustix::fs::mkfifoat(rustix::fs::CWD, scene.inside("fifo"), rustix::fs::Mode::RUSR).unwrap();
    // What tokio keeps for the process, where anything built with it wants signals, stays open.
    drop(runtime());
    let before = count();
    for way in WAYS {
        let root = root_at(&scene.inside(""), way, Symlinks::Inside);
        for uri in ["/file", "/sub/", "/none", "/out", "/in", "/fifo", "/file/x"] {
            answer_of(&root, uri);
            drop(runtime().block_on(root.open_parent(&name(uri))));
        }
        let listed = runtime().block_on(async {
            let dir = root.open(&name("/")).await.unwrap();
            root.list(&dir).await.unwrap()
        });
        assert_eq!(listed.len(), 3, "{listed:?}");
    }
    assert_eq!(count(), before);
}
