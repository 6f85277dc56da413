//! One case: what each contender's rounds gave, a figure at a time.

use super::Figures;
use crate::measure::Spread;

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

impl Row {
    /// The median, with the lowest and the highest.
    pub(super) fn shown(&self) -> String {
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

    /// A figure of one contender as a part of another's: has to be at most `most`, or is only told.
    pub(crate) fn versus(
        &self,
        figures: &mut Figures,
        what: &str,
        (ours, theirs): (C, C),
        most: Option<f64>,
        of: impl Fn(&T) -> f64,
    ) {
        let place = (self.part, self.name);
        let says = format!("{what} of {} : {}", ours.to_string(), theirs.to_string());
        match (self.median(&ours, &of), self.median(&theirs, &of), most) {
            (Some(ours), Some(theirs), Some(most)) => {
                figures.target(place, says, ours / theirs, most);
            }
            (Some(ours), Some(theirs), None) => figures.note(place, says, ours / theirs),
            _ => figures.unmeasured(place, says, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_ratio_is_ours_to_theirs_and_needs_both() {
        let both = ("ours", "theirs");
        let mut outcomes = vec![(both.1, vec![4.0]), (both.0, vec![3.0])];
        for (most, row) in [
            (Some(0.75), "| CPU of ours : theirs | 0.75 | ≤ 0.75 | met |"),
            (None, "| CPU of ours : theirs | 0.75 |  |  |"),
        ] {
            let mut figures = Figures::default();
            let case = Case { part: "part", name: "case", outcomes: &outcomes };
            case.versus(&mut figures, "CPU", both, most, |n| *n);
            assert!(figures.targets().contains(row), "{}", figures.targets());
        }
        outcomes.pop();
        let mut figures = Figures::default();
        let case = Case { part: "part", name: "case", outcomes: &outcomes };
        case.versus(&mut figures, "CPU", both, Some(1.0), |n| *n);
        assert!(figures.targets().contains("not measured"), "{}", figures.targets());
    }
}
