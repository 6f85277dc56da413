//! Ejected, tried and taken back, on a clock that the test turns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use fdflow_proxy::health::{Health, State};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn ejected(start: Instant, first: Duration, most: Duration) -> Health {
    let mut health = Health::new(1, first, most);
    assert!(health.failed(start));
    health
}

#[test]
fn failures_in_a_row_eject_it_and_a_success_between_them_does_not_count_on() {
    let now = Instant::now();
    let mut health = Health::new(3, SECOND, 60 * SECOND);
    for _ in 0..4 {
        assert!(!health.failed(now) && !health.failed(now));
        assert_eq!((health.state(now), health.fails()), (State::Up, 2));
        assert!(!health.succeeded());
        assert_eq!(health.fails(), 0);
    }
    assert!(!health.failed(now) && !health.failed(now) && health.failed(now));
    assert_eq!(health.state(now), State::Down { until: now + SECOND });
}

#[test]
fn without_a_limit_it_is_never_ejected() {
    let now = Instant::now();
    let mut health = Health::new(0, SECOND, SECOND);
    assert!((0..1000).all(|_| !health.failed(now)));
    assert_eq!((health.state(now), health.fails()), (State::Up, 1000));
    assert!(health.try_it(now) && health.try_it(now));
}

#[test]
fn its_trial_begins_when_its_back_off_ends() {
    let start = Instant::now();
    let mut health = ejected(start, SECOND, 60 * SECOND);
    let just_before = start + SECOND - Duration::from_nanos(1);
    assert_eq!(health.state(just_before), State::Down { until: start + SECOND });
    assert!(!health.try_it(just_before));
    assert_eq!(health.state(start + SECOND), State::Trial);
    assert!(health.try_it(start + SECOND));
}

#[test]
fn the_back_off_doubles_at_each_failed_trial_up_to_the_most() {
    let mut now = Instant::now();
    let mut health = ejected(now, SECOND, 10 * SECOND);
    for expected in [1, 2, 4, 8, 10, 10] {
        let until = now + expected * SECOND;
        assert_eq!(health.state(now), State::Down { until });
        now = until;
        assert!(health.try_it(now));
        assert!(!health.failed(now));
    }
    assert_eq!(health.fails(), 7);
}

#[test]
fn one_that_came_back_begins_with_the_first_back_off() {
    let start = Instant::now();
    let mut health = ejected(start, SECOND, 60 * SECOND);
    assert!(!health.failed(start + SECOND));
    assert!(health.succeeded() && !health.succeeded());
    assert_eq!(health.state(start), State::Up);
    assert!(health.failed(start));
    assert_eq!(health.state(start), State::Down { until: start + SECOND });
}

#[test]
fn late_failures_of_old_flows_do_not_lengthen_the_back_off() {
    let start = Instant::now();
    let mut health = ejected(start, SECOND, 60 * SECOND);
    for _ in 0..50 {
        assert!(!health.failed(start + SECOND / 2));
    }
    assert_eq!(health.state(start + SECOND), State::Trial);
    assert_eq!(health.fails(), 51);
    // Nor do they after a trial that has failed.
    assert!(health.try_it(start + SECOND));
    for _ in 0..50 {
        assert!(!health.failed(start + SECOND));
    }
    assert_eq!(health.state(start + SECOND), State::Down { until: start + 3 * SECOND });
}

#[test]
fn a_check_that_fails_after_the_back_off_is_a_failed_trial() {
    let start = Instant::now();
    let mut health = ejected(start, SECOND, 60 * SECOND);
    assert!(!health.failed(start + 3 * SECOND));
    assert_eq!(health.state(start + 3 * SECOND), State::Down { until: start + 5 * SECOND });
}

#[test]
fn a_trial_of_which_nothing_is_heard_is_given_to_another() {
    let start = Instant::now();
    let mut health = ejected(start, SECOND, 60 * SECOND);
    assert!(health.try_it(start + SECOND));
    assert!(!health.try_it(start + SECOND + SECOND / 2));
    assert_eq!(health.state(start + SECOND), State::Down { until: start + 2 * SECOND });
    assert_eq!(health.state(start + 2 * SECOND), State::Trial);
    assert!(health.try_it(start + 2 * SECOND));
    // The first one's failure, late: it counts for the trial.
    assert!(!health.failed(start + 2 * SECOND));
    assert_eq!(health.state(start + 2 * SECOND), State::Down { until: start + 4 * SECOND });
}

#[test]
fn times_without_bound_are_a_year() {
    let now = Instant::now();
    let year = 365 * 24 * 60 * 60 * SECOND;
    let health = ejected(now, Duration::MAX, Duration::ZERO);
    assert_eq!(health.state(now), State::Down { until: now + year });
    let mut health = ejected(now, Duration::ZERO, Duration::MAX);
    assert_eq!(health.state(now), State::Trial);
    assert!(health.try_it(now));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_leaves_and_comes_back_in_turns(
        max_fails in 0_u32..4,
        events in prop::collection::vec((0_u8..4, 0_u32..3000), 0..60),
    ) {
        let mut now = Instant::now();
        let mut health = Health::new(max_fails, SECOND, 8 * SECOND);
        let mut down = false;
        for (event, passed) in events {
            now += passed * Duration::from_millis(1);
            let before = health.state(now);
            prop_assert_eq!(before != State::Up, down);
            match event {
                0 => down |= health.failed(now),
                1 => prop_assert_eq!(health.succeeded(), std::mem::take(&mut down)),
                _ => prop_assert_eq!(health.try_it(now), !matches!(before, State::Down { .. })),
            }
            if let State::Down { until } = health.state(now) {
                prop_assert!(until > now && until <= now + 8 * SECOND);
            }
            prop_assert!(max_fails != 0 || !down);
            let waits = matches!(health.state(now + 8 * SECOND), State::Down { .. });
            prop_assert!(!waits, "it can be tried in the end");
        }
    }
}
