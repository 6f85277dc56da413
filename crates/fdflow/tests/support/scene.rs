//! Pipes that are filled by threads of the test's own.

use std::cell::RefCell;
use std::io::{self, Write};
use std::thread::{JoinHandle, spawn};

use fdflow::{Pipe, ReadEnd};

use crate::support::Room;

/// A pipe that is being filled with `bytes`.
pub fn filled(bytes: &[u8], capacity: usize) -> ReadEnd {
    let (reader, writer) = Pipe::with_capacity(capacity).unwrap().split();
    let bytes = bytes.to_vec();
    let mut writer = io::PipeWriter::from(writer);
    // Nobody may want all of them.
    let filling = spawn(move || drop(writer.write_all(&bytes)));
    FILLING.with_borrow_mut(|threads| threads.push(filling));
    reader
}

thread_local! {
    static FILLING: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

/// A room that is left when the pipes made in it are filled or closed.
pub struct Scene {
    _room: Room,
}

pub fn enter() -> Scene {
    Scene { _room: Room::enter() }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let threads = FILLING.take();
        if !std::thread::panicking() {
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    }
}
