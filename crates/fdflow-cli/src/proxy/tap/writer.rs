//! The thread that writes: for it, and not for a flow, a disk may be slow.

use std::collections::HashMap;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::file::Memory;
use super::recording::{Recording, Turn};

/// So many are looked at at once.
const AT_ONCE: usize = 64;
/// What the pipe that tells of the end is called; recordings have numbers from 1 on.
const END: u64 = 0;

/// The thread of a tap; dropped, it ends once everything is written.
#[derive(Debug)]
pub(super) struct Writer {
    recordings: Arc<Recordings>,
    /// Closed by dropping it, of which the thread is told.
    _end: PipeWriter,
}

#[derive(Debug)]
struct Recordings {
    epoll: OwnedFd,
    open: Mutex<Open>,
    unwritten: Arc<Unwritten>,
}

#[derive(Debug, Default)]
struct Open {
    all: HashMap<u64, (Recording, Pending)>,
    last: u64,
}

impl Writer {
    pub(super) fn start(unwritten: Arc<Unwritten>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (ended, end) = io::pipe()?;
        epoll::add(&epoll, &ended, EventData::new_u64(END), EventFlags::empty())?;
        let recordings = Arc::new(Recordings { epoll, open: Mutex::default(), unwritten });
        let theirs = Arc::clone(&recordings);
        std::thread::Builder::new().name("tap".to_owned()).spawn(move || {
            if let Err(errno) = theirs.run(ended.as_fd()) {
                eprintln!("fdflow: proxy: nothing is recorded any more: {errno}");
                theirs.locked().all.clear();
            }
        })?;
        Ok(Self { recordings, _end: end })
    }

    /// Writes this one too, until its pipe ends.
    pub(super) fn add(&self, recording: Recording) -> io::Result<()> {
        let pending = Pending::new(&self.recordings.unwritten);
        let mut open = self.recordings.locked();
        open.last += 1;
        let id = open.last;
        let data = EventData::new_u64(id);
        epoll::add(&self.recordings.epoll, recording.reader(), data, EventFlags::IN)?;
        open.all.insert(id, (recording, pending));
        Ok(())
    }
}

impl Recordings {
    fn run(&self, ended: impl AsFd) -> rustix::io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(AT_ONCE);
        let (mut memory, mut is_ending) = (Memory::new(), false);
        loop {
            if is_ending && self.locked().all.is_empty() {
                return Ok(());
            }
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            for event in &events {
                match event.data.u64() {
                    END => {
                        is_ending = true;
                        epoll::delete(&self.epoll, &ended)?;
                    }
                    id => self.turn(id, &mut memory),
                }
            }
        }
    }

    /// A turn of one; others may be added meanwhile.
    fn turn(&self, id: u64, memory: &mut Memory) {
        let taken = self.locked().all.remove(&id);
        let Some((mut recording, pending)) = taken else { return };
        if recording.turn(memory) != Turn::Over {
            self.locked().all.insert(id, (recording, pending));
        }
    }

    fn locked(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many recordings of the program are not written to their end.
#[derive(Debug, Default)]
pub(in super::super) struct Unwritten {
    count: Mutex<usize>,
    fewer: Condvar,
}

impl Unwritten {
    /// Waits until there is none, for so long at most. How many there still are.
    pub(in super::super) fn wait(&self, most: Duration) -> usize {
        let waited = self.fewer.wait_timeout_while(self.locked(), most, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn locked(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
#[derive(Debug)]
struct Pending(Arc<Unwritten>);

impl Pending {
    fn new(unwritten: &Arc<Unwritten>) -> Self {
        *unwritten.locked() += 1;
        Self(Arc::clone(unwritten))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        *self.0.locked() -= 1;
        self.0.fewer.notify_all();
    }
}
