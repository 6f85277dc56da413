//! A filesystem with one file, whose reads are answered only when the test says so: a disk that
//! is as slow as can be. It is FUSE, spoken by a thread of the test.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;

/// The lengths of the headers of requests and of answers.
const ASKED: usize = 40;
const ANSWERED: usize = 16;

const ROOT: u64 = 1;
const FILE: u64 = 2;
/// How long what was said of names and sizes stays true, in seconds.
const LONG: u64 = 1 << 30;
/// What a test that hangs may take.
const HANGS: Duration = Duration::from_secs(10);

/// What happened elsewhere on the thread that wants the file.
#[derive(Debug, Default)]
pub struct Elsewhere {
    steps: Mutex<u64>,
    more: Condvar,
}

impl Elsewhere {
    /// Another flow has moved.
    pub fn step(&self) {
        *self.steps.lock().unwrap() += 1;
        self.more.notify_all();
    }

    /// Waits for a step that begins after this; false if there is none.
    fn goes_on(&self) -> bool {
        let steps = self.steps.lock().unwrap();
        let now = *steps;
        let (_steps, waited) =
            self.more.wait_timeout_while(steps, HANGS, |steps| *steps < now + 2).unwrap();
        !waited.timed_out()
    }
}

/// The thread that is the disk; it ends when the file is closed.
pub struct Disk(JoinHandle<(u64, bool)>);

impl Disk {
    /// How many reads it answered, and whether one of these was given up since nothing went on
    /// elsewhere.
    pub fn answered(self) -> (u64, bool) {
        self.0.join().unwrap()
    }
}

/// A file of these bytes on a disk that answers a read once something else has moved.
pub fn file(bytes: Vec<u8>, elsewhere: Arc<Elsewhere>) -> io::Result<(File, Disk)> {
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let dir = tempfile::tempdir()?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let options = std::ffi::CString::new(options)?;
    mount("slow", dir.path(), "fuse", MountFlags::NOSUID | MountFlags::NODEV, &*options)?;
    let disk = std::thread::spawn(move || serve(&device, &bytes, &elsewhere));
    let file = File::open(dir.path().join("file"));
    // It goes with its last file.
    unmount(dir.path(), UnmountFlags::DETACH)?;
    Ok((file?, Disk(disk)))
}

fn serve(device: &File, bytes: &[u8], elsewhere: &Elsewhere) -> (u64, bool) {
    let (mut reads, mut stuck) = (0, false);
    let mut request = vec![0; 1 << 20];
    // Fails when the filesystem has gone.
    while let Ok(n) = (&*device).read(&mut request) {
        let request = &request[..n];
        let (operation, unique, node) =
            (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        let answer = match operation {
            FORGET | BATCH_FORGET => continue,
            INIT => Ok(init()),
            LOOKUP => Ok(entry(bytes.len())),
            GETATTR => Ok([words(&[LONG, 0]), attributes(node, bytes.len())].concat()),
            OPEN => Ok(words(&[0, 0])),
            FLUSH | RELEASE => Ok(Vec::new()),
            READ => {
                reads += 1;
                // Only the first that is stuck is waited for: a process cannot end while one of
                // its threads waits for a disk that is another.
                stuck = stuck || !elsewhere.goes_on();
                let from = usize::try_from(u64_at(request, ASKED + 8)).unwrap().min(bytes.len());
                let most = u32_at(request, ASKED + 16) as usize;
                Ok(bytes[from..(from + most).min(bytes.len())].to_vec())
            }
            _ => Err(rustix::io::Errno::NOSYS.raw_os_error()),
        };
        let (error, body) = answer.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
        let length = u32::try_from(ANSWERED + body.len()).unwrap();
        let mut reply = [length.to_ne_bytes(), error.to_ne_bytes()].concat();
        reply.extend_from_slice(&unique.to_ne_bytes());
        reply.extend_from_slice(&body);
        // A request may have been given up meanwhile.
        let _sent = (&*device).write_all(&reply).is_ok();
    }
    (reads, stuck)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn halves(halves: &[u32]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_ne_bytes()).collect()
}

/// Version 7.31, reads of up to 128 KiB ahead, and nothing else.
fn init() -> Vec<u8> {
    halves(&[7, 31, 128 << 10, 0, 0, 128 << 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn entry(length: usize) -> Vec<u8> {
    [words(&[FILE, 0, LONG, LONG, 0]), attributes(FILE, length)].concat()
}

fn attributes(node: u64, length: usize) -> Vec<u8> {
    let mode = if node == ROOT { 0o040_755 } else { 0o100_644 };
    let length = length as u64;
    [
        words(&[node, length, length.div_ceil(512), 0, 0, 0]),
        halves(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]),
    ]
    .concat()
}
