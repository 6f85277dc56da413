//! How many descriptors and threads there may be, and how large the pieces are that memory comes in.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files as far as it may be, and says how many that are.
pub(crate) fn open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it cannot be raised the old one holds.
    let _raised = setrlimit(Resource::Nofile, raised).is_ok();
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}

/// How many files, sockets and pipes the process has open.
pub(crate) fn open_now() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    // The listing's own descriptor is gone by now.
    open.saturating_sub(1)
}

/// As many threads as were asked for, else one per core.
pub(crate) fn threads(asked: Option<u16>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(cores, usize::from)
}

/// No huge pages for this process: where the system gives them to an allocator that asks, each
/// quiet connection would keep a part of one resident that is a hundred times as large as it.
pub(crate) fn no_huge_pages() {
    // Where the system has no such thing it does no harm either.
    let _disabled = rustix::thread::disable_transparent_huge_pages(true).is_ok();
}
