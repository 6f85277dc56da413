//! The machine that was measured on, without which no figure means anything.

use std::fmt;
use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::job::Conditions;

/// What a record says about its machine and its run.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) date: String,
    lines: Vec<(&'static str, String)>,
}

impl Facts {
    /// The facts of today, with files in `directory`.
    pub(crate) fn collect(directory: &Path, conditions: &Conditions) -> Self {
        let date = date(SystemTime::now());
        let system = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let mut run = format!("{} rounds after one that does not count", conditions.rounds);
        if conditions.pinned.is_some() {
            run.push_str(", the mover alone on one processor");
        }
        if conditions.tcp.nodelay {
            run.push_str(", TCP_NODELAY");
        }
        if let Some(name) = &conditions.tcp.congestion {
            run.push_str(&format!(", TCP senders with {name}"));
        }
        let lines = vec![
            ("date", date.clone()),
            ("kernel", format!("{} {}", text(system.sysname()), text(system.release()))),
            ("machine", text(system.machine())),
            ("processor", processor()),
            ("memory", field("/proc/meminfo", "MemTotal:")),
            ("filesystem", filesystem(directory)),
            ("rustc", version_of("rustc")),
            ("cp", version_of("cp")),
            ("go", first_line(Command::new("go").arg("version"))),
            ("tokio", locked("tokio")),
            ("tokio-splice2", locked("tokio-splice2")),
            ("fdflow", commit()),
            ("loopback MTU", whole("/sys/class/net/lo/mtu")),
            ("net.ipv4.tcp_rmem", sysctl("net/ipv4/tcp_rmem")),
            ("net.ipv4.tcp_wmem", sysctl("net/ipv4/tcp_wmem")),
            ("net.ipv4.tcp_congestion_control", sysctl("net/ipv4/tcp_congestion_control")),
            ("net.core.rmem_default", sysctl("net/core/rmem_default")),
            ("net.core.wmem_default", sysctl("net/core/wmem_default")),
            ("fs.pipe-max-size", sysctl("fs/pipe-max-size")),
            ("fs.pipe-user-pages-soft", sysctl("fs/pipe-user-pages-soft")),
            ("run", run),
        ];
        Self { date, lines }
    }

    /// One more fact, about something that only this measurement uses.
    pub(crate) fn add(&mut self, name: &'static str, value: String) {
        self.lines.push((name, value));
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| fact | |\n|---|---|")?;
        for (name, value) in &self.lines {
            writeln!(f, "| {name} | {value} |")?;
        }
        Ok(())
    }
}

const UNKNOWN: &str = "unknown";

fn sysctl(name: &str) -> String {
    whole(&format!("/proc/sys/{name}"))
}

fn whole(path: &str) -> String {
    let text = read_to_string(path).unwrap_or_else(|_| UNKNOWN.to_owned());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rest of the first line that begins with `name`.
fn field(path: &str, name: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.trim().to_owned())
}

fn processor() -> String {
    let model = field("/proc/cpuinfo", "model name").trim_start_matches([':', ' ']).to_owned();
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{count} x {model}")
}

/// The type of the filesystem that holds `directory`: the longest mount point above it.
fn filesystem(directory: &Path) -> String {
    let mounts = read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let kinds = mounts.lines().filter_map(|line| {
        let point = Path::new(line.split(' ').nth(4)?);
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        directory.starts_with(point).then_some((point.components().count(), kind.to_owned()))
    });
    kinds.max_by_key(|(depth, _)| *depth).map_or_else(|| UNKNOWN.to_owned(), |(_, kind)| kind)
}

fn version_of(program: &str) -> String {
    first_line(Command::new(program).arg("--version"))
}

/// The version of a dependency that this program was built with.
pub(crate) fn locked(name: &str) -> String {
    let name = format!("name = \"{name}\"");
    let mut lines = include_str!("../../Cargo.lock").lines().skip_while(|line| *line != name);
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    version.unwrap_or(UNKNOWN).to_owned()
}

fn commit() -> String {
    let directory = env!("CARGO_MANIFEST_DIR");
    let describe = ["-C", directory, "describe", "--always", "--dirty", "--abbrev=10"];
    format!("{} at {}", env!("CARGO_PKG_VERSION"), first_line(Command::new("git").args(describe)))
}

fn first_line(command: &mut Command) -> String {
    let said = command.output().ok().map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or(UNKNOWN).to_owned()
}

/// A point in time as `2024-02-29`, in UTC.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut days = seconds / 86_400;
    let mut year = 1970;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ends::TcpOptions;
    use std::time::Duration;

    #[test]
    fn days_are_counted_over_leap_years() {
        let day = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(951_868_800), "2000-03-01");
        assert_eq!(day(1_735_689_599), "2024-12-31");
        assert_eq!(day(1_735_689_600), "2025-01-01");
    }

    #[test]
    fn the_versions_of_what_was_built_in_are_known() {
        assert!(locked("tokio").starts_with("1."));
        assert!(locked("tokio-splice2").starts_with("0."));
        assert_eq!(locked("no-such-crate"), UNKNOWN);
    }

    #[test]
    fn the_facts_make_a_table() {
        let conditions = Conditions {
            rounds: 3,
            timeout: Duration::from_secs(1),
            tcp: TcpOptions { nodelay: true, congestion: Some("reno".to_owned()) },
            pinned: Some((1, 0)),
            go: Err("not here".to_owned()),
        };
        let facts = Facts::collect(Path::new("/"), &conditions).to_string();
        assert!(facts.contains("| kernel | Linux "), "{facts}");
        assert!(
            facts.contains("3 rounds") && facts.contains("TCP_NODELAY, TCP senders with reno"),
            "{facts}"
        );
        assert!(facts.lines().all(|line| line.starts_with('|') && line.ends_with('|')));
    }
}
