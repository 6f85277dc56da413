//! A kernel that refuses `tee` after it has moved bytes: they are copied from there on, and
//! nobody gets one twice or misses one.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/fanned.rs"]
mod fanned;
#[path = "support/scene.rs"]
mod scene;
mod support;

use std::io::{self, ErrorKind, Read, Write};

use fanned::fanned;
use fdflow::{Fanout, Lag, Plain, Route, SinkEnd, Teed};
use rustix::io::Errno;
use scene::{enter, filled};
use support::rig::{Catch, Sort, catch, feed};
use support::{PORTABLE, child, confine, denied, moved, pattern, skipped};

const ERRNOS: [i32; 3] = [libc::ENOSYS, libc::EPERM, libc::EINVAL];
const MIB: usize = 1 << 20;

/// Drains `first` bytes, has the kernel refuse `tee`, and drains the rest: both, and what is said
/// of the refusal. `None` where the environment denies the routes.
fn refused_after<M: fdflow::Sink>(
    teed: &mut Teed<M>,
    out: &Catch,
    first: u64,
    errno: i32,
) -> Option<()> {
    moved(teed.drain_up_to(first, &out.fd))?;
    assert!(PORTABLE || denied().contains(Route::Splice) || teed.refused().is_none());
    assert_eq!(teed.mirrored(), first);
    confine::refuse(&[libc::SYS_tee], errno);
    moved(teed.drain_to(&out.fd)).map(drop)
}

#[test]
fn h01_h42_a_mirror_gets_each_byte_once_though_tee_is_refused_midway() {
    let _scene = enter();
    let bytes = pattern(200_000, 50);
    for errno in ERRNOS {
        for (to, mirror) in Sort::ALL.into_iter().flat_map(|to| Sort::ALL.map(|by| (to, by))) {
            for first in [1, 4096, 100_001] {
                let (out, copies, reader) = (catch(to), catch(mirror), filled(&bytes, 8192));
                let (done, refused, mirrored) = confine::on_a_thread(|| {
                    let mut teed = reader.tee(&copies.fd);
                    let done = refused_after(&mut teed, &out, first, errno);
                    (done, teed.refused(), teed.mirrored())
                });
                let (out, copies) = (out.bytes(), copies.bytes());
                if done.is_none() {
                    continue;
                }
                let case = format!("{errno}, {to:?}, {mirror:?}, {first}");
                assert!(out == bytes && copies == bytes, "{case}: {} {}", out.len(), copies.len());
                assert_eq!(mirrored, bytes.len() as u64);
                if !PORTABLE && !denied().contains(Route::Splice) {
                    let said = refused.unwrap().reason.errno();
                    assert_eq!(said, Some(Errno::from_raw_os_error(errno)), "{case}");
                }
            }
        }
    }
}

/// Fails once, after so many bytes.
struct FailsOnce(Vec<u8>, usize);

impl Write for FailsOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() == self.1 {
            self.1 = usize::MAX;
            return Err(io::Error::other("for once"));
        }
        let n = bytes.len().min(self.1 - self.0.len());
        self.0.extend_from_slice(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn h03_h42_what_the_mirror_has_in_advance_when_tee_is_refused_it_gets_no_second_time() {
    let _scene = enter();
    let bytes = pattern(100_000, 51);
    for mirror in Sort::ALL {
        let (copies, reader) = (catch(mirror), filled(&bytes, 64 << 10));
        let mut sink = FailsOnce(Vec::new(), 777);
        let done = confine::on_a_thread(|| {
            let mut teed = reader.tee(&copies.fd);
            // The mirror has got what the pipe held, and the sinks have failed: one in the middle
            // of that, with the rest in the error; one with all of its bytes still in the pipe.
            let error = teed.drain_up_to(5000, Plain(&mut sink)).unwrap_err();
            if error.kind() == ErrorKind::Unsupported {
                return None;
            }
            assert!(teed.mirrored() > 777, "{error}");
            sink.write_all(&error.into_undelivered()).unwrap();
            let (peer, broken) = support::unix();
            drop(peer);
            let error = teed.drain_up_to(50_000, &broken).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
            confine::refuse(&[libc::SYS_tee], libc::EINVAL);
            sink.write_all(&error.into_undelivered()).unwrap();
            let mut block = [0; 100];
            let n = Read::read(&mut teed, &mut block).unwrap();
            sink.write_all(&block[..n]).unwrap();
            moved(teed.drain_to(Plain(&mut sink))).map(drop)
        });
        let copies = copies.bytes();
        if done.is_some() {
            assert!(sink.0 == bytes && copies == bytes, "{mirror:?}: {}", copies.len());
        }
    }
}

/// Has the kernel refuse `tee` to the whole process after so many bytes.
struct Trigger(Vec<u8>, i32);

impl Write for Trigger {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // In small portions, so that the other sinks are ahead of it by much.
        let n = bytes.len().min(1000);
        let before = self.0.len();
        self.0.extend_from_slice(&bytes[..n]);
        if before < MIB && self.0.len() >= MIB {
            confine::refuse_everywhere(&[libc::SYS_tee], self.1);
        }
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fan_out_refused_midway(test: &str, errno: i32) {
    if denied().contains(Route::ReadWrite) {
        return skipped(test, "the sink that has tee refused is written to from user space");
    }
    if !child::alone(test) {
        return;
    }
    let _scene = enter();
    let bytes = pattern(6 * MIB, 52);
    let (source, sinks) = (feed(Sort::Pipe, &bytes), Sort::ALL.map(catch));
    let mut trigger = Plain(Trigger(Vec::new(), errno));
    let fanout = Fanout::new(&source.fd).sink(&mut trigger, Lag::Block);
    let report = fanned(sinks.iter().fold(fanout, |fan, sink| fan.sink(&sink.fd, Lag::Block)));
    let (rest, got) = (source.rest(), sinks.map(Catch::bytes));
    let Some(report) = report else { return };
    assert!(trigger.0.0 == bytes && rest.is_empty(), "{report}");
    assert!(got.iter().all(|got| got == &bytes), "{report}");
    assert!(report.sinks.iter().all(|sink| matches!(sink.end, SinkEnd::Complete)), "{report}");
    assert_eq!(report.relayed, bytes.len() as u64);
    let said = report.refused.unwrap().reason.errno();
    let tees = !PORTABLE && !denied().contains(Route::Splice);
    assert!(!tees || said == Some(Errno::from_raw_os_error(errno)), "{report}");
}

#[test]
fn h42_a_fan_out_copies_from_where_tee_answers_enosys() {
    fan_out_refused_midway("h42_a_fan_out_copies_from_where_tee_answers_enosys", libc::ENOSYS);
}

#[test]
fn h42_a_fan_out_copies_from_where_tee_answers_eperm() {
    fan_out_refused_midway("h42_a_fan_out_copies_from_where_tee_answers_eperm", libc::EPERM);
}

#[test]
fn h42_a_fan_out_copies_from_where_tee_answers_einval() {
    fan_out_refused_midway("h42_a_fan_out_copies_from_where_tee_answers_einval", libc::EINVAL);
}
