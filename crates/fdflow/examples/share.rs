//! One process fills a buffer and hands it to three others; none of them copies it:
//! `cargo run --release --example share -- [BYTES]`, a GiB unless told otherwise.
//!
//! Each reader is sent the descriptor of the sealed memory over a Unix socket, verifies that nobody can
//! change it, and reads it where it lies. What it tells is the sum of the bytes and how much memory
//! of its own (`RssAnon`) it has come to use, which is as little as before.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use fdflow::share::{self, Sealed, SealedBuilder};

const READERS: usize = 3;

fn main() -> io::Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("read") {
        return read();
    }
    let bytes = argument.map_or(Ok(1 << 30), |bytes| bytes.parse());
    let bytes = bytes.map_err(|_| io::Error::other("usage: share [BYTES]"))?;
    let program = std::env::current_exe()?;
    hand_out(bytes, || {
        let mut command = Command::new(&program);
        command.arg("read");
        command
    })
}

/// Fills a buffer of so many bytes and has three processes read it.
pub(crate) fn hand_out(bytes: usize, reader: impl Fn() -> Command) -> io::Result<()> {
    let buffer = fill(bytes)?;
    println!("filled {bytes} bytes, sum {}", sum(&buffer));
    let readers: Vec<Reader> =
        (0..READERS).map(|_| Reader::start(reader())).collect::<Result<_, _>>()?;
    for reader in &readers {
        share::send(&reader.socket, b"1", &[buffer.as_fd()])?;
    }
    // They read on when it is gone here.
    let wanted = sum(&buffer);
    drop(buffer);
    for reader in readers {
        let told = reader.finish()?;
        println!("reader: sum {}, {} KiB more of its own", told.sum, told.more);
        if told.sum != wanted {
            return Err(io::Error::other(format!("{} is not the sum, {wanted} is", told.sum)));
        }
        if told.more << 10 > bytes as u64 / 2 + (1 << 20) {
            return Err(io::Error::other("a reader has copied what it was to share"));
        }
    }
    Ok(())
}

fn fill(bytes: usize) -> io::Result<Sealed> {
    let mut builder = SealedBuilder::named("shared buffer")?;
    let block: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
    let mut left = bytes;
    while left > 0 {
        let n = left.min(block.len());
        builder.write_all(&block[..n])?;
        left -= n;
    }
    Ok(builder.seal()?)
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

/// A process that reads what it is sent.
struct Reader {
    child: Child,
    socket: UnixStream,
}

/// What it has found.
struct Told {
    sum: u64,
    /// KiB of memory of its own more than before.
    more: u64,
}

impl Reader {
    fn start(mut command: Command) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child =
            command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).spawn()?;
        Ok(Self { child, socket })
    }

    fn finish(mut self) -> io::Result<Told> {
        let mut line = String::new();
        BufReader::new(&self.socket).read_line(&mut line)?;
        let status = self.child.wait()?;
        let mut numbers = line.split_whitespace().map_while(|number| number.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(sum), Some(more)) if status.success() => Ok(Told { sum, more }),
            _ => Err(io::Error::other(format!("a reader failed ({status}) and said {line:?}"))),
        }
    }
}

/// A reader: its standard input is the socket on which the memory comes.
pub(crate) fn read() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let before = own_memory()?;
    let buffer = share::receive(&socket, &mut [0])?.into_sealed()?;
    let sum = sum(&buffer);
    writeln!(&socket, "{sum} {}", own_memory()?.saturating_sub(before))
}

/// KiB of memory that this process shares with no file and no other process.
fn own_memory() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("/proc/self/status has no RssAnon"))
}
