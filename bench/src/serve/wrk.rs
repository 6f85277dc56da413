//! wrk: found, run against a file, and its report read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde::Deserialize;

/// Makes wrk say in one line of JSON what it would say in prose.
const SCRIPT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'report {"requests":%d,"bytes":%d,"us":%d,"p50_us":%d,"p99_us":%d,"failed":%d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;
const CONNECTIONS: u32 = 32;

/// The program.
#[derive(Debug)]
pub(super) struct Wrk {
    path: PathBuf,
    pub(super) version: String,
}

/// What it says of a run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Report {
    pub(super) requests: u64,
    /// With the heads.
    bytes: u64,
    us: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    failed: u64,
}

impl Wrk {
    /// Asks the program at `path`.
    pub(super) fn ask(path: PathBuf) -> Result<Self, String> {
        // It tells its version and then that it failed.
        let said = Command::new(&path).arg("-v").output();
        let said = said.map_err(|cause| format!("{} cannot be run: {cause}", path.display()))?;
        let said = String::from_utf8_lossy(&said.stdout);
        let version = said.lines().next().unwrap_or_default();
        let version = version.split(" Copyright").next().unwrap_or_default().to_owned();
        Ok(Self { path, version })
    }

    /// Asks for `url` over all connections for so many seconds; `home` takes the script.
    ///
    /// Every answer must be a success of at least `bytes` bytes.
    pub(super) fn run(
        &self,
        url: &str,
        bytes: u64,
        seconds: u32,
        home: &Path,
    ) -> io::Result<Report> {
        let script = home.join("report.lua");
        fs::write(&script, SCRIPT)?;
        let mut command = Command::new(&self.path);
        command.arg("-t1").arg(format!("-c{CONNECTIONS}")).arg(format!("-d{seconds}s"));
        let said = command.arg("--timeout=10s").arg("-s").arg(script).arg(url).output()?;
        let text = String::from_utf8_lossy(&said.stdout);
        let report = text.lines().find_map(|line| line.strip_prefix("report "));
        let report = report.and_then(|report| serde_json::from_str::<Report>(report).ok());
        let why = || String::from_utf8_lossy(&said.stderr).trim().to_owned();
        let report = report.ok_or_else(|| io::Error::other(format!("wrk failed: {}", why())))?;
        report.right(bytes)
    }
}

impl Report {
    fn right(self, bytes: u64) -> io::Result<Self> {
        let Self { requests, failed, .. } = self;
        if requests == 0 || failed > 0 {
            return Err(io::Error::other(format!("{failed} of {requests} requests failed")));
        }
        if self.bytes / requests < bytes {
            let mean = self.bytes / requests;
            return Err(io::Error::other(format!("answers of {mean} bytes, not {bytes}")));
        }
        Ok(self)
    }

    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 / (self.us as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Report =
        Report { requests: 10, bytes: 11_000, us: 2_000_000, p50_us: 1, p99_us: 2, failed: 0 };

    #[test]
    fn a_run_counts_only_if_every_answer_was_whole_and_a_success() {
        assert_eq!(GOOD.right(1000).unwrap(), GOOD);
        assert!(GOOD.right(1200).is_err());
        assert!(Report { failed: 1, ..GOOD }.right(1000).is_err());
        assert!(Report { requests: 0, ..GOOD }.right(1000).is_err());
        assert!((GOOD.per_second() - 5.0).abs() < 1e-9);
    }
}
