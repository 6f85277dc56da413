//! Waiting for what another thread does, with an end to all patience.

use std::ffi::c_long;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{spawn, yield_now};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::thread::{ClockId, Pid};

/// What no test takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the process if it is not dropped in time: a hang is told, with the test's name.
pub struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    pub fn start() -> Self {
        let (alive, gone) = channel();
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        spawn(move || {
            if gone.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // Past the capture of a test's output, which would be lost.
                let _told = writeln!(std::io::stderr(), "{test} hangs");
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}

/// Waits until it is so.
pub fn until(what: &str, mut it_is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !it_is_so() {
        assert!(began.elapsed() < PATIENCE / 4, "waited in vain until {what}");
        yield_now();
    }
}

/// Waits until an end is ready.
pub fn until_ready(fd: impl AsFd, what: PollFlags) {
    rustix::event::poll(&mut [PollFd::new(&fd, what)], None).unwrap();
}

#[cfg(target_arch = "x86_64")]
pub const POLLS: [c_long; 2] = [libc::SYS_poll, libc::SYS_ppoll];
#[cfg(not(target_arch = "x86_64"))]
pub const POLLS: [c_long; 1] = [libc::SYS_ppoll];

/// Calls in which a transfer may sleep.
pub const WAITS: [c_long; 7] = [
    POLLS[0],
    libc::SYS_ppoll,
    libc::SYS_splice,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
];

/// Waits until a thread of this process sleeps in `poll`.
pub fn until_it_polls(thread: Pid) {
    until("the thread sleeps in poll", || is_in(thread, &POLLS));
}

/// Whether a thread of this process sleeps in one of these calls.
pub fn is_in(thread: Pid, calls: &[c_long]) -> bool {
    let path = format!("/proc/self/task/{}/syscall", thread.as_raw_nonzero());
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let number = text.split(' ').next().and_then(|number| number.parse().ok());
    number.is_some_and(|number| calls.contains(&number))
}

/// The processor time that this thread has had.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}
