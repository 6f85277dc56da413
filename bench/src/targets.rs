//! What the figures of relayed streams are to be, and whether they are.

use std::fmt::Write;

use crate::contenders::Contender;
use crate::job::Cell;
use crate::measure::geometric_mean;
use crate::sizes::human;
use crate::tables::{Figure, distinct, head, line, pairs};

const COPYING: Contender = Contender::ReadWrite(32 << 10);
/// From this size of writes on, and up to that one.
const LARGE: u64 = 16 << 10;
const SMALL: u64 = 8 << 10;

/// What a ratio has to be.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }

    fn show(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most:.2}"),
            Self::AtLeast(least) => format!("≥ {least:.2}"),
        }
    }
}

/// The ratio of two contenders' medians at one point.
#[derive(Debug)]
struct Point<'a> {
    pair: &'a str,
    size: u64,
    ratio: f64,
}

/// `ours : theirs` at every point of which both have a figure.
fn points(cells: &[Cell], ours: Contender, theirs: Contender, figure: Figure) -> Vec<Point<'_>> {
    let median = |cell: &Cell| figure.of(cell).map(|spread| spread.median);
    let ratios = cells.iter().filter(|cell| cell.contender == ours).filter_map(|cell| {
        let same = |other: &&Cell| {
            other.contender == theirs && other.pair == cell.pair && other.size == cell.size
        };
        let ratio = median(cell)? / median(cells.iter().find(same)?)?;
        Some(Point { pair: &cell.pair, size: cell.size, ratio })
    });
    ratios.collect()
}

fn mean<'a>(points: impl IntoIterator<Item = &'a Point<'a>>) -> (usize, Option<f64>) {
    let ratios: Vec<f64> = points.into_iter().map(|point| point.ratio).collect();
    (ratios.len(), geometric_mean(&ratios))
}

/// The record's section: a line for each target, with what was measured.
pub(crate) fn text(cells: &[Cell]) -> String {
    let mut out = String::from(
        "## Targets\n\nRatios of medians: geometric means over points, or the worst point. A point \
         is a pair at a size of writes.\n\n",
    );
    let columns = ["ratio", "points", "measured", "wanted", "result"];
    head(&mut out, columns.map(str::to_owned));
    for ours in [Contender::Fdflow, Contender::FDFLOW_TOKIO] {
        for (theirs, most) in [(COPYING, 0.65), (Contender::SPLICE, 1.05)] {
            let all = points(cells, ours, theirs, Figure::Cpu);
            let large = mean(all.iter().filter(|point| point.size >= LARGE));
            let what = format!("CPU of {ours} : {theirs}, writes of {} and more", human(LARGE));
            target(&mut out, &what, large, Bound::AtMost(most));
        }
    }
    for ours in [Contender::Fdflow, Contender::FDFLOW_TOKIO] {
        small(&mut out, cells, ours);
    }
    for (figure, name, bound) in
        [(Figure::Cpu, "CPU", Bound::AtMost(1.1)), (Figure::Speed, "MB/s", Bound::AtLeast(0.9))]
    {
        let (ours, theirs) = (Contender::FDFLOW_TOKIO, Contender::Fdflow);
        let all = points(cells, ours, theirs, figure);
        let what = format!("{name} of {ours} : {theirs}");
        target(&mut out, &what, mean(&all), bound);
        for pair in pairs(cells) {
            let of_pair = mean(all.iter().filter(|point| point.pair == pair));
            target(&mut out, &format!("{what}, {pair}"), of_pair, bound);
        }
    }
    out
}

/// The worst point at small writes, and the points at which the bound does not hold.
fn small(out: &mut String, cells: &[Cell], ours: Contender) {
    let bound = Bound::AtMost(1.05);
    let all = points(cells, ours, COPYING, Figure::Cpu);
    let small: Vec<&Point<'_>> = all.iter().filter(|point| point.size <= SMALL).collect();
    let worst = small.iter().max_by(|one, other| one.ratio.total_cmp(&other.ratio));
    let mut what =
        format!("CPU of {ours} : {COPYING}, worst of writes of {} and less", human(SMALL));
    target(out, &what, (small.len(), worst.map(|point| point.ratio)), bound);
    let missed = small.iter().filter(|point| !bound.holds(point.ratio));
    let missed = distinct(
        missed.map(|point| format!("{} {} {:.2}", point.pair, human(point.size), point.ratio)),
    );
    if !missed.is_empty() {
        what.clear();
        // Writing to a String cannot fail.
        let _written = write!(what, "of which above it: {}", missed.join(", ")).is_ok();
        line(out, [what, missed.len().to_string(), String::new(), String::new(), String::new()]);
    }
}

fn target(out: &mut String, what: &str, (points, ratio): (usize, Option<f64>), bound: Bound) {
    let result = match ratio {
        Some(ratio) if bound.holds(ratio) => "met",
        Some(_) => "**missed**",
        None => "not measured",
    };
    let measured = ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
    line(out, [what.to_owned(), points.to_string(), measured, bound.show(), result.to_owned()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::cell;

    /// A point with so many milliseconds a GB of fdflow, of its task, of copying and of splicing.
    fn row(pair: &str, size: u64, millis: [u64; 4]) -> Vec<Cell> {
        let who = [Contender::Fdflow, Contender::FDFLOW_TOKIO, COPYING, Contender::SPLICE];
        who.into_iter().zip(millis).map(|(who, millis)| cell(pair, size, who, &[millis])).collect()
    }

    fn line_of<'a>(text: &'a str, start: &str) -> &'a str {
        let start = format!("| {start} |");
        text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn large_writes_are_averaged_over_all_pairs_and_small_ones_left_out() {
        let cells = [
            row("tcp-tcp", 8 << 10, [900, 900, 1000, 100]),
            row("tcp-tcp", 16 << 10, [200, 200, 400, 200]),
            row("unix-unix", 1 << 20, [200, 200, 100, 100]),
        ];
        let text = text(&cells.concat());
        let large = "writes of 16 KiB and more";
        let copying = line_of(&text, &format!("CPU of fdflow : raw-rw-32k, {large}"));
        assert!(copying.ends_with("| 2 | 1.000 | ≤ 0.65 | **missed** |"), "{copying}");
        let splicing = line_of(&text, &format!("CPU of fdflow-tokio : raw-splice, {large}"));
        assert!(splicing.ends_with("| 2 | 1.414 | ≤ 1.05 | **missed** |"), "{splicing}");
    }

    #[test]
    fn every_small_point_counts_and_those_that_miss_are_named() {
        let cells = [
            row("tcp-tcp", 8 << 10, [1050, 900, 1000, 1]),
            row("tcp-unix", 1 << 10, [1060, 900, 1000, 1]),
            row("tcp-unix", 16 << 10, [9000, 9000, 1000, 1]),
        ];
        let text = text(&cells.concat());
        let worst = "raw-rw-32k, worst of writes of 8 KiB and less";
        let ours = line_of(&text, &format!("CPU of fdflow : {worst}"));
        assert!(ours.ends_with("| 2 | 1.060 | ≤ 1.05 | **missed** |"), "{ours}");
        assert!(text.contains("| of which above it: tcp-unix 1 KiB 1.06 | 1 |"), "{text}");
        let task = line_of(&text, &format!("CPU of fdflow-tokio : {worst}"));
        assert!(task.ends_with("| 2 | 0.900 | ≤ 1.05 | met |"), "{task}");
    }

    #[test]
    fn the_task_is_compared_with_the_blocking_transfer_in_both_figures_and_by_pair() {
        let mut cells =
            [row("tcp-tcp", 1024, [100, 109, 1, 1]), row("tcp-unix", 1024, [100, 130, 1, 1])]
                .concat();
        cells[5].outcomes[0].wall *= 2;
        let text = text(&cells);
        let pair = line_of(&text, "CPU of fdflow-tokio : fdflow, tcp-tcp");
        assert!(pair.ends_with("| 1 | 1.090 | ≤ 1.10 | met |"), "{pair}");
        let all = line_of(&text, "CPU of fdflow-tokio : fdflow");
        assert!(all.ends_with("| 2 | 1.190 | ≤ 1.10 | **missed** |"), "{all}");
        let speed = line_of(&text, "MB/s of fdflow-tokio : fdflow, tcp-unix");
        assert!(speed.ends_with("| 1 | 0.500 | ≥ 0.90 | **missed** |"), "{speed}");
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let text = text(&[cell("tcp-tcp", 1 << 20, Contender::Fdflow, &[1])]);
        assert!(!text.contains("| met |") && text.contains("| 0 |  | ≤ 0.65 | not measured |"));
    }
}
