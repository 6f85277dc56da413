//! Bytes that were read ahead or not yet written go first, and wrappers keep the kernel's route.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Stdio;

use fdflow::{Counted, Plain, Route, Routes, Source, Transfer};

use support::rig::{Sort, catch, feed};
use support::{PORTABLE, Room, all_went_by, child, moved, pattern, reading};

const LENGTH: usize = 300_000;

#[test]
fn h14_what_a_reader_has_read_ahead_goes_first_and_the_kernel_takes_over() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 14);
    for from in Sort::ALL {
        for to in Sort::ALL {
            let (source, sink) = (feed(from, &bytes), catch(to));
            let file = File::from(source.fd.try_clone().unwrap());
            let mut reader = BufReader::with_capacity(700, file);
            reader.read_exact(&mut [0; 13]).unwrap();
            let ahead = reader.buffer().len();
            let transfer = Transfer::new(&mut reader, sink.fd.as_fd()).routes(Routes::all());
            let report = { transfer }.run().unwrap();
            assert_eq!((report.bytes(), reader.buffer().len()), (LENGTH as u64 - 13, 0));
            assert!(ahead > 0 && report.bytes_by(Route::ReadWrite) >= ahead as u64);
            drop(reader);
            assert!(source.rest().is_empty() && sink.bytes() == bytes[13..], "{from:?} -> {to:?}");
        }
    }
}

#[test]
fn h14_h46_a_head_larger_than_one_buffer_does_not_cost_the_route() {
    let _room = Room::enter();
    let bytes = pattern(2_000_000, 15);
    for (to, route) in [(Sort::Tcp, Route::Sendfile), (Sort::File, Route::CopyFileRange)] {
        let sink = catch(to);
        let mut reader = BufReader::with_capacity(600_000, support::file_of(&bytes));
        reader.read_exact(&mut [0; 50]).unwrap();
        let ahead = reader.buffer().len() as u64;
        let transfer = Transfer::new(reader, sink.fd.as_fd()).routes(Routes::all());
        let report = { transfer }.run().unwrap();
        if !PORTABLE {
            let by = (report.bytes_by(Route::ReadWrite), report.bytes_by(route));
            assert_eq!(by, (ahead, 1_999_950 - ahead), "{report}");
        }
        assert!(sink.bytes() == bytes[50..]);
    }
}

#[test]
fn h14_a_writer_is_flushed_before_the_first_byte() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 16);
    for from in Sort::ALL {
        for to in Sort::ALL {
            let (mut source, sink) = (feed(from, &bytes), catch(to));
            let mut writer = BufWriter::new(File::from(sink.fd.try_clone().unwrap()));
            writer.write_all(b"the head").unwrap();
            if moved(fdflow::copy(&mut source.fd, &mut writer)).is_some() {
                writer.write_all(b"the tail").unwrap();
                drop(writer);
                let expected = [b"the head", &bytes[..], b"the tail"].concat();
                assert!(sink.bytes() == expected, "{from:?} -> {to:?}");
            }
            source.rest();
        }
    }
}

#[test]
fn a_take_is_lowered_by_what_the_kernel_moved_and_keeps_the_rest() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 17);
    for from in Sort::ALL {
        for routes in [Routes::all(), Routes::only(Route::ReadWrite)] {
            let (source, sink) = (feed(from, &bytes), catch(Sort::Unix));
            let file = File::from(source.fd.try_clone().unwrap());
            let mut take = BufReader::with_capacity(100, file).take(200_000);
            take.read_exact(&mut [0; 10]).unwrap();
            for part in [50_000, 150_000 - 10] {
                let transfer = Transfer::new(&mut take, sink.fd.as_fd()).routes(routes);
                let report = { transfer }.limit(part).run().unwrap();
                assert_eq!(report.bytes(), part);
            }
            assert_eq!(take.limit(), 0, "{from:?} {routes:?}");
            drop(take);
            assert!(source.rest() == bytes[200_000..] && sink.bytes() == bytes[10..200_000]);
        }
    }
}

#[test]
fn h46_counting_at_both_ends_keeps_the_kernels_route() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 46);
    for (from, to, route) in [
        (Sort::File, Sort::Tcp, Route::Sendfile),
        (Sort::File, Sort::File, Route::CopyFileRange),
        (Sort::File, Sort::Pipe, Route::Splice),
        (Sort::Tcp, Sort::File, Route::Splice),
        (Sort::Pipe, Sort::Unix, Route::Splice),
        (Sort::File, Sort::Memory, Route::Splice),
    ] {
        let (source, sink) = (feed(from, &bytes), catch(to));
        let mut counted = Counted::new(File::from(source.fd.try_clone().unwrap()));
        let mut given = Counted::new(File::from(sink.fd.try_clone().unwrap()));
        let counts = (counted.count(), given.count());
        let transfer = Transfer::new(Box::new(&mut counted), &mut given).routes(Routes::all());
        let report = { transfer }.run().unwrap();
        all_went_by(route, &report);
        assert_eq!((counts.0.get(), counts.1.get()), (LENGTH as u64, LENGTH as u64));
        drop((counted, given));
        assert!(source.rest().is_empty() && sink.bytes() == bytes);
    }
}

/// A type of the program's own around a descriptor: what it has read ahead, a quota, a count.
struct Metered<'a> {
    fd: BorrowedFd<'a>,
    ahead: Vec<u8>,
    quota: u64,
    seen: u64,
}

impl Source for Metered<'_> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd)
    }
    fn may_buffer(&self) -> bool {
        !self.ahead.is_empty()
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<fdflow::Buffered> {
        let n = self.ahead.len().min(buffer.len()).min(3);
        buffer[..n].copy_from_slice(&self.ahead[..n]);
        self.ahead.drain(..n);
        self.quota -= n as u64;
        let mut ahead = fdflow::Buffered::default();
        (ahead.n, ahead.more) = (n, !self.ahead.is_empty());
        Ok(ahead)
    }
    fn limit(&self) -> Option<u64> {
        Some(self.quota)
    }
    fn advanced(&mut self, n: u64) {
        self.quota -= n;
        self.seen += n;
    }
    fn read_user(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("it has a descriptor")
    }
}

#[test]
fn a_source_of_the_programs_own_keeps_its_head_its_quota_and_the_route() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 18);
    for from in Sort::ALL {
        for to in Sort::ALL {
            let (source, sink) = (feed(from, &bytes), catch(to));
            let ahead = b"0123456789".to_vec();
            let mut metered = Metered { fd: source.fd.as_fd(), ahead, quota: 100_010, seen: 0 };
            let report = moved(fdflow::copy(&mut metered, &mut sink.fd.as_fd()));
            let (quota, seen) = (metered.quota, metered.seen);
            let (rest, arrived) = (source.rest(), sink.bytes());
            if let Some(report) = report {
                assert_eq!((report.bytes(), quota, seen), (100_010, 0, 100_000));
                assert!(arrived == [b"0123456789", &bytes[..100_000]].concat());
                assert!(rest == bytes[100_000..], "{from:?} -> {to:?}");
            }
        }
    }
}

/// Sees every byte, so that it has no descriptor to offer.
struct Sum(File, u64);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.0.write(bytes)?;
        self.1 += bytes[..n].iter().map(|byte| u64::from(*byte)).sum::<u64>();
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_plain_writer_sees_every_byte_and_the_report_says_why_no_route_was_taken() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 19);
    for from in Sort::ALL {
        let (source, sink) = (feed(from, &bytes), catch(Sort::Unix));
        let mut sum = Plain(Sum(File::from(sink.fd.try_clone().unwrap()), 0));
        let transfer = Transfer::new(source.fd.as_fd(), &mut sum).routes(Routes::all());
        let report = { transfer }.run().unwrap();
        assert_eq!(sum.0.1, bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        assert!(report.to_string().contains("the sink offers no descriptor"), "{report}");
        drop(sum);
        assert!(source.rest().is_empty() && sink.bytes() == bytes);
    }
}

/// The child reads a line from its standard input, prints without a newline, and moves the rest of
/// the one to the other.
fn child_between_standard_streams() {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).unwrap();
    assert_eq!(line, "a line\n");
    print!("<head>");
    io::stdout().write_all(b"<head>").unwrap();
    let report = moved(fdflow::copy(&mut io::stdin(), &mut io::stdout()));
    io::stdout().write_all(if report.is_some() { b"<tail>" } else { b"<none>" }).unwrap();
}

#[test]
fn h14_standard_streams_keep_what_was_read_and_printed_before() {
    let _room = Room::enter();
    let name = "h14_standard_streams_keep_what_was_read_and_printed_before";
    if child::is_child() {
        return child_between_standard_streams();
    }
    let body = pattern(LENGTH, 20);
    let mut command = child::command(name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let printed = reading(child.stdout.take().unwrap());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[b"a line\n", &body[..]].concat()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let printed = printed.join().unwrap();
    let holds = |wanted: &[u8]| printed.windows(wanted.len()).any(|window| window == wanted);
    let whole = [b"<head><head>", &body[..], b"<tail>"].concat();
    assert!(holds(&whole) || (holds(b"<none>") && !support::denied().is_empty()));
}

/// A child's pipes are ends too.
#[test]
fn a_childs_output_and_input_are_joined() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 21);
    let mut child = std::process::Command::new("cat");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut file = support::file_of(&bytes);
    let writer = std::thread::spawn(move || moved(fdflow::copy(&mut file, &mut to)));
    let sink = catch(Sort::File);
    let report = moved(fdflow::copy(&mut from, &mut sink.fd.as_fd()));
    if writer.join().unwrap().is_some() && report.is_some() {
        assert!(sink.bytes() == bytes);
    }
    drop(from);
    child.wait().unwrap();
}
