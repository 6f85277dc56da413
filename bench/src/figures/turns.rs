//! Contenders measured in turns, and what is told meanwhile.

use std::fmt::Display;
use std::io::{self, Write};

use super::{Figures, Row};

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

#[cfg(test)]
mod tests {
    use super::*;

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
