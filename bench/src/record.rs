//! What a run leaves behind: figures for programs, tables for people, plots.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use crate::job::Cell;
use crate::measure::{Pieces, Spread};

/// The columns of the figures.
const HEAD: &str = "what,pair,size,contender,rounds,\
    cpu_s_per_gb_median,cpu_s_per_gb_min,cpu_s_per_gb_max,\
    mb_per_s_median,mb_per_s_min,mb_per_s_max,\
    rss_growth_kib_max,calls,bytes_per_call,in_kernel_share,failure\n";

/// The files of one run.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) what: &'static str,
    pub(crate) date: String,
}

impl Record {
    /// Writes figures, text and plots to `directory`; returns their paths.
    pub(crate) fn write(
        &self,
        directory: &Path,
        cells: &[Cell],
        text: &str,
        plots: &[(&'static str, String)],
    ) -> io::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(directory)?;
        let name = |suffix: &str| directory.join(format!("{}-{}{suffix}", self.date, self.what));
        let mut written = vec![name(".csv"), name(".md")];
        std::fs::write(&written[0], csv(cells))?;
        let mut text = text.to_owned();
        for (suffix, plot) in plots {
            let path = name(&format!("{suffix}.svg"));
            std::fs::write(&path, plot)?;
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            text.push_str(&format!("\n![{}{suffix}]({file})\n", self.what));
            written.push(path);
        }
        std::fs::write(&written[1], text)?;
        Ok(written)
    }
}

/// A line for each cell.
fn csv(cells: &[Cell]) -> String {
    let mut csv = HEAD.to_owned();
    for cell in cells {
        let measured = cell.cpu().zip(cell.speed());
        if measured.is_none() && cell.failure.is_none() {
            continue;
        }
        let (cpu, speed) = match measured {
            Some((cpu, speed)) => (three(cpu, 5), three(speed, 1)),
            None => (",,".to_owned(), ",,".to_owned()),
        };
        let pieces = cell.pieces();
        let share = cell.in_kernel().map_or(String::new(), |share| format!("{share:.4}"));
        let mean = pieces.mean().map_or(String::new(), |mean| mean.to_string());
        // Writing to a String cannot fail.
        let _written = writeln!(
            csv,
            "{},{},{},{},{},{cpu},{speed},{},{},{mean},{share},{}",
            cell.what,
            cell.pair,
            cell.size,
            cell.contender,
            cell.outcomes.len(),
            cell.grown_kib(),
            pieces.calls(),
            quoted(cell.failure.as_deref().unwrap_or_default()),
        )
        .is_ok();
    }
    csv
}

/// A field of free text: on one line, in quotes where there is any.
fn quoted(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("\"{}\"", text.replace('"', "\"\"").replace('\n', " "))
}

fn three(spread: Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.digits$},{min:.digits$},{max:.digits$}")
}

impl Cell {
    /// Processor seconds of the mover per 10^9 bytes.
    pub(crate) fn cpu(&self) -> Option<Spread> {
        Spread::of(self.outcomes.iter().map(crate::measure::Outcome::cpu_per_gb))
    }

    /// 10^6 bytes per second.
    pub(crate) fn speed(&self) -> Option<Spread> {
        Spread::of(self.outcomes.iter().map(crate::measure::Outcome::mb_per_s))
    }

    pub(crate) fn grown_kib(&self) -> u64 {
        self.outcomes.iter().map(|outcome| outcome.grown_kib).max().unwrap_or(0)
    }

    /// The pieces of all rounds.
    pub(crate) fn pieces(&self) -> Pieces {
        let mut all = Pieces::default();
        self.outcomes.iter().for_each(|outcome| all.add(&outcome.pieces));
        all
    }

    /// The share of the bytes that stayed in the kernel, where that is known.
    pub(crate) fn in_kernel(&self) -> Option<f64> {
        let counted = self.outcomes.iter().filter_map(|o| Some((o.in_kernel?, o.bytes)));
        let (inside, all) = counted.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (all > 0).then(|| inside as f64 / all as f64)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::contenders::Contender;
    use crate::measure::Outcome;
    use std::time::Duration;

    /// A cell with rounds of these processor milliseconds for a GB that took a second.
    pub(crate) fn cell(pair: &str, size: u64, contender: Contender, millis: &[u64]) -> Cell {
        let outcomes = millis.iter().map(|millis| Outcome {
            bytes: 1_000_000_000,
            cpu: Duration::from_millis(*millis),
            wall: Duration::from_secs(1),
            ..Outcome::default()
        });
        let outcomes = outcomes.collect();
        Cell { what: "transfer", pair: pair.to_owned(), size, contender, outcomes, failure: None }
    }

    #[test]
    fn a_line_has_a_field_for_every_column() {
        let mut cell = cell("tcp-unix", 1024, Contender::Fdflow, &[300, 100, 200]);
        cell.outcomes[0].in_kernel = Some(500_000_000);
        cell.outcomes[0].pieces.saw(4096);
        let csv = csv(&[cell]);
        let lines: Vec<&str> = csv.lines().collect();
        let fields: Vec<&str> = lines[1].split(',').collect();
        assert_eq!(fields.len(), lines[0].split(',').count());
        assert_eq!(fields[..5], ["transfer", "tcp-unix", "1024", "fdflow", "3"]);
        assert_eq!(fields[5..8], ["0.20000", "0.10000", "0.30000"]);
        assert_eq!(fields[8..], ["1000.0", "1000.0", "1000.0", "0", "1", "4096", "0.5000", ""]);
    }

    #[test]
    fn a_contender_that_failed_has_a_line_without_figures_and_with_the_reason() {
        let mut failed = cell("tcp-unix", 1024, Contender::Go, &[]);
        failed.failure = Some("no `go`, \"here\"\nor there".to_owned());
        let csv = csv(&[failed]);
        let line = csv.lines().nth(1).unwrap();
        let (figures, reason) = line.split_once(",\"").unwrap();
        assert_eq!(figures, "transfer,tcp-unix,1024,go-io-copy,0,,,,,,,0,0,,");
        assert_eq!(reason, "no `go`, \"\"here\"\" or there\"");
        assert_eq!(figures.split(',').count() + 1, csv.lines().next().unwrap().split(',').count());
    }

    #[test]
    fn a_record_is_figures_text_and_plots_of_one_name() {
        let directory = tempfile::tempdir().unwrap();
        let record = Record { what: "transfer", date: "2024-02-29".to_owned() };
        let cells = [cell("tcp-tcp", 1024, Contender::SPLICE, &[1])];
        let plots = [("", "<svg/>".to_owned()), ("-speed", "<svg/>".to_owned())];
        let written = record.write(directory.path(), &cells, "# text\n", &plots).unwrap();
        let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names[0], "2024-02-29-transfer.csv");
        assert_eq!(names[3], "2024-02-29-transfer-speed.svg");
        let text = std::fs::read_to_string(&written[1]).unwrap();
        assert!(text.contains("(2024-02-29-transfer-speed.svg)"), "{text}");
    }
}
