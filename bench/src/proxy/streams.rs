//! Streams through a proxy: sent, counted, and compared where asked.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::running::{Ends, Running};
use crate::pattern::Pattern;

/// What is read at a time.
const BLOCK: usize = 256 << 10;
/// Between the first bytes of two streams: one that is taken for another is seen.
const APART: u64 = 65_537;
/// The far ends need little, and there are many of them.
const STACK: usize = 256 << 10;

/// Streams at a time, from clients to servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) count: u32,
    /// Bytes of each.
    pub(super) each: u64,
    /// Bytes of a write.
    pub(super) piece: usize,
}

/// What they cost, connecting and closing included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    bytes: u64,
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    pub(super) fn cpu_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.bytes as f64 / 1e9)
    }

    pub(super) fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.wall.as_secs_f64()
    }
}

impl Streams {
    /// Bytes of all.
    pub(super) fn bytes(self) -> u64 {
        self.each * u64::from(self.count)
    }

    /// Sends them, and has their bytes compared.
    pub(super) fn check(self, running: &Running) -> io::Result<()> {
        self.pass(running, &Pattern::new(), true)
    }

    /// Sends them, and counts their bytes. `ended` comes before the look at the clock.
    pub(super) fn measure(
        self,
        running: &Running,
        ended: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Cost> {
        let pattern = Pattern::new();
        let (before, began) = (running.cpu()?, Instant::now());
        self.pass(running, &pattern, false)?;
        let wall = began.elapsed();
        ended()?;
        let cpu = running.cpu()?.saturating_sub(before);
        Ok(Cost { bytes: self.bytes(), cpu, wall })
    }

    fn pass(self, running: &Running, pattern: &Pattern, compare: bool) -> io::Result<()> {
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for n in 0..self.count {
                let Ends { client, server } = running.open()?;
                let from = u64::from(n) * APART;
                let thread = || std::thread::Builder::new().stack_size(STACK);
                let expected = compare.then_some(pattern);
                // First, since its error says more than the writer's, who is cut off by it.
                let reads = move || self.read(server, expected, from);
                threads.push(thread().spawn_scoped(scope, reads)?);
                let writes = move || self.write(client, pattern, from);
                threads.push(thread().spawn_scoped(scope, writes)?);
            }
            let ended = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a far end panicked")))
            });
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// Sends a stream, ends it, and waits until the other side has ended too.
    fn write(self, mut client: TcpStream, pattern: &Pattern, from: u64) -> io::Result<()> {
        let mut done = 0;
        while done < self.each {
            let most = usize::try_from(self.each - done).unwrap_or(self.piece).min(self.piece);
            let part = pattern.at(from + done, most);
            client.write_all(part)?;
            done += part.len() as u64;
        }
        client.shutdown(std::net::Shutdown::Write)?;
        match client.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other("a byte came that nobody sent")),
        }
    }

    fn read(self, mut server: TcpStream, pattern: Option<&Pattern>, from: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        let mut done = 0;
        loop {
            let n = server.read(&mut block)?;
            if n == 0 {
                break;
            }
            if pattern.is_some_and(|pattern| block[..n] != *pattern.at(from + done, n)) {
                return Err(io::Error::other(format!("wrong bytes from {done} on")));
            }
            done += n as u64;
        }
        if done == self.each {
            return Ok(());
        }
        Err(io::Error::other(format!("{done} of {} bytes came", self.each)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What the reader says of a stream that begins at 5, where it expects it to begin at `from`.
    fn read(sent: Streams, expected: Streams, from: u64) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let pattern = &Pattern::new();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || sent.write(client, pattern, 5));
            let read = expected.read(server, Some(pattern), from);
            let written = writer.join().unwrap();
            read.and(written).map_err(|error| error.to_string())
        })
    }

    #[test]
    fn a_stream_must_have_its_bytes_and_no_more_or_less() {
        let stream = Streams { count: 1, each: 100_000, piece: 777 };
        read(stream, Streams { piece: 1, ..stream }, 5).unwrap();
        assert!(read(stream, stream, 6).unwrap_err().starts_with("wrong bytes"));
        let short = read(Streams { each: 99_999, ..stream }, stream, 5).unwrap_err();
        assert_eq!(short, "99999 of 100000 bytes came");
        let long = read(Streams { each: 100_001, ..stream }, stream, 5).unwrap_err();
        assert_eq!(long, "100001 of 100000 bytes came");
    }
}
