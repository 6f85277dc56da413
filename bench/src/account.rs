//! What a server that is another process has used: processor time, memory, sockets.
#![allow(unsafe_code, reason = "clock_getcpuclockid is not in rustix")]

use std::fs::{read_dir, read_link, read_to_string};
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Between two looks at memory that is to come to rest.
const PAUSE: Duration = Duration::from_millis(100);
/// So many looks in a row have to agree: longer than a server waits before it takes apart what
/// quiet connections hold.
const LOOKS: usize = 30;
/// Looks agree that differ by no more.
const SAME_KIB: u64 = 64;

/// `pid` and all processes below it.
pub(crate) fn family(pid: i32) -> io::Result<Vec<i32>> {
    let mut parents = Vec::new();
    for entry in read_dir("/proc")? {
        let Ok(child) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        // It may have ended since.
        let Ok(stat) = read_to_string(format!("/proc/{child}/stat")) else { continue };
        parents.extend(parent(&stat).map(|parent| (child, parent)));
    }
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(parent) = all.get(at).copied() {
        all.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        at += 1;
    }
    Ok(all)
}

/// The parent in a line of `/proc/PID/stat`, where the name may hold blanks and brackets.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The processor time of these processes: all threads, those that have ended too.
pub(crate) fn cpu(family: &[i32]) -> io::Result<Duration> {
    family.iter().map(|pid| cpu_of(*pid)).sum()
}

fn cpu_of(pid: i32) -> io::Result<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the pointer is valid for a clockid_t, which the call fills in.
    let errno = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for a timespec, which the call fills in.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec)))
}

/// Resident memory of these processes, as it is in the page tables.
pub(crate) fn rss_kib(family: &[i32]) -> io::Result<u64> {
    let mut sum = 0;
    for pid in family {
        let text = read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let number =
            line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
        sum += number.ok_or_else(|| io::Error::other("smaps_rollup has no Rss"))?;
    }
    Ok(sum)
}

/// Resident memory once it has come to rest, which must be before `deadline`.
pub(crate) fn settled_kib(family: &[i32], deadline: Instant) -> io::Result<u64> {
    let mut seen = Vec::new();
    loop {
        seen.push(rss_kib(family)?);
        if at_rest(&seen) {
            return Ok(seen[seen.len() - 1]);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("its memory does not come to rest"));
        }
        std::thread::sleep(PAUSE);
    }
}

fn at_rest(seen: &[u64]) -> bool {
    let Some(start) = seen.len().checked_sub(LOOKS) else { return false };
    let last = &seen[start..];
    let (min, max) = (last.iter().min(), last.iter().max());
    min.zip(max).is_some_and(|(min, max)| max - min <= SAME_KIB)
}

/// Sockets among the descriptors of these processes.
pub(crate) fn sockets(family: &[i32]) -> io::Result<usize> {
    Ok(descriptors(family)?.sockets)
}

/// Descriptors by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    pub(crate) all: usize,
    pub(crate) sockets: usize,
    /// Both ends of each count.
    pub(crate) pipes: usize,
}

/// The descriptors of these processes.
pub(crate) fn descriptors(family: &[i32]) -> io::Result<Descriptors> {
    let mut found = Descriptors { all: 0, sockets: 0, pipes: 0 };
    for pid in family {
        for entry in read_dir(format!("/proc/{pid}/fd"))? {
            // It may have been closed since.
            let Ok(target) = read_link(entry?.path()) else { continue };
            let target = target.to_string_lossy();
            found.all += 1;
            found.sockets += usize::from(target.starts_with("socket:"));
            found.pipes += usize::from(target.starts_with("pipe:"));
        }
    }
    Ok(found)
}

/// Lets this process, and those that it starts, open as many descriptors as may be.
pub(crate) fn allow_descriptors() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// How many descriptors a process may have.
pub(crate) fn descriptors_allowed() -> String {
    getrlimit(Resource::Nofile).current.map_or_else(|| "unlimited".to_owned(), |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_parent_is_found_behind_a_name_with_brackets() {
        assert_eq!(parent("17 (a ) (b) c) S 4 17 17 0"), Some(4));
        assert_eq!(parent("17 (cut"), None);
    }

    #[test]
    fn a_child_belongs_to_the_family_and_its_memory_counts() {
        let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let theirs = Stdio::from(std::os::fd::OwnedFd::from(theirs));
        let mut child = Command::new("cat").stdin(theirs).spawn().unwrap();
        let (own, pid) = (std::process::id().cast_signed(), child.id().cast_signed());
        assert!(family(own).unwrap().contains(&pid));
        assert!(rss_kib(&[own, pid]).unwrap() > rss_kib(&[own]).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!family(own).unwrap().contains(&pid));
    }

    #[test]
    fn descriptors_count_by_their_kind() {
        let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let theirs = Stdio::from(std::os::fd::OwnedFd::from(theirs));
        let mut one = Command::new("cat");
        one.stdin(theirs).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut other = Command::new("sleep");
        other.arg("1h").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut children = [one.spawn().unwrap(), other.spawn().unwrap()];
        let of = |n: usize| descriptors(&[children[n].id().cast_signed()]).unwrap();
        // Both inherit what whoever runs the tests has left open.
        let (one, other) = (of(0), of(1));
        assert_eq!((one.sockets, one.pipes), (other.sockets + 1, other.pipes + 1));
        assert!(one.all >= 3 && sockets(&[children[0].id().cast_signed()]).unwrap() == one.sockets);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn the_time_of_a_thread_that_has_ended_counts() {
        let own = [std::process::id().cast_signed()];
        let before = cpu(&own).unwrap();
        let used = std::thread::spawn(|| {
            let began = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            let mut n = 1_u64;
            loop {
                (0..1000).for_each(|_| n = std::hint::black_box(n.wrapping_mul(3)));
                let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
                let used = Duration::try_from(now - began).unwrap();
                if used > Duration::from_millis(20) {
                    return used;
                }
            }
        });
        let used = used.join().unwrap();
        assert!(cpu(&own).unwrap().saturating_sub(before) >= used);
    }

    #[test]
    fn memory_rests_when_enough_looks_in_a_row_agree() {
        let mut seen = vec![1000; LOOKS - 1];
        assert!(!at_rest(&seen));
        seen.push(1000 + SAME_KIB);
        assert!(at_rest(&seen));
        seen.push(999);
        assert!(!at_rest(&seen));
    }
}
