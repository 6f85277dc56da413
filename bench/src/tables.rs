//! Tables for people: a row per size, a column per contender, and ratios.

use std::fmt::Write;

use crate::contenders::Contender;
use crate::job::Cell;
use crate::measure::{Spread, geometric_mean};
use crate::sizes::human;

/// The figure that a table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Processor seconds of the mover per GB; less is better.
    Cpu,
    /// Processor microseconds of the mover per file; less is better.
    PerFile,
    /// MB per second; more is better.
    Speed,
}

impl Figure {
    pub(crate) fn of(self, cell: &Cell) -> Option<Spread> {
        match self {
            Self::Cpu => cell.cpu(),
            Self::PerFile => cell.cpu().map(|per_gb| per_gb.times(cell.size as f64 / 1e3)),
            Self::Speed => cell.speed(),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU-s/GB of the mover",
            Self::PerFile => "CPU-µs of the mover",
            Self::Speed => "MB/s",
        }
    }

    fn show(self, spread: Spread) -> String {
        let Spread { median, min, max } = spread;
        match self {
            Self::Cpu => format!("**{median:.3}** ({min:.3}-{max:.3})"),
            Self::PerFile => format!("**{median:.1}** ({min:.1}-{max:.1})"),
            Self::Speed => format!("**{median:.0}** ({min:.0}-{max:.0})"),
        }
    }

    /// How many times worse `ours` is than `theirs`.
    fn worse(self, ours: Spread, theirs: Spread) -> f64 {
        match self {
            Self::Cpu | Self::PerFile => ours.median / theirs.median,
            Self::Speed => theirs.median / ours.median,
        }
    }
}

/// The distinct values of a column, in the order in which they come.
pub(crate) fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

/// The pairs of a measurement.
pub(crate) fn pairs(cells: &[Cell]) -> Vec<&str> {
    distinct(cells.iter().map(|cell| cell.pair.as_str()))
}

/// A row of a table.
pub(crate) fn line(out: &mut String, cells: impl IntoIterator<Item = String>) {
    for cell in cells {
        // Writing to a String cannot fail, here and below.
        let _written = write!(out, "| {cell} ").is_ok();
    }
    out.push_str("|\n");
}

/// The head of a table: its first column is text, the others are figures.
pub(crate) fn head(out: &mut String, names: impl IntoIterator<Item = String>) {
    let names: Vec<String> = names.into_iter().collect();
    let rule = names.iter().enumerate().map(|(i, _)| if i == 0 { "---" } else { "--:" });
    let rule: Vec<String> = rule.map(str::to_owned).collect();
    line(out, names);
    line(out, rule);
}

/// A table of one pair: a row per size.
pub(crate) fn by_size(cells: &[Cell], pair: &str, size: &str, figure: Figure) -> String {
    let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.pair == pair).collect();
    let contenders = distinct(cells.iter().map(|cell| cell.contender));
    let best = contenders.iter().any(|one| one.is_raw()) && contenders.contains(&Contender::Fdflow);
    let mut out = String::new();
    let last = best.then(|| "fdflow : better raw loop".to_owned());
    let names = contenders.iter().map(ToString::to_string);
    head(&mut out, [size.to_owned()].into_iter().chain(names).chain(last));
    for size in distinct(cells.iter().map(|cell| cell.size)) {
        let row: Vec<&Cell> = cells.iter().filter(|cell| cell.size == size).copied().collect();
        let shown = contenders.iter().map(|one| {
            let cell = row.iter().find(|cell| cell.contender == *one);
            cell.map_or_else(String::new, |cell| shown(cell, figure))
        });
        let ratio = best.then(|| {
            let ratio = against_best_raw(&row, figure);
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
        });
        line(&mut out, [human(size)].into_iter().chain(shown).chain(ratio));
    }
    out
}

fn shown(cell: &Cell, figure: Figure) -> String {
    match (figure.of(cell), &cell.failure) {
        (Some(spread), _) => figure.show(spread),
        (None, Some(_)) => "–".to_owned(),
        (None, None) => String::new(),
    }
}

/// Who failed where and why, a row for each contender and reason; empty where nobody did.
pub(crate) fn failures(cells: &[Cell]) -> String {
    let failed: Vec<_> =
        cells.iter().filter_map(|cell| Some((cell, cell.failure.as_deref()?))).collect();
    let kinds = distinct(failed.iter().map(|(cell, reason)| (cell.contender, *reason)));
    let mut out = String::new();
    if !kinds.is_empty() {
        head(&mut out, ["contender", "reason", "of its points", "which"].map(str::to_owned));
    }
    for (contender, reason) in kinds {
        let all = cells.iter().filter(|cell| cell.contender == contender).count();
        let points =
            failed.iter().filter(|(cell, why)| (cell.contender, *why) == (contender, reason));
        let points: Vec<String> =
            points.map(|(cell, _)| format!("{} {}", cell.pair, human(cell.size))).collect();
        let count = format!("{} of {all}", points.len());
        let which = if points.len() == all { "all".to_owned() } else { points.join(", ") };
        let reason = reason.replace('|', "/").replace('\n', " ");
        line(&mut out, [contender.to_string(), reason, count, which]);
    }
    out
}

/// How many times worse fdflow is than the best of the raw loops in a row; < 1: better.
fn against_best_raw(row: &[&Cell], figure: Figure) -> Option<f64> {
    let raw = row.iter().filter(|cell| cell.contender.is_raw());
    raw.filter_map(|theirs| ratio(row, theirs, figure)).max_by(f64::total_cmp)
}

fn ratio(row: &[&Cell], theirs: &Cell, figure: Figure) -> Option<f64> {
    let ours = row.iter().find(|cell| cell.contender == Contender::Fdflow)?;
    Some(figure.worse(figure.of(ours)?, figure.of(theirs)?))
}

/// A table of ratios: how many times fdflow's figure is another's, on geometric average over the
/// sizes and at the worst of them.
pub(crate) fn ratios(cells: &[Cell], figure: Figure) -> String {
    let mut out = String::new();
    let columns = ["pair", "fdflow against", "geometric mean", "worst", "at"];
    head(&mut out, columns.map(str::to_owned));
    for pair in pairs(cells) {
        let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.pair == pair).collect();
        let others = distinct(cells.iter().map(|cell| cell.contender));
        for other in others.into_iter().filter(|other| *other != Contender::Fdflow) {
            let all = each_size(&cells, |row| {
                let theirs = row.iter().find(|cell| cell.contender == other)?;
                ratio(row, theirs, figure)
            });
            ratio_line(&mut out, pair, &other.to_string(), &all);
        }
        let best = each_size(&cells, |row| against_best_raw(row, figure));
        ratio_line(&mut out, pair, "the better raw loop", &best);
    }
    out
}

fn each_size(cells: &[&Cell], of: impl Fn(&[&Cell]) -> Option<f64>) -> Vec<(u64, f64)> {
    let sizes = distinct(cells.iter().map(|cell| cell.size));
    let rows = sizes.into_iter().filter_map(|size| {
        let row: Vec<&Cell> = cells.iter().filter(|cell| cell.size == size).copied().collect();
        Some((size, of(&row)?))
    });
    rows.collect()
}

fn ratio_line(out: &mut String, pair: &str, other: &str, ratios: &[(u64, f64)]) {
    let plain: Vec<f64> = ratios.iter().map(|(_, ratio)| *ratio).collect();
    let worst = ratios.iter().max_by(|one, other| one.1.total_cmp(&other.1));
    if let (Some(mean), Some((size, worst))) = (geometric_mean(&plain), worst) {
        let figures = [format!("{mean:.2}"), format!("{worst:.2}"), human(*size)];
        line(out, [pair.to_owned(), other.to_owned()].into_iter().chain(figures));
    }
}

/// A table of what single calls took from the source.
pub(crate) fn pieces(cells: &[Cell], size: &str) -> String {
    let mut out = String::new();
    let columns = ["pair", size, "contender", "mean", "10 %", "50 %", "90 %"];
    head(&mut out, columns.map(str::to_owned));
    for cell in cells {
        let pieces = cell.pieces();
        let quantile = |percent| pieces.quantile(percent).map_or_else(String::new, human);
        let Some(mean) = pieces.mean() else { continue };
        let names = [cell.pair.clone(), human(cell.size), cell.contender.to_string()];
        let figures = [mean.to_string(), quantile(10), quantile(50), quantile(90)];
        line(&mut out, names.into_iter().chain(figures));
    }
    out
}

/// One line about a point, for the one who waits.
pub(crate) fn progress(cells: &[Cell]) -> String {
    let mut out = String::new();
    if let Some(cell) = cells.first() {
        let _written = write!(out, "{} {:>9}", cell.pair, human(cell.size)).is_ok();
    }
    for cell in cells {
        if let Some(reason) = &cell.failure {
            let _written = write!(out, "  {}: {reason} ", cell.contender).is_ok();
        }
        let (Some(cpu), Some(speed)) = (cell.cpu(), cell.speed()) else { continue };
        let (name, cpu, speed) = (cell.contender, cpu.median, speed.median);
        let _written = write!(out, "  {name} {cpu:.3} {speed:.0}").is_ok();
        if let Some(share) = cell.in_kernel() {
            let _written = write!(out, " ({:.0} %)", share * 100.0).is_ok();
        } else if let Some(mean) = cell.pieces().mean() {
            let _written = write!(out, " ({mean})").is_ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::cell;

    fn cells() -> Vec<Cell> {
        vec![
            cell("tcp-tcp", 1024, Contender::Fdflow, &[400, 200, 300]),
            cell("tcp-tcp", 1024, Contender::SPLICE, &[600]),
            cell("tcp-tcp", 1024, Contender::ReadWrite(32768), &[200]),
            cell("tcp-tcp", 2048, Contender::Fdflow, &[100]),
            cell("tcp-tcp", 2048, Contender::SPLICE, &[200]),
        ]
    }

    #[test]
    fn a_row_ends_with_the_ratio_to_the_better_raw_loop() {
        let table = by_size(&cells(), "tcp-tcp", "writes of", Figure::Cpu);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].starts_with("| 1 KiB | **0.300** (0.200-0.400) "), "{table}");
        assert!(lines[2].ends_with("| 1.50 |"), "{table}");
        assert!(lines[3].ends_with("| 0.50 |"), "{table}");
    }

    #[test]
    fn ratios_name_the_worst_size() {
        let table = ratios(&cells(), Figure::Cpu);
        assert!(table.contains("| tcp-tcp | raw-splice | 0.50 | 0.50 |"), "{table}");
        assert!(table.contains("| the better raw loop | 0.87 | 1.50 | 1 KiB |"), "{table}");
    }

    #[test]
    fn more_is_better_where_speed_is_compared() {
        assert!(ratios(&cells(), Figure::Speed).contains("| tcp-tcp | raw-splice | 1.00 |"));
    }

    #[test]
    fn who_failed_is_told_with_the_reason_and_where() {
        let failed = |size, reason: &str| {
            let mut failed = cell("tcp-unix", size, Contender::Go, &[]);
            failed.failure = Some(reason.to_owned());
            failed
        };
        let mut cells = cells();
        assert_eq!(failures(&cells), "");
        cells.extend([failed(1024, "lost"), failed(2048, "hung"), failed(4096, "lost")]);
        let told = failures(&cells);
        assert!(told.contains("| go-io-copy | lost | 2 of 3 | tcp-unix 1 KiB, tcp-unix 4 KiB |"));
        assert!(by_size(&cells, "tcp-unix", "", Figure::Cpu).contains("| 2 KiB | – |"));
    }
}
