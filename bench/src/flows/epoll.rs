//! The plainest relay there is: a read and a write for each readiness that `epoll` tells.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, retry_on_intr};

use super::control::Snapshot;
use super::relay::{BUFFER, Options, connect};
use crate::measure::{Who, cpu_time};

/// The tokens of the listener and of the control; an end's is its place.
const LISTENER: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;
/// What a control message has at most.
const LINE: usize = 32;

/// The ends of all flows, the two of a flow side by side.
#[derive(Default)]
struct Ends {
    sockets: Vec<TcpStream>,
    buffer: Vec<u8>,
}

/// Relays until the control is closed.
pub(super) fn relay(
    listener: &TcpListener,
    mut control: &UnixStream,
    options: &Options,
) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    epoll::add(&epoll, control, EventData::new_u64(CONTROL), EventFlags::IN)?;
    let mut ends = Ends { sockets: Vec::new(), buffer: vec![0; BUFFER] };
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        retry_on_intr(|| epoll::wait(&epoll, spare_capacity(&mut events), None))?;
        for event in &events {
            match event.data.u64() {
                LISTENER => {
                    let (a, _) = listener.accept()?;
                    a.set_nodelay(options.nodelay)?;
                    ends.add(&epoll, a)?;
                    ends.add(&epoll, connect(options)?.into())?;
                }
                CONTROL => {
                    let cpu = cpu_time(Who::Own)?;
                    let mut line = [0; LINE];
                    if rustix::io::read(control, &mut line)? == 0 {
                        return Ok(());
                    }
                    let mut reply = serde_json::to_vec(&Snapshot::take(cpu)?)?;
                    reply.push(b'\n');
                    control.write_all(&reply)?;
                }
                end => ends.readable(&epoll, usize::try_from(end).unwrap_or(usize::MAX))?,
            }
        }
    }
}

impl Ends {
    fn add(&mut self, epoll: impl std::os::fd::AsFd, socket: TcpStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let token = EventData::new_u64(self.sockets.len() as u64);
        epoll::add(epoll, &socket, token, EventFlags::IN)?;
        self.sockets.push(socket);
        Ok(())
    }

    /// Passes on what an end has; its end too.
    fn readable(&mut self, epoll: impl std::os::fd::AsFd, end: usize) -> io::Result<()> {
        let (from, to) = (&self.sockets[end], &self.sockets[end ^ 1]);
        let n = match retry_on_intr(|| rustix::io::read(from, &mut self.buffer[..])) {
            Ok(n) => n,
            Err(Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        if n == 0 {
            // The flow's memory is that of its place, which it keeps.
            epoll::delete(epoll, from)?;
            return to.shutdown(Shutdown::Write);
        }
        let mut bytes = &self.buffer[..n];
        while !bytes.is_empty() {
            match rustix::io::write(to, bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::INTR) => {}
                // All flows wait for this one: what is measured is messages, which fit.
                Err(Errno::AGAIN) => {
                    let mut room = [PollFd::new(to, PollFlags::OUT)];
                    retry_on_intr(|| rustix::event::poll(&mut room, None))?;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}
