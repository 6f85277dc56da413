//! The figures of a run: measured in turns, beside their targets, as tables and as a record.

mod case;
mod record;
mod turns;

use std::fmt::Write;

use crate::measure::Spread;
use crate::tables::distinct;
pub(crate) use case::{Case, Row};
pub(crate) use record::record;
pub(crate) use turns::{contest, in_turns, tell};

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
}
