//! Who takes part: a proxy, and how it is set.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::peers::{Programs, haproxy_configuration, nginx_configuration};

/// A proxy in one of its ways to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contestant {
    Fdflow,
    /// With `--deny splice`.
    FdflowUnspliced,
    /// With `--tap`; the flow waits for its recording, which has all bytes then.
    FdflowTap,
    /// With `option splice-auto`: it splices where it finds that to pay.
    Haproxy,
    /// With `option splice-request` and `option splice-response`: it always does.
    HaproxySpliced,
    HaproxyUnspliced,
    Nginx,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fdflow => "fdflow",
            Self::FdflowUnspliced => "fdflow without splice",
            Self::FdflowTap => "fdflow with a tap",
            Self::Haproxy => "haproxy",
            Self::HaproxySpliced => "haproxy that always splices",
            Self::HaproxyUnspliced => "haproxy without splice",
            Self::Nginx => "nginx",
        })
    }
}

impl Contestant {
    /// The processes that it consists of.
    pub(super) fn members(self) -> usize {
        if self == Self::Nginx { 2 } else { 1 }
    }

    /// What starts it: from `address` to `upstream`, with all that it writes in `home`.
    pub(super) fn command(
        self,
        address: SocketAddr,
        upstream: SocketAddr,
        home: &Path,
        programs: &Programs,
    ) -> io::Result<Command> {
        match self {
            Self::Fdflow | Self::FdflowUnspliced | Self::FdflowTap => {
                let mut command = Command::new(there(programs.fdflow.as_ref())?);
                command.arg("proxy").arg(format!("--listen={address}"));
                command.arg(format!("--to={upstream}")).args(["--threads=1", "--log=none"]);
                if self == Self::FdflowUnspliced {
                    command.arg("--deny=splice");
                }
                if self == Self::FdflowTap {
                    command.arg("--tap").arg(home).arg("--tap-policy=block");
                }
                Ok(command)
            }
            Self::Haproxy | Self::HaproxySpliced | Self::HaproxyUnspliced => {
                let haproxy = there(programs.haproxy.as_ref())?;
                let file = home.join("haproxy.cfg");
                let splices: &[&str] = match self {
                    Self::Haproxy => &["splice-auto"],
                    Self::HaproxySpliced => &["splice-request", "splice-response"],
                    _ => &[],
                };
                std::fs::write(&file, haproxy_configuration(address, upstream, splices))?;
                let mut command = Command::new(&haproxy.path);
                // In the foreground.
                command.arg("-db").arg("-f").arg(file);
                Ok(command)
            }
            Self::Nginx => {
                let nginx = there(programs.nginx.as_ref())?;
                let file = home.join("nginx.conf");
                let text = nginx_configuration(nginx, home, address, upstream);
                std::fs::write(&file, text.map_err(io::Error::other)?)?;
                let mut command = Command::new(&nginx.path);
                command.arg("-p").arg(home).arg("-e").arg(home.join("error.log"));
                command.arg("-c").arg(file);
                Ok(command)
            }
        }
    }
}

fn there<'a, T>(program: Result<&'a T, &String>) -> io::Result<&'a T> {
    program.map_err(|why| io::Error::other(why.as_str()))
}
