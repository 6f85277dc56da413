//! Turns by weight, spread evenly over a round.

use super::Candidate;

/// What each candidate is owed. At each choice everybody who may be chosen earns their weight, and
/// who is owed most is chosen and pays for all: over a round everybody is chosen as often as their
/// weight says, and a heavy one never in a row that could be interleaved.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By id, in the order in which the candidates were given last.
    owed: Vec<(u64, i64)>,
}

impl Order {
    pub(super) fn next(
        &mut self,
        candidates: &[Candidate],
        fit: impl Fn(&Candidate) -> bool,
    ) -> Option<usize> {
        self.follow(candidates);
        let mut chosen: Option<usize> = None;
        let mut round = 0_i64;
        for (index, candidate) in candidates.iter().enumerate().filter(|(_, one)| fit(one)) {
            let owed = &mut self.owed[index].1;
            *owed = owed.saturating_add(i64::from(candidate.weight));
            round = round.saturating_add(i64::from(candidate.weight));
            if chosen.is_none_or(|best| self.owed[index].1 > self.owed[best].1) {
                chosen = Some(index);
            }
        }
        let owed = &mut self.owed[chosen?].1;
        *owed = owed.saturating_sub(round);
        chosen
    }

    /// Brings what is owed into the order of the candidates. Who was away begins anew, and the
    /// others keep what they are owed: one that is left out of a choice, because it has just been
    /// tried, is not tried more often for it.
    fn follow(&mut self, candidates: &[Candidate]) {
        let same = |(one, (id, _)): (&Candidate, &(u64, i64))| one.id == *id;
        if candidates.len() == self.owed.len() && candidates.iter().zip(&self.owed).all(same) {
            return;
        }
        let mut before: Vec<Option<(u64, i64)>> = self.owed.drain(..).map(Some).collect();
        // Usually some have left or come, and the others stand in the same order as before.
        let mut from = 0;
        for candidate in candidates {
            let known =
                |entry: &Option<(u64, i64)>| entry.is_some_and(|(id, _)| id == candidate.id);
            let place = before[from..].iter().position(known).map(|ahead| from + ahead);
            let place = place.or_else(|| before[..from].iter().position(known));
            from = place.map_or(from, |place| place + 1);
            let entry = place.and_then(|place| before[place].take());
            self.owed.push(entry.unwrap_or((candidate.id, 0)));
        }
    }
}
