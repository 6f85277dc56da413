//! What a copy allocates: nothing in the kernel, one buffer in user space, whatever the size.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "a global allocator is unsafe to write")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::File;

use fdflow::{Plain, Route, Routes, Transfer};

use support::rig::{self, Sort};
use support::{PORTABLE, Room, pattern};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static MADE: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

fn count(size: usize) {
    let (number, bytes) = MADE.get();
    MADE.set((number + 1, bytes + size));
}

// SAFETY: everything is the system allocator's; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations this thread makes for `work`, and of how many bytes.
fn allocated(work: impl FnOnce()) -> (u64, usize) {
    // The environment is read once.
    support::denied();
    MADE.set((0, 0));
    work();
    MADE.get()
}

const SIZES: [usize; 3] = [20_000, 1_000_000, 20_000_000];

/// What a copy of `bytes` by these routes allocates.
fn by(routes: Routes, from: Sort, to: Sort, bytes: &[u8]) -> (u64, usize) {
    let (source, sink) = (rig::feed(from, bytes), rig::catch(to));
    let made = allocated(|| {
        let report = Transfer::new(&source.fd, &sink.fd).routes(routes).run().unwrap();
        assert_eq!(report.bytes(), bytes.len() as u64);
    });
    assert!(source.rest().is_empty() && sink.bytes() == bytes);
    made
}

#[test]
fn a_copy_inside_the_kernel_allocates_nothing_whatever_its_size() {
    let _room = Room::enter();
    if PORTABLE {
        return support::skipped("allocations", "no kernel routes in this build");
    }
    for bytes in SIZES.map(|size| pattern(size, 1)) {
        for (from, to) in [
            (Sort::File, Sort::Tcp),
            (Sort::File, Sort::Pipe),
            (Sort::File, Sort::File),
            (Sort::Pipe, Sort::Tcp),
            (Sort::Tcp, Sort::Pipe),
            (Sort::Tcp, Sort::File),
        ] {
            assert_eq!(by(Routes::all(), from, to, &bytes), (0, 0), "{from:?} -> {to:?}");
        }
        for (from, to) in [(Sort::Tcp, Sort::Tcp), (Sort::Unix, Sort::Tcp)] {
            let splice = Routes::only(Route::Splice);
            assert_eq!(by(splice, from, to, &bytes), (0, 0), "{from:?} -> {to:?}");
        }
    }
}

#[test]
fn a_copy_through_user_space_allocates_its_one_buffer_whatever_its_size() {
    let _room = Room::enter();
    for bytes in SIZES.map(|size| pattern(size, 2)) {
        for from in Sort::ALL {
            for to in Sort::ALL {
                let sockets = [from, to].iter().all(|end| !end.is_file() && *end != Sort::Pipe);
                let buffer = if sockets { 64 << 10 } else { 256 << 10 };
                let made = by(Routes::only(Route::ReadWrite), from, to, &bytes);
                let paced = by(Routes::all(), from, to, &bytes);
                assert!(made.0 == 1 && made.1 <= 256 << 10, "{from:?} -> {to:?}: {made:?}");
                assert!(
                    PORTABLE || paced.0 <= 1 && paced.1 <= buffer,
                    "{from:?} -> {to:?}: {paced:?}"
                );
            }
        }
    }
}

#[test]
fn copy_itself_allocates_at_most_one_buffer() {
    let _room = Room::enter();
    let bytes = pattern(3_000_000, 3);
    let mut file = support::file_of(&bytes);
    let mut null = File::options().write(true).open("/dev/null").unwrap();
    let made = allocated(|| {
        support::moved(fdflow::copy(&mut file, &mut null));
    });
    let memory = allocated(|| {
        support::moved(fdflow::copy(&mut Plain(&bytes[..]), &mut Plain(std::io::sink())));
    });
    if support::denied().is_empty() {
        assert!(made.0 <= 1 && memory == (1, 256 << 10), "{made:?}, {memory:?}");
    }
}
