//! The figures of a run, their targets, and both as tables.

use std::fmt::Write;

use crate::measure::Spread;
use crate::tables::distinct;

/// One figure of one contender.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) part: &'static str,
    pub(super) case: String,
    pub(super) contender: String,
    /// What is measured, with its unit.
    pub(super) what: &'static str,
    /// Digits behind the point.
    pub(super) digits: usize,
    pub(super) rounds: usize,
    pub(super) spread: Spread,
}

/// A figure and the most that it may be.
#[derive(Debug, Clone)]
struct Target {
    part: &'static str,
    case: String,
    says: String,
    value: f64,
    /// `None`: told to be read beside one that has.
    most: Option<f64>,
}

/// All of a run.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    targets: Vec<Target>,
}

impl Figures {
    pub(super) fn add(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// `value` has to be at most `most`.
    pub(super) fn target(
        &mut self,
        place: (&'static str, &str),
        says: impl Into<String>,
        value: f64,
        most: f64,
    ) {
        self.push(place, says.into(), value, Some(most));
    }

    /// `value` is to be read beside a target.
    pub(super) fn note(
        &mut self,
        place: (&'static str, &str),
        says: impl Into<String>,
        value: f64,
    ) {
        self.push(place, says.into(), value, None);
    }

    fn push(
        &mut self,
        (part, case): (&'static str, &str),
        says: String,
        value: f64,
        most: Option<f64>,
    ) {
        self.targets.push(Target { part, case: case.to_owned(), says, value, most });
    }

    /// A table of the targets, each met or missed.
    pub(super) fn targets(&self) -> String {
        let mut out = String::from(
            "| part | case | figure | measured | target | |\n|---|---|---|--:|--:|---|\n",
        );
        for Target { part, case, says, value, most } in &self.targets {
            let (most, met) = match most {
                Some(most) if value <= most => (format!("≤ {most}"), "met"),
                Some(most) => (format!("≤ {most}"), "**missed**"),
                None => (String::new(), ""),
            };
            let line = format!("| {part} | {case} | {says} | {value:.2} | {most} | {met} |\n");
            out.push_str(&line);
        }
        out
    }

    /// A table for each case of a part: a row per contender, a column per figure.
    pub(super) fn tables(&self, part: &str) -> String {
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

    /// A line for each figure.
    pub(super) fn csv(&self) -> String {
        let mut out = String::from("part,case,contender,figure,rounds,median,min,max\n");
        for row in &self.rows {
            let Row { part, case, contender, what, rounds, .. } = row;
            let Spread { median, min, max } = row.spread;
            let line =
                format!("{part},{case},{contender},{what},{rounds},{median:.5},{min:.5},{max:.5}");
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
pub(super) struct Case<'a, C, T> {
    pub(super) part: &'static str,
    pub(super) name: &'a str,
    pub(super) outcomes: &'a [(C, Vec<T>)],
}

impl<C: ToString + PartialEq, T> Case<'_, C, T> {
    /// One figure of all contenders.
    pub(super) fn rows(
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
    pub(super) fn median(&self, contender: &C, of: impl Fn(&T) -> f64) -> Option<f64> {
        let (_, outcomes) = self.outcomes.iter().find(|(one, _)| one == contender)?;
        Some(Spread::of(outcomes.iter().map(of))?.median)
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
}
