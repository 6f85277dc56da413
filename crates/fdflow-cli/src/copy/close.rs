//! The end of a copy that went well: the receiver must get everything.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::open::End;

/// How often the unsent rest is looked at while a slow receiver takes it.
const LOOK: Duration = Duration::from_millis(20);

/// Tells the receiver that this was all, and leaves only when it has it.
pub(crate) fn close(to: &End) -> Result<(), String> {
    match to {
        End::Tcp(stream) => deliver(stream).map_err(|error| {
            format!("everything was sent, but it is not known whether it arrived: {error}")
        }),
        // What a Unix socket took is in the receiver's hands.
        _ => Ok(()),
    }
}

/// Closing a TCP socket that has unread bytes, or that is sent some later, resets the connection
/// and takes with it what the receiver has not read yet. So whatever it says is read away until
/// it has acknowledged all of ours.
fn deliver(mut stream: &TcpStream) -> io::Result<()> {
    match stream.shutdown(Shutdown::Write) {
        Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(error),
        _ => {}
    }
    let mut block = [0; 4096];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // It closed, or reset what it did not want to read: if all of ours was
            // acknowledged, nothing is lost.
            Err(error) => return if all_taken(stream) { Ok(()) } else { Err(error) },
        }
        if all_taken(stream) {
            return Ok(());
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
        poll(&mut [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)], Some(&timeout))?;
    }
}

fn all_taken(stream: &TcpStream) -> bool {
    fdflow::sys::unsent(stream.as_fd()).map_or(true, |unsent| unsent == 0)
}
