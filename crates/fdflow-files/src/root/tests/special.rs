//! What is neither a file nor a folder is not there, and is never opened (H28).

use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mkfifoat, mknodat};

use super::{Scene, Symlinks, WAYS, answer_of, is_root, name, runtime, skipped};

#[test]
fn h28_fifos_sockets_and_devices_are_refused_at_once() {
    let scene = Scene::new();
    mkfifoat(CWD, scene.inside("fifo"), Mode::RUSR).unwrap();
    let _socket = UnixListener::bind(scene.inside("socket")).unwrap();
    scene.link("fifo", "link");
    scene.answers("/fifo", "Refused");
    scene.answers("/fifo/", "Refused");
    scene.answers("/socket", "Refused");
    scene.answers("/link", "Refused");
    scene.link("/dev/zero", "zero");
    scene.expect(Symlinks::Follow, "/zero", "Refused");
    if !is_root() {
        return skipped("h28_fifos_sockets_and_devices_are_refused_at_once", "devices: not root");
    }
    let device = makedev(1, 5);
    mknodat(CWD, scene.inside("device"), FileType::CharacterDevice, Mode::RUSR, device).unwrap();
    scene.answers("/device", "Refused");
}

#[test]
fn h28_whoever_waits_at_a_fifo_is_not_woken() {
    let scene = Scene::new();
    let fifo = scene.inside("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    for way in WAYS {
        let root = scene.root(way, Symlinks::Inside);
        let (begins, begun) = mpsc::channel();
        let (opened, is_opened) = mpsc::channel();
        let path = fifo.clone();
        let writer = thread::spawn(move || {
            begins.send(rustix::thread::gettid()).unwrap();
            let fd = rustix::fs::open(path, OFlags::WRONLY, Mode::empty()).unwrap();
            opened.send(()).unwrap();
            fd
        });
        wait_until_it_sleeps(begun.recv().unwrap());
        assert_eq!(answer_of(&root, "/fifo"), "Refused");
        assert!(is_opened.try_recv().is_err(), "the writer was let in by {way:?}");
        let _reader = rustix::fs::open(&fifo, OFlags::RDONLY, Mode::empty()).unwrap();
        is_opened.recv().unwrap();
        drop(writer.join().unwrap());
    }
}

/// It sleeps for nothing but the FIFO's other end.
fn wait_until_it_sleeps(thread: rustix::thread::Pid) {
    let stat = format!("/proc/self/task/{thread}/stat");
    while !std::fs::read_to_string(&stat).unwrap().contains(") S ") {
        thread::yield_now();
    }
}

#[test]
fn h28_an_upload_cannot_go_below_anything_special() {
    let scene = Scene::new();
    mkfifoat(CWD, scene.inside("fifo"), Mode::RUSR).unwrap();
    for way in WAYS {
        let root = scene.root(way, Symlinks::Inside);
        let refused = runtime().block_on(root.open_parent(&name("/fifo/new")));
        assert!(matches!(refused, Err(super::OpenError::Refused)), "{refused:?}");
    }
}
