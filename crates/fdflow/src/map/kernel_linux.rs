//! What only Linux has: advice beyond POSIX's, and filesystems whose files have no length.

use std::os::fd::BorrowedFd;

use super::advice::Advice;

/// procfs, tracefs, debugfs, sysfs, securityfs, cgroup and cgroup2.
const PSEUDO: [u64; 7] =
    [0x9fa0, 0x7472_6163, 0x6462_6720, 0x6265_6572, 0x7363_6673, 0x0027_e0eb, 0x6367_7270];

/// Whether the lengths of the files of this filesystem say nothing.
pub(super) fn is_pseudo(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(file)
        .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|magic| PSEUDO.contains(&magic)))
}

/// `advice` in the words of the system, with what to say where it does not know that one.
pub(super) fn said(advice: Advice) -> (Option<memmap2::Advice>, Option<memmap2::Advice>) {
    match advice {
        Advice::Normal => (Some(memmap2::Advice::Normal), None),
        Advice::Sequential => (Some(memmap2::Advice::Sequential), None),
        Advice::Random => (Some(memmap2::Advice::Random), None),
        Advice::WillNeed => (Some(memmap2::Advice::WillNeed), None),
        Advice::HugePages => (Some(memmap2::Advice::HugePage), None),
        Advice::Populate => (Some(memmap2::Advice::PopulateRead), Some(memmap2::Advice::WillNeed)),
    }
}
