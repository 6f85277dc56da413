//! Rendezvous hashing: each upstream draws a number for the client, and the best one takes it.
//!
//! Since a draw depends on nobody else, one that leaves moves only its own clients, and one whose
//! weight changes only as many as it gains or loses.

use super::Candidate;
use super::random::mixed;

pub(super) fn choose(candidates: &[Candidate], source: u64) -> Option<usize> {
    let weighted = candidates.iter().enumerate().filter(|(_, candidate)| candidate.weight > 0);
    // Two that draw the same are told apart by their ids, not by their order.
    let drawn = weighted.map(|(index, candidate)| (time(candidate, source), candidate.id, index));
    let first = drawn.min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    first.map(|(_, _, index)| index)
}

/// When the upstream would first come by, if it came at random as often as its weight says.
/// Whoever is first is so with a probability of its weight in the sum of all.
fn time(candidate: &Candidate, source: u64) -> f64 {
    let hash = mixed(mixed(source) ^ candidate.id);
    // 53 bits are what an f64 holds; the half keeps it off 0 and 1.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln() / f64::from(candidate.weight)
}
