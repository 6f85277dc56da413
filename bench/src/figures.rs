//! The figures of a run: measured in turns, beside their targets, as tables and as a record.

use std::fmt::{Display, Write};
use std::io::{self, Write as _};

use crate::Common;
use crate::facts::Facts;
use crate::measure::Spread;
use crate::tables::distinct;

/// One figure of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) part: &'static str,
    pub(crate) case: String,
    pub(crate) contender: String,
    /// What is measured, with its unit.
    pub(crate) what: &'static str,
    /// Digits behind the point.
    pub(crate) digits: usize,
    pub(crate) rounds: usize,
    pub(crate) spread: Spread,
}

/// A figure and the most that it may be.
#[derive(Debug, Clone)]
struct Target {
    part: &'static str,
    case: String,
    says: String,
    /// `None`: could not be measured.
    value: Option<f64>,
    /// `None`: told to be read beside one that has.
    most: Option<f64>,
}

/// A contender that took no part, and why.
#[derive(Debug, Clone)]
struct Absence {
    part: &'static str,
    case: String,
    contender: String,
    reason: String,
}

/// All of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rows: Vec<Row>,
    targets: Vec<Target>,
    absent: Vec<Absence>,
}

impl Figures {
    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// `value` has to be at most `most`.
    pub(crate) fn target(
        &mut self,
        place: (&'static str, &str),
        says: impl Into<String>,
        value: f64,
        most: f64,
    ) {
        self.push(place, says.into(), Some(value), Some(most));
    }

    /// What was to be at most `most`, where there is one, could not be measured.
    pub(crate) fn unmeasured(
        &mut self,
        place: (&'static str, &str),
        says: impl Into<String>,
        most: Option<f64>,
    ) {
        self.push(place, says.into(), None, most);
    }

    /// `contender` took no part in a case, for this reason.
    pub(crate) fn absent(
        &mut self,
        (part, case): (&'static str, &str),
        contender: impl ToString,
        reason: impl ToString,
    ) {
        let (contender, reason) = (contender.to_string(), reason.to_string());
        // A table's cell is one line without a bar.
        let reason = reason.trim().replace('|', "/").replace('\n', "; ");
        self.absent.push(Absence { part, case: case.to_owned(), contender, reason });
    }

    /// `value` is to be read beside a target.
    pub(crate) fn note(
        &mut self,
        place: (&'static str, &str),
        says: impl Into<String>,
        value: f64,
    ) {
        self.push(place, says.into(), Some(value), None);
    }

    fn push(
        &mut self,
        (part, case): (&'static str, &str),
        says: String,
        value: Option<f64>,
        most: Option<f64>,
    ) {
        self.targets.push(Target { part, case: case.to_owned(), says, value, most });
    }

    /// A table of the targets, each met or missed.
    pub(crate) fn targets(&self) -> String {
        let mut out = String::from(
            "| part | case | figure | measured | target | |\n|---|---|---|--:|--:|---|\n",
        );
        for Target { part, case, says, value, most } in &self.targets {
            let met = match (value, most) {
                (None, _) => "not measured",
                (_, None) => "",
                (Some(value), Some(most)) if value <= most => "met",
                _ => "**missed**",
            };
            let value = value.map_or_else(String::new, |value| format!("{value:.2}"));
            let most = most.map_or_else(String::new, |most| format!("≤ {most}"));
            let line = format!("| {part} | {case} | {says} | {value} | {most} | {met} |\n");
            out.push_str(&line);
        }
        out
    }

    /// A table of who took no part, and why; empty where all did.
    pub(crate) fn absences(&self) -> String {
        if self.absent.is_empty() {
            return String::new();
        }
        let mut out = String::from("| part | case | absent | reason |\n|---|---|---|---|\n");
        for Absence { part, case, contender, reason } in &self.absent {
            out.push_str(&format!("| {part} | {case} | {contender} | {reason} |\n"));
        }
        out
    }

    /// A table for each case of a part: a row per contender, a column per figure.
    pub(crate) fn tables(&self, part: &str) -> String {
        let mut out = String::new();
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.part == part).collect();
        for case in distinct(rows.iter().map(|row| &row.case)) {
            let rows: Vec<&Row> = rows.iter().filter(|row| row.case == *case).copied().collect();
            let columns = distinct(rows.iter().map(|row| row.what));
            let rule = "--:|".repeat(columns.len());
            // Writing to a String cannot fail, here and below.
            let _written = write!(
                out,
                "\n### {case}\n\n| contender | {} |\n|---|{rule}\n",
                columns.join(" | ")
            )
            .is_ok();
            for contender in distinct(rows.iter().map(|row| &row.contender)) {
                let _written = write!(out, "| {contender} |").is_ok();
                for column in &columns {
                    let row =
                        rows.iter().find(|row| row.contender == *contender && row.what == *column);
                    let shown = row.map_or_else(String::new, |row| row.shown());
                    let _written = write!(out, " {shown} |").is_ok();
                }
                out.push('\n');
            }
        }
        out
    }

    /// A line for each figure, and for each contender that took no part.
    pub(crate) fn csv(&self) -> String {
        let mut out = String::from("part,case,contender,figure,rounds,median,min,max\n");
        for row in &self.rows {
            let Row { part, case, contender, what, rounds, .. } = row;
            let Spread { median, min, max } = row.spread;
            let line =
                format!("{part},{case},{contender},{what},{rounds},{median:.5},{min:.5},{max:.5}");
            let _written = writeln!(out, "{line}").is_ok();
        }
        for Absence { part, case, contender, reason } in &self.absent {
            let reason = reason.replace('"', "\"\"");
            let line = format!("{part},{case},{contender},\"absent: {reason}\",0,,,");
            let _written = writeln!(out, "{line}").is_ok();
        }
        out
    }
}

impl Row {
    fn shown(&self) -> String {
        let (Spread { median, min, max }, digits) = (self.spread, self.digits);
        format!("**{median:.digits$}** ({min:.digits$}-{max:.digits$})")
    }
}

/// The rows of a case, a figure at a time; none of a contender without outcomes.
pub(crate) struct Case<'a, C, T> {
    pub(crate) part: &'static str,
    pub(crate) name: &'a str,
    pub(crate) outcomes: &'a [(C, Vec<T>)],
}

impl<C: ToString + PartialEq, T> Case<'_, C, T> {
    /// One figure of all contenders.
    pub(crate) fn rows(
        &self,
        what: &'static str,
        digits: usize,
        of: impl Fn(&T) -> f64,
    ) -> Vec<Row> {
        let rows = self.outcomes.iter().filter_map(|(contender, outcomes)| {
            Some(Row {
                part: self.part,
                case: self.name.to_owned(),
                contender: contender.to_string(),
                what,
                digits,
                rounds: outcomes.len(),
                spread: Spread::of(outcomes.iter().map(&of))?,
            })
        });
        rows.collect()
    }

    /// The median of one figure of one contender; `None` of none.
    pub(crate) fn median(&self, contender: &C, of: impl Fn(&T) -> f64) -> Option<f64> {
        let (_, outcomes) = self.outcomes.iter().find(|(one, _)| one == contender)?;
        Some(Spread::of(outcomes.iter().map(of))?.median)
    }
}

/// Measures contenders in turns, after a round that does not count, and tells how each went.
pub(crate) fn in_turns<C: Copy + Display, T>(
    contenders: &[C],
    rounds: u32,
    case: &str,
    mut measure: impl FnMut(C) -> io::Result<T>,
) -> io::Result<Vec<(C, Vec<T>)>> {
    let mut all: Vec<(C, Vec<T>)> = contenders.iter().map(|one| (*one, Vec::new())).collect();
    for round in 0..=rounds {
        for turn in 0..all.len() {
            let at = (turn + round as usize) % all.len();
            let (contender, outcomes) = &mut all[at];
            let outcome = measure(*contender)
                .map_err(|cause| io::Error::other(format!("{case}, {contender}: {cause}")))?;
            if round > 0 {
                outcomes.push(outcome);
            }
        }
    }
    Ok(all)
}

/// Measures a case of those contenders that pass its check; who does not is absent with the reason.
pub(crate) fn contest<C: Copy + Display, T>(
    place: (&'static str, &str),
    contenders: &[C],
    rounds: u32,
    figures: &mut Figures,
    mut check: impl FnMut(C) -> io::Result<()>,
    measure: impl FnMut(C) -> io::Result<T>,
) -> Vec<(C, Vec<T>)> {
    let mut able = Vec::new();
    for contender in contenders {
        match check(*contender) {
            Ok(()) => able.push(*contender),
            Err(reason) => figures.absent(place, contender, reason),
        }
    }
    match in_turns(&able, rounds, place.1, measure) {
        Ok(outcomes) => outcomes,
        Err(reason) => {
            // Rounds of one without those of the other tell nothing.
            figures.absent(place, "all", reason);
            Vec::new()
        }
    }
}

/// One line about a case, for the one who waits.
pub(crate) fn tell(rows: &[Row]) -> io::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let mut line = format!("{} {}:", first.part, first.case);
    for row in rows.iter().filter(|row| row.what == first.what) {
        line.push_str(&format!("  {} {:.*}", row.contender, row.digits, row.spread.median));
    }
    writeln!(io::stderr(), "{line}")
}

/// Prints what a run found and keeps it: its figures for programs, its text for people.
pub(crate) fn finish(
    what: &str,
    figures: &Figures,
    text: &str,
    facts: &Facts,
    common: &Common,
) -> io::Result<()> {
    write!(io::stdout(), "{text}")?;
    if common.no_record {
        return Ok(());
    }
    std::fs::create_dir_all(&common.record)?;
    for (suffix, content) in [("csv", figures.csv().as_str()), ("md", text)] {
        let path = common.record.join(format!("{}-{what}.{suffix}", facts.date));
        std::fs::write(&path, content)?;
        writeln!(io::stderr(), "wrote {}", path.display())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_up_to_its_limit_and_missed_beyond() {
        let mut figures = Figures::default();
        figures.target(("part", "case"), "first", 1.5, 1.5);
        figures.target(("part", "case"), "second", 1.51, 1.5);
        let table = figures.targets();
        assert!(table.contains("| first | 1.50 | ≤ 1.5 | met |"), "{table}");
        assert!(table.contains("| second | 1.51 | ≤ 1.5 | **missed** |"), "{table}");
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let mut figures = Figures::default();
        figures.unmeasured(("part", "case"), "first", Some(1.5));
        let table = figures.targets();
        assert!(table.contains("| first |  | ≤ 1.5 | not measured |"), "{table}");
    }

    #[test]
    fn who_is_absent_is_in_the_tables_and_in_the_figures_with_the_reason() {
        let mut figures = Figures::default();
        assert_eq!(figures.absences(), "");
        figures.absent(("part", "case"), "theirs", "no \"dav\"\nno | module\n");
        let table = figures.absences();
        let row = "| part | case | theirs | no \"dav\"; no / module |\n";
        assert!(table.ends_with(row), "{table}");
        let line = "part,case,theirs,\"absent: no \"\"dav\"\"; no / module\",0,,,\n";
        assert!(figures.csv().ends_with(line), "{}", figures.csv());
    }

    #[test]
    fn a_case_is_a_table_with_a_row_for_each_contender() {
        let outcomes = [("ours", vec![3.0, 1.0, 2.0]), ("theirs", vec![5.0])];
        let case = Case { part: "part", name: "case", outcomes: &outcomes };
        let mut figures = Figures::default();
        figures.add(case.rows("ms", 1, |n| *n));
        figures.add(case.rows("s", 3, |n| n / 1e3));
        let table = figures.tables("part");
        assert!(table.contains("| contender | ms | s |\n|---|--:|--:|\n"), "{table}");
        assert!(
            table.contains("| ours | **2.0** (1.0-3.0) | **0.002** (0.001-0.003) |"),
            "{table}"
        );
        assert!(figures.csv().contains("part,case,theirs,ms,1,5.00000,5.00000,5.00000\n"));
        assert_eq!(case.median(&"ours", |n| *n), Some(2.0));
    }

    #[test]
    fn each_contender_begins_a_round_and_the_first_round_does_not_count() {
        let mut order = Vec::new();
        let all = in_turns(&['a', 'b'], 2, "", |one| {
            order.push(one);
            Ok(order.len())
        });
        assert_eq!(order, ['a', 'b', 'b', 'a', 'a', 'b']);
        assert_eq!(all.unwrap(), [('a', vec![4, 5]), ('b', vec![3, 6])]);
    }

    #[test]
    fn who_fails_the_check_is_absent_and_the_other_is_measured() {
        let mut figures = Figures::default();
        let check = |one| match one {
            "ours" => Ok(()),
            _ => Err(io::Error::other("no ranges")),
        };
        let both = ["ours", "theirs"];
        let outcomes = contest(("part", "case"), &both, 2, &mut figures, check, |_| Ok(1.0));
        assert_eq!(outcomes, [("ours", vec![1.0, 1.0])]);
        assert!(figures.absences().contains("| theirs | no ranges |"));
    }

    #[test]
    fn a_round_that_fails_leaves_no_figures_and_the_reason() {
        let mut figures = Figures::default();
        let both = ["ours", "theirs"];
        let fails = |one| match one {
            "theirs" => Err(io::Error::other("reset")),
            _ => Ok(1.0),
        };
        let outcomes = contest(("part", "case"), &both, 2, &mut figures, |_| Ok(()), fails);
        assert!(outcomes.is_empty());
        assert!(figures.absences().contains("case, theirs: reset"), "{}", figures.absences());
    }
}
