//! Every kind of source and sink that the matrix of pairs is made of: how to open one, how to feed
//! or empty its other end, and what it holds afterwards.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Take, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use fdflow::{Plain, Sink, Source};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// What lies before the transfer's first byte in a source file.
const LEAD: &[u8] = b"lead-in";
/// What a sink file holds before the transfer.
const HEAD: &[u8] = b"there before";
/// What a `BufReader` has read ahead.
const AHEAD: usize = 5000;

/// A source that can be asked what it still holds.
pub trait Input: Source {
    /// Takes the rest out of it, at most `most` bytes.
    fn rest(&mut self, most: usize) -> Vec<u8>;
}

macro_rules! inputs {
    ($($source:ty),+) => {
        $(impl Input for $source {
            fn rest(&mut self, most: usize) -> Vec<u8> {
                rest_of(self.as_fd(), most)
            }
        })+
    };
}

inputs!(File, io::PipeReader, TcpStream, UnixStream);

impl Input for BufReader<File> {
    fn rest(&mut self, _: usize) -> Vec<u8> {
        let mut rest = Vec::new();
        self.read_to_end(&mut rest).unwrap();
        rest
    }
}

/// What lies behind the limit is part of the rest.
impl Input for Take<File> {
    fn rest(&mut self, most: usize) -> Vec<u8> {
        self.get_mut().rest(most)
    }
}

impl Input for Plain<&[u8]> {
    fn rest(&mut self, _: usize) -> Vec<u8> {
        self.0.to_vec()
    }
}

fn rest_of(fd: BorrowedFd<'_>, most: usize) -> Vec<u8> {
    let mut rest = Vec::new();
    let mut block = vec![0; 64 << 10];
    while rest.len() < most {
        let wanted = block.len().min(most - rest.len());
        match rustix::io::read(fd, &mut block[..wanted]) {
            Ok(0) => break,
            Ok(n) => rest.extend_from_slice(&block[..n]),
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], None).unwrap();
            }
            Err(errno) => panic!("reading the rest: {errno}"),
        }
    }
    rest
}

/// A sink that can be asked what it was given.
pub trait Output: Sink {
    /// All that it holds; `None` where that is to be had at its other end, or nowhere.
    fn contents(&mut self) -> Option<Vec<u8>> {
        None
    }
}

impl Output for io::PipeWriter {}
impl Output for TcpStream {}
impl Output for UnixStream {}
/// A terminal or a device.
impl Output for OwnedFd {}

impl Output for File {
    fn contents(&mut self) -> Option<Vec<u8>> {
        Some(contents(self))
    }
}

impl Output for BufWriter<File> {
    fn contents(&mut self) -> Option<Vec<u8>> {
        Some(contents(self.get_ref()))
    }
}

impl Output for Plain<Vec<u8>> {
    fn contents(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.0))
    }
}

/// All that a file holds; its position stays.
pub fn contents(file: &File) -> Vec<u8> {
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// What feeds a source from its other end, on a thread of its own.
pub type Feeder<'a> = Box<dyn FnOnce() + Send + 'a>;
/// What empties a sink at its other end, on a thread of its own.
pub type Collector = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// An opened source.
pub struct Feed<'a> {
    pub input: Box<dyn Input + 'a>,
    /// What there is to be read.
    pub bytes: Cow<'a, [u8]>,
    /// How many of these bytes the source is willing to give.
    pub gives: usize,
    /// Where they begin, in a file.
    pub start: u64,
    pub feeder: Option<Feeder<'a>>,
}

/// An opened sink.
pub struct Catch {
    pub output: Box<dyn Output>,
    /// What it holds already.
    pub head: &'static [u8],
    pub collector: Option<Collector>,
}

/// A kind of source: its name, how it is made of some bytes, whether it has an end.
pub struct SourceKind {
    pub name: &'static str,
    pub open: for<'a> fn(&'a [u8]) -> Feed<'a>,
    pub ends: bool,
    /// Whether it can hold any bytes, or has its own.
    pub any_bytes: bool,
}

/// A kind of sink: its name, how it is made, whether what it was given can be read.
pub struct SinkKind {
    pub name: &'static str,
    pub open: fn() -> Catch,
    pub keeps: bool,
}

const fn from(name: &'static str, open: for<'a> fn(&'a [u8]) -> Feed<'a>) -> SourceKind {
    SourceKind { name, open, ends: true, any_bytes: true }
}

const fn to(name: &'static str, open: fn() -> Catch) -> SinkKind {
    SinkKind { name, open, keeps: true }
}

pub const SOURCES: &[SourceKind] = &[
    from("file", |bytes| input_file(tempfile::tempfile().unwrap(), bytes)),
    from("tmpfs", |bytes| input_file(tempfile::tempfile_in("/dev/shm").unwrap(), bytes)),
    from("memfd", |bytes| input_file(memfd(), bytes)),
    from("buffered", input_buffered),
    from("take", input_take),
    from("memory", |bytes| fed(Plain(bytes), bytes, None)),
    from("pipe", |bytes| input_stream(io::pipe().unwrap(), bytes)),
    from("pipe-nb", |bytes| input_stream(nonblocking(io::pipe().unwrap()), bytes)),
    from("tcp", |bytes| input_stream(crate::support::tcp(), bytes)),
    from("tcp6", |bytes| input_stream(crate::support::tcp6(), bytes)),
    from("tcp-nb", |bytes| input_stream(nonblocking(crate::support::tcp()), bytes)),
    from("unix", |bytes| input_stream(crate::support::unix(), bytes)),
    from("unix-nb", |bytes| input_stream(nonblocking(crate::support::unix()), bytes)),
    SourceKind { ends: false, ..from("tty", |bytes| input_tty(tty(), bytes)) },
    SourceKind { ends: false, ..from("tty-nb", |bytes| input_tty(nonblocking(tty()), bytes)) },
    SourceKind { ends: false, ..from("/dev/zero", |bytes| input_zeros(bytes.len())) },
    SourceKind { any_bytes: false, ..from("/proc/version", |_| input_proc("/proc/version")) },
    // Other methods behind it: no splice.
    SourceKind {
        any_bytes: false,
        ..from("/proc/self/limits", |_| input_proc("/proc/self/limits"))
    },
];

pub const SINKS: &[SinkKind] = &[
    to("file", || output_file(tempfile::tempfile().unwrap())),
    to("append", || output_append(tempfile::tempfile().unwrap())),
    to("tmpfs", || output_file(tempfile::tempfile_in("/dev/shm").unwrap())),
    to("tmpfs-append", || output_append(tempfile::tempfile_in("/dev/shm").unwrap())),
    to("memfd", || output_file(memfd())),
    to("buffered", output_buffered),
    to("memory", || Catch { output: Box::new(Plain(Vec::new())), head: b"", collector: None }),
    to("pipe", || output_stream(swapped(io::pipe().unwrap()))),
    to("pipe-nb", || output_stream(nonblocking(swapped(io::pipe().unwrap())))),
    to("tcp", || output_stream(crate::support::tcp())),
    to("tcp6", || output_stream(crate::support::tcp6())),
    to("tcp-nb", || output_stream(nonblocking(crate::support::tcp()))),
    to("unix", || output_stream(crate::support::unix())),
    to("unix-nb", || output_stream(nonblocking(crate::support::unix()))),
    to("tty", || output_stream(tty())),
    to("tty-nb", || output_stream(nonblocking(tty()))),
    SinkKind { keeps: false, ..to("/dev/null", output_null) },
];

fn fed<'a>(
    input: impl Input + 'a,
    bytes: impl Into<Cow<'a, [u8]>>,
    feeder: Option<Feeder<'a>>,
) -> Feed<'a> {
    let bytes = bytes.into();
    Feed { input: Box::new(input), gives: bytes.len(), bytes, start: 0, feeder }
}

fn led(mut file: File, bytes: &[u8]) -> File {
    file.write_all(LEAD).unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(LEAD.len() as u64)).unwrap();
    file
}

fn input_file(file: File, bytes: &[u8]) -> Feed<'_> {
    Feed { start: LEAD.len() as u64, ..fed(led(file, bytes), bytes, None) }
}

/// Its first bytes have been read by the program, more lie in its buffer.
fn input_buffered(bytes: &[u8]) -> Feed<'_> {
    let mut file = led(tempfile::tempfile().unwrap(), bytes);
    file.rewind().unwrap();
    let mut reader = BufReader::with_capacity(AHEAD, file);
    assert!(reader.fill_buf().unwrap().len() >= LEAD.len());
    reader.consume(LEAD.len());
    Feed { start: LEAD.len() as u64, ..fed(reader, bytes, None) }
}

/// It gives all but the last quarter.
fn input_take(bytes: &[u8]) -> Feed<'_> {
    let gives = bytes.len() - bytes.len() / 4;
    let file = led(tempfile::tempfile().unwrap(), bytes);
    let feed = fed(file.take(gives as u64), bytes, None);
    Feed { start: LEAD.len() as u64, gives, ..feed }
}

fn input_stream<R, W>((reader, mut writer): (R, W), bytes: &[u8]) -> Feed<'_>
where
    R: Input + 'static,
    W: Write + Send + 'static,
{
    fed(reader, bytes, Some(Box::new(move || writer.write_all(bytes).unwrap())))
}

/// The other side is not closed before the bytes are out: that would throw them away.
fn input_tty((input, other): (OwnedFd, File), bytes: &[u8]) -> Feed<'_> {
    let mut writer = other.try_clone().unwrap();
    let feeder = Box::new(move || writer.write_all(bytes).unwrap());
    fed(KeepOpen { input, _other: other }, bytes, Some(feeder))
}

struct KeepOpen {
    input: OwnedFd,
    _other: File,
}

impl Source for KeepOpen {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.input.as_fd())
    }
    fn read_user(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("a source with a descriptor is not asked to read")
    }
}

impl Input for KeepOpen {
    fn rest(&mut self, most: usize) -> Vec<u8> {
        rest_of(self.input.as_fd(), most)
    }
}

fn input_zeros(n: usize) -> Feed<'static> {
    fed(File::open("/dev/zero").unwrap(), vec![0; n], None)
}

fn input_proc(path: &str) -> Feed<'static> {
    fed(File::open(path).unwrap(), std::fs::read(path).unwrap(), None)
}

fn output_file(mut file: File) -> Catch {
    file.write_all(HEAD).unwrap();
    Catch { output: Box::new(file), head: HEAD, collector: None }
}

fn output_append(mut file: File) -> Catch {
    file.write_all(HEAD).unwrap();
    file.rewind().unwrap();
    fcntl_setfl(&file, fcntl_getfl(&file).unwrap() | OFlags::APPEND).unwrap();
    Catch { output: Box::new(file), head: HEAD, collector: None }
}

/// What it holds has not been written to the file yet.
fn output_buffered() -> Catch {
    let mut writer = BufWriter::new(tempfile::tempfile().unwrap());
    writer.write_all(HEAD).unwrap();
    Catch { output: Box::new(writer), head: HEAD, collector: None }
}

fn output_stream<R, W>((output, mut reader): (W, R)) -> Catch
where
    W: Output + 'static,
    R: Read + Send + 'static,
{
    let collector = Box::new(move || {
        let mut bytes = Vec::new();
        // The end, where the other side was a terminal. Its last bytes may come behind it: the kernel
        // looks for bytes first, and then whether the terminal is closed.
        for _ in 0..2 {
            match reader.read_to_end(&mut bytes) {
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {}
                read => return read.map(|_| bytes).unwrap(),
            }
        }
        bytes
    });
    Catch { output: Box::new(output), head: b"", collector: Some(collector) }
}

fn output_null() -> Catch {
    let null = File::options().write(true).open("/dev/null").unwrap();
    Catch { output: Box::new(OwnedFd::from(null)), head: b"", collector: None }
}

fn swapped<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// The first of the pair, the end under test, with `O_NONBLOCK`.
fn nonblocking<A: AsFd, B>(pair: (A, B)) -> (A, B) {
    fcntl_setfl(&pair.0, fcntl_getfl(&pair.0).unwrap() | OFlags::NONBLOCK).unwrap();
    pair
}

pub fn memfd() -> File {
    memfd_create("memfd", MemfdFlags::CLOEXEC).unwrap().into()
}

/// A terminal in raw mode, and the side that plays the human.
pub fn tty() -> (OwnedFd, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let terminal = ioctl_tiocgptpeer(&master, flags).unwrap();
    let mut modes = tcgetattr(&terminal).unwrap();
    modes.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &modes).unwrap();
    (terminal, master.into())
}
