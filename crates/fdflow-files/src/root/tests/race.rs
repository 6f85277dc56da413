//! Somebody moves folders and links about while names are resolved (H67).

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{OpenError, Scene, Symlinks, WAYS, name};

/// Rounds for each way and rule.
const ROUNDS: u32 = 4000;

#[test]
fn h67_a_folder_that_turns_into_a_link_is_no_way_out() {
    let scene = Scene::new();
    scene.link("../outside", "bad");
    // What is asked for is now a folder of ours, now a link to the other.
    swapping(&scene, ("sub", "bad"), |symlinks| {
        for way in WAYS {
            let root = scene.root(way, symlinks);
            let asked = name("/sub/file");
            for _ in 0..ROUNDS {
                only_ours(root.open_patiently(&asked));
                if let Some(answer) = root.try_open(&asked) {
                    only_ours(answer);
                }
            }
        }
    });
}

#[test]
fn h67_a_folder_that_is_moved_out_takes_nobody_with_it() {
    let scene = Scene::new();
    // From sub/deep the link leads to ours; from where deep is moved to, to the secret.
    scene.link("../../file", "sub/deep/up");
    std::fs::create_dir_all(scene.outside("a/deep")).unwrap();
    std::fs::write(scene.outside("file"), "secret").unwrap();
    swapping(&scene, ("sub/deep", "../outside/a/deep"), |symlinks| {
        for way in WAYS {
            let root = scene.root(way, symlinks);
            let asked = name("/sub/deep/up");
            for _ in 0..ROUNDS {
                only_ours(root.open_patiently(&asked));
                if let Some(answer) = root.try_open(&asked) {
                    only_ours(answer);
                }
            }
        }
    });
}

/// Exchanges the two without a pause while `work` runs.
fn swapping(scene: &Scene, (one, other): (&str, &str), work: impl Fn(Symlinks)) {
    let (done, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (one, other) = (scene.inside(one), scene.inside(other));
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Ends the other thread whatever comes of this one.
        let _ends = Ends(&done);
        while swaps.load(Ordering::Relaxed) < 2 {
            thread::yield_now();
        }
        for symlinks in [Symlinks::Never, Symlinks::Inside] {
            work(symlinks);
        }
    });
    assert!(swaps.into_inner() > ROUNDS, "the two were not exchanged often enough");
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn only_ours(answer: Result<super::Opened, OpenError>) {
    match answer {
        Ok(opened) => {
            let mut text = String::new();
            File::from(opened.fd).read_to_string(&mut text).unwrap();
            assert!(text.starts_with("ours"), "{text} was opened");
        }
        Err(OpenError::Refused | OpenError::NotFound) => {}
        Err(other) => panic!("{other:?}"),
    }
}
