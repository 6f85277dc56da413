//! Threads to which the kernel refuses calls (seccomp), or that belong to another user.
#![allow(unsafe_code, reason = "seccomp filters are installed through prctl")]

use std::ffi::c_long;
use std::thread::{ScopedJoinHandle, scope};

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, sock_filter, sock_fprog,
};

/// The calls of the kernel routes.
pub const MOVERS: [c_long; 4] =
    [libc::SYS_sendfile, libc::SYS_splice, libc::SYS_copy_file_range, libc::SYS_ioctl];

/// Runs `work` on a thread of its own, which it may confine.
pub fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    scope(|scope| ScopedJoinHandle::join(scope.spawn(work)))
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// From now on these calls of this thread answer `errno` (0: they return 0).
pub fn refuse(calls: &[c_long], errno: i32) {
    install(calls, errno, |filter| {
        // SAFETY: the filter and its program outlive the call, which copies them.
        unsafe { libc::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter) }.into()
    });
}

/// The same for all threads of this process, which should be one of the test's own.
pub fn refuse_everywhere(calls: &[c_long], errno: i32) {
    install(calls, errno, |filter| {
        let (operation, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
        // SAFETY: the filter and its program outlive the call, which copies them.
        unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, filter) }
    });
}

fn install(calls: &[c_long], errno: i32, by: impl FnOnce(*const sock_fprog) -> c_long) {
    rustix::thread::set_no_new_privs(true).unwrap();
    let mut program = vec![statement(BPF_LD | BPF_W | BPF_ABS, 0)];
    for call in calls {
        let number = u32::try_from(*call).unwrap();
        program.push(sock_filter { jf: 1, ..statement(BPF_JMP | BPF_JEQ | BPF_K, number) });
        let answer = SECCOMP_RET_ERRNO | errno.unsigned_abs();
        program.push(statement(BPF_RET | BPF_K, answer));
    }
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    let filter =
        sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_mut_ptr() };
    let answer = by(&raw const filter);
    assert_eq!(answer, 0, "no seccomp: {}", std::io::Error::last_os_error());
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf: 0, k }
}
