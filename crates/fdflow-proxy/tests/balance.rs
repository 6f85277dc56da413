//! Who takes the next flow: evenly, by weight, and the same for the same client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::thread;

use fdflow_proxy::{Balance, Balancer, Candidate};
use proptest::prelude::*;

const ALL: [Balance; 4] =
    [Balance::RoundRobin, Balance::LeastConnections, Balance::SourceHash, Balance::RandomTwo];

fn candidate(id: u64, weight: u32) -> Candidate {
    Candidate { id, weight, connections: 0 }
}

fn of_weights(weights: &[u32]) -> Vec<Candidate> {
    (1..).zip(weights).map(|(id, weight)| candidate(id, *weight)).collect()
}

/// The ids in the order in which they are chosen.
fn chosen(balancer: &Balancer, candidates: &[Candidate], calls: usize) -> Vec<u64> {
    (0..calls).map(|_| candidates[balancer.choose(candidates, None).unwrap()].id).collect()
}

fn counted(ids: impl IntoIterator<Item = u64>) -> HashMap<u64, usize> {
    let mut counts = HashMap::new();
    for id in ids {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

#[test]
fn names_are_read_as_they_are_shown() {
    for balance in ALL {
        assert_eq!(balance.to_string().parse(), Ok(balance));
    }
    assert!("Round-Robin".parse::<Balance>().is_err());
    assert_eq!(Balance::default(), Balance::RoundRobin);
}

#[test]
fn nobody_is_chosen_where_nobody_has_a_weight() {
    for balance in ALL {
        for source in [None, Some(1)] {
            assert_eq!(Balancer::new(balance).choose(&[], source), None);
            let none = of_weights(&[0, 0, 0]);
            assert_eq!(Balancer::new(balance).choose(&none, source), None);
        }
    }
}

#[test]
fn one_without_a_weight_is_never_chosen() {
    for balance in ALL {
        let balancer = Balancer::new(balance);
        let mut candidates = of_weights(&[0, 1, 0, 2]);
        (candidates[1].connections, candidates[3].connections) = (100, 100);
        for source in 0..200 {
            let index = balancer.choose(&candidates, Some(source)).unwrap();
            assert!(candidates[index].weight > 0, "{balance}");
        }
    }
}

#[test]
fn round_robin_takes_turns() {
    let balancer = Balancer::new(Balance::RoundRobin);
    assert_eq!(chosen(&balancer, &of_weights(&[1, 1, 1]), 7), [1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn round_robin_spreads_a_heavy_one_over_the_round() {
    let balancer = Balancer::new(Balance::RoundRobin);
    assert_eq!(chosen(&balancer, &of_weights(&[5, 1, 1]), 7), [1, 1, 2, 1, 3, 1, 1]);
    let balancer = Balancer::new(Balance::RoundRobin);
    assert_eq!(chosen(&balancer, &of_weights(&[2, 2, 1]), 5), [1, 2, 3, 1, 2]);
}

#[test]
fn round_robin_goes_on_when_one_leaves_and_comes_back() {
    let balancer = Balancer::new(Balance::RoundRobin);
    let all = of_weights(&[1, 1, 1]);
    assert_eq!(chosen(&balancer, &all, 1), [1]);
    let left = [all[0], all[2]];
    let counts = counted(chosen(&balancer, &left, 12));
    assert!(counts[&1].abs_diff(counts[&3]) <= 2, "{counts:?}");
    let mut others_order = all.clone();
    others_order.reverse();
    let counts = counted(chosen(&balancer, &others_order, 30));
    assert!(counts.values().all(|count| (9..=11).contains(count)), "{counts:?}");
}

#[test]
fn one_that_always_fails_is_tried_in_its_turn_and_the_others_share_its_flows() {
    let balancer = Balancer::new(Balance::RoundRobin);
    let all = of_weights(&[1, 10, 10]);
    let mut taken = Vec::new();
    let mut failed = 0;
    for _ in 0..420 {
        let mut id = chosen(&balancer, &all, 1)[0];
        if id == 1 {
            failed += 1;
            id = chosen(&balancer, &all[1..], 1)[0];
        }
        taken.push(id);
    }
    let counts = counted(taken);
    assert!((19..=21).contains(&failed), "it was tried {failed} times");
    assert!(counts[&2].abs_diff(counts[&3]) <= 3, "{counts:?}");
}

#[test]
fn turns_do_not_depend_on_the_order_in_which_candidates_are_given() {
    let balancer = Balancer::new(Balance::RoundRobin);
    let mut all = of_weights(&[1, 10, 10]);
    let mut taken = Vec::new();
    for _ in 0..210 {
        taken.extend(chosen(&balancer, &all, 1));
        all.reverse();
    }
    assert_eq!(counted(taken), HashMap::from([(1, 10), (2, 100), (3, 100)]));
}

#[test]
fn two_of_one_id_are_two() {
    let balancer = Balancer::new(Balance::RoundRobin);
    let twins = [candidate(1, 1), candidate(1, 1), candidate(2, 1)];
    let indexes: Vec<_> = (0..6).map(|_| balancer.choose(&twins, None).unwrap()).collect();
    assert_eq!(indexes, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn threads_share_the_turns() {
    let balancer = Balancer::new(Balance::RoundRobin);
    let all = of_weights(&[3, 2, 1]);
    let ids = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| chosen(&balancer, &all, 300))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(counted(ids), HashMap::from([(1, 600), (2, 400), (3, 200)]));
}

#[test]
fn least_connections_counts_them_by_weight() {
    let balancer = Balancer::new(Balance::LeastConnections);
    let mut candidates = of_weights(&[1, 4, 2]);
    for (connections, expected) in
        [([0, 1, 1], 0), ([1, 3, 3], 1), ([5, 21, 9], 2), ([usize::MAX, usize::MAX, 0], 2)]
    {
        for (candidate, connections) in candidates.iter_mut().zip(connections) {
            candidate.connections = connections;
        }
        assert_eq!(balancer.choose(&candidates, None), Some(expected), "{connections:?}");
    }
}

#[test]
fn equals_in_connections_take_turns() {
    let balancer = Balancer::new(Balance::LeastConnections);
    let mut candidates = of_weights(&[1, 1, 1, 1]);
    candidates[0].connections = 1;
    assert_eq!(chosen(&balancer, &candidates, 6), [2, 3, 4, 2, 3, 4]);
}

#[test]
fn connections_that_stay_end_up_by_weight() {
    for balance in [Balance::LeastConnections, Balance::RandomTwo] {
        let balancer = Balancer::new(balance);
        let mut candidates = of_weights(&[1, 2, 5]);
        for _ in 0..8000 {
            let index = balancer.choose(&candidates, None).unwrap();
            candidates[index].connections += 1;
        }
        for (candidate, expected) in candidates.iter().zip([1000, 2000, 5000]) {
            let off = candidate.connections.abs_diff(expected);
            // The lighter of two at random: even up to a few, not up to the root of the number.
            assert!(off <= 60, "{balance}: {candidates:?}");
        }
    }
}

#[test]
fn of_two_at_random_the_lighter_is_taken() {
    let balancer = Balancer::new(Balance::RandomTwo);
    let mut candidates = of_weights(&[1, 1]);
    candidates[0].connections = 5;
    assert_eq!(chosen(&balancer, &candidates, 50), [2; 50]);
    // Among many, the heaviest is never one of two without a lighter one beside it.
    let mut candidates = of_weights(&[1; 8]);
    candidates[3].connections = 1;
    assert!(!chosen(&balancer, &candidates, 500).contains(&4));
    let counts = counted(chosen(&balancer, &candidates, 7000));
    assert!(counts.len() == 7 && counts.values().all(|count| (700..1300).contains(count)));
}

#[test]
fn sources_spread_by_weight() {
    let balancer = Balancer::new(Balance::SourceHash);
    let candidates = of_weights(&[1, 2, 5, 0]);
    // Sources as bad as hashes can be.
    let ids = (0..16_000).map(|source| balancer.choose(&candidates, Some(source)).unwrap() as u64);
    let counts = counted(ids);
    for (index, expected) in [(0, 2000_usize), (1, 4000), (2, 10_000)] {
        assert!(counts[&index].abs_diff(expected) < 300, "{counts:?}");
    }
}

#[test]
fn a_source_stays_in_every_process() {
    let ids = |balancer: &Balancer| -> Vec<u64> {
        let candidates = of_weights(&[1, 1, 1, 1]);
        (0..8)
            .map(|source| candidates[balancer.choose(&candidates, Some(source)).unwrap()].id)
            .collect()
    };
    // Fixed: it may not change with a release, or all clients of all proxies would move.
    assert_eq!(ids(&Balancer::new(Balance::SourceHash)), FIXED);
}

const FIXED: [u64; 8] = [2, 1, 1, 1, 1, 4, 4, 4];

#[test]
fn without_a_source_they_take_turns() {
    let balancer = Balancer::new(Balance::SourceHash);
    assert_eq!(chosen(&balancer, &of_weights(&[1, 1]), 4), [1, 2, 1, 2]);
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (any::<u64>(), 0_u32..5, 0_usize..4)
        .prop_map(|(id, weight, connections)| Candidate { id, weight, connections });
    prop::collection::vec(one, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_the_sources_of_one_that_leaves_move(
        all in candidates(),
        gone in any::<prop::sample::Index>(),
        source in any::<u64>(),
    ) {
        let balancer = Balancer::new(Balance::SourceHash);
        let Some(before) = balancer.choose(&all, Some(source)) else { return Ok(()) };
        let gone = gone.index(all.len());
        let mut left = all.clone();
        left.remove(gone);
        left.reverse();
        let after = balancer.choose(&left, Some(source)).map(|index| left[index].id);
        if before != gone {
            prop_assert_eq!(after, Some(all[before].id));
        }
    }

    #[test]
    fn a_round_has_everybody_as_often_as_their_weight_says(
        weights in prop::collection::vec(0_u32..6, 1..8),
    ) {
        let candidates = of_weights(&weights);
        let balancer = Balancer::new(Balance::RoundRobin);
        let round: u32 = weights.iter().sum();
        for _ in 0..if round == 0 { 0 } else { 3 } {
            let counts = counted(chosen(&balancer, &candidates, round as usize));
            for candidate in &candidates {
                let count = counts.get(&candidate.id).copied().unwrap_or(0);
                prop_assert_eq!(count, candidate.weight as usize);
            }
        }
    }

    #[test]
    fn whoever_comes_and_goes_somebody_with_a_weight_is_chosen(
        calls in prop::collection::vec((candidates(), any::<Option<u64>>()), 1..12),
    ) {
        for balance in ALL {
            let balancer = Balancer::new(balance);
            for (candidates, source) in &calls {
                let index = balancer.choose(candidates, *source);
                prop_assert_eq!(index.is_some(), candidates.iter().any(|one| one.weight > 0));
                prop_assert!(index.is_none_or(|index| candidates[index].weight > 0));
            }
        }
    }

    #[test]
    fn huge_weights_are_weights(weights in prop::collection::vec(u32::MAX - 2..=u32::MAX, 1..5)) {
        for balance in ALL {
            let candidates = of_weights(&weights);
            let counts = counted(chosen(&Balancer::new(balance), &candidates, weights.len() * 2));
            prop_assert!(balance == Balance::RandomTwo || counts.len() == weights.len());
        }
    }
}
