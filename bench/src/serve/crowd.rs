//! Many connections that do nothing: readers that have stopped, and such as wait for the next
//! request. What counts is the memory of each.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use super::Setup;
use super::client::{Answer, ask};
use super::server::{Running, SERVERS, Server};
use super::site::name;
use crate::figures::{Case, Figures, contest, tell};
use crate::sizes::human;

pub(super) const SAYS: &str = "\
The server is started anew for each round. Its resident memory (Rss of smaps_rollup, of all its \
processes) is read when 16 such connections are there, and again when there are so many more; the \
difference is divided by their number. Each is read once it has stayed the same, to 64 KiB, for 3 \
seconds. Socket buffers are the kernel's and not in it. All connections must still be open then: the \
server's descriptors are counted. nginx sets aside what it needs of each of its worker_connections \
when it starts, which is in neither reading.\n";

/// Connections before the first look, so that what a process needs once is not counted.
const EARLIER: usize = 16;
/// Connections from one source address, of which a connection to one port has 28,000 by default.
const PER_ADDRESS: usize = 4000;
/// A slow reader's buffer, which the kernel doubles, and what it takes before it stops: less than
/// the first window, since into one that has almost closed the kernel sends late or not at all.
const SLOW_BUFFER: usize = 16 << 10;
const SLOW_TAKES: usize = 2048;
const IDLE_FILE: u64 = 1024;
/// Memory must come to rest within this.
const REST: Duration = Duration::from_secs(30);

/// What the connections do before they do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Take some bytes of a large file.
    Slow,
    /// Make one request and read the answer.
    Idle,
}

/// What the connections cost.
#[derive(Debug)]
struct Cost {
    kib_each: f64,
    before_kib: u64,
    after_kib: u64,
}

impl Kind {
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Idle => "idle",
        }
    }

    /// KiB of a connection.
    fn most(self) -> f64 {
        match self {
            Self::Slow => 8.0,
            Self::Idle => 4.0,
        }
    }
}

pub(super) fn measure(kind: Kind, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let part = kind.part();
    let (count, case) = match kind {
        Kind::Slow => {
            let file = human(setup.site.large);
            (setup.readers, format!("{} readers of {file} that have stopped", setup.readers))
        }
        Kind::Idle => (setup.connections, format!("{} quiet connections", setup.connections)),
    };
    // Whether it starts; not a round, so that one that is absent does not end those of the other.
    let check = |server| Running::start(server, false, setup).map(drop);
    let round = |server| quiet(kind, count, server, setup);
    let rounds = setup.conditions.rounds;
    let outcomes = contest((part, &case), &SERVERS, rounds, figures, check, round);
    let of = Case { part, name: &case, outcomes: &outcomes };
    let rows = of.rows("KiB per connection", 2, |cost| cost.kib_each);
    tell(&rows)?;
    figures.add(rows);
    figures.add(of.rows("KiB before", 0, |cost| cost.before_kib as f64));
    figures.add(of.rows("KiB with them", 0, |cost| cost.after_kib as f64));
    let says = format!("{}: KiB per connection", Server::Fdflow);
    match of.median(&Server::Fdflow, |cost| cost.kib_each) {
        Some(kib) => figures.target((part, &case), says, kib, kind.most()),
        None => figures.unmeasured((part, &case), says, Some(kind.most())),
    }
    if let Some(kib) = of.median(&Server::Nginx, |cost| cost.kib_each) {
        let says = format!("{}: KiB per connection", Server::Nginx);
        figures.note((part, &case), says, kib);
    }
    Ok(())
}

fn quiet(kind: Kind, count: usize, server: Server, setup: &Setup) -> io::Result<Cost> {
    let running = Running::start(server, false, setup)?;
    let earlier = join(kind, 0..EARLIER, &running, setup)?;
    let before_kib = running.settled_kib(REST)?;
    let sockets = running.sockets()?;
    let all = join(kind, EARLIER..EARLIER + count, &running, setup)?;
    let after_kib = running.settled_kib(REST)?;
    let with_them = running.sockets()?;
    drop((earlier, all));
    // Either server cuts off a reader that has taken nothing for a minute; one in a hundred does
    // not change the figure.
    if with_them + count / 100 < sockets + count {
        return Err(io::Error::other(format!(
            "it had {sockets} sockets, and {with_them} after {count} more connections"
        )));
    }
    let kib_each = (after_kib as f64 - before_kib as f64) / count as f64;
    Ok(Cost { kib_each, before_kib, after_kib })
}

fn join(
    kind: Kind,
    which: std::ops::Range<usize>,
    running: &Running,
    setup: &Setup,
) -> io::Result<Vec<TcpStream>> {
    let large = setup.site.large;
    let mut all = Vec::with_capacity(which.len());
    for n in which {
        let mut stream = connect(kind, n, running.address, setup.conditions.timeout)?;
        match kind {
            Kind::Slow => ask(&mut stream, &name(large), None)?,
            Kind::Idle => {
                ask(&mut stream, &name(IDLE_FILE), None)?;
                let answer = Answer::read(&mut stream, 4096)?.expect(200, IDLE_FILE)?;
                answer.discard(&mut stream)?;
            }
        }
        all.push(stream);
    }
    if kind == Kind::Slow {
        // Once all have asked: what fills no segment may be sent only after a timer.
        for stream in &mut all {
            Answer::read(stream, SLOW_TAKES)?.expect(200, large)?;
            stream.read_exact(&mut [0; SLOW_TAKES])?;
        }
    }
    Ok(all)
}

/// The `n`th connection, from an address that has ports left.
fn connect(kind: Kind, n: usize, to: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    if kind == Kind::Slow {
        // Before it is connected: the window that is offered then is not taken back.
        set_socket_recv_buffer_size(&socket, SLOW_BUFFER)?;
    }
    let last = u8::try_from(2 + n / PER_ADDRESS).map_err(io::Error::other)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
    rustix::net::connect(&socket, &to)?;
    // Closed by a reset, so that thousands of closed connections do not linger.
    set_socket_linger(&socket, Some(Duration::ZERO))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}
