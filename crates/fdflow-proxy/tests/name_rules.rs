//! Which rule a server name meets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fdflow_proxy::NameRules;
use proptest::prelude::*;

fn rules(patterns: &[&'static str]) -> NameRules<&'static str> {
    let mut rules = NameRules::new();
    for pattern in patterns {
        rules.insert(pattern, *pattern).unwrap();
    }
    rules
}

#[test]
fn exact_comes_before_the_longest_wildcard_before_the_default() {
    let patterns = ["*", "*.org", "a.example.org", "*.example.org", "*.b.example.org"];
    let mut backwards = patterns;
    backwards.reverse();
    for order in [patterns, backwards] {
        let rules = rules(&order);
        for (name, expected) in [
            ("a.example.org", "a.example.org"),
            ("c.example.org", "*.example.org"),
            ("b.example.org", "*.example.org"),
            ("x.y.b.example.org", "*.b.example.org"),
            ("x.a.example.org", "*.example.org"),
            ("example.org", "*.org"),
            ("org", "*"),
            ("example.com", "*"),
        ] {
            assert_eq!(rules.get(Some(name)), Some(&expected), "{name}");
        }
        assert_eq!(rules.get(None), Some(&"*"));
    }
}

#[test]
fn a_wildcard_begins_at_a_dot() {
    let rules = rules(&["*.example.org"]);
    assert_eq!(rules.get(Some("notexample.org")), None);
    assert_eq!(rules.get(Some("example.org")), None);
    assert_eq!(rules.get(Some("")), None);
    assert_eq!(rules.get(None), None);
}

#[test]
fn case_and_a_last_dot_make_no_difference() {
    let rules = rules(&["WWW.Example.org.", "*.Example.COM"]);
    assert_eq!(rules.get(Some("www.example.ORG")), Some(&"WWW.Example.org."));
    assert_eq!(rules.get(Some("a.EXAMPLE.com.")), Some(&"*.Example.COM"));
}

#[test]
fn a_rule_that_is_there_already_is_refused_and_the_first_one_stays() {
    for (first, second) in [("*", "*"), ("a.org", "A.org."), ("*.a.org", "*.A.ORG")] {
        let mut rules = NameRules::new();
        rules.insert(first, 1).unwrap();
        let error = rules.insert(second, 2).unwrap_err().to_string();
        assert_eq!(error, format!("server name `{second}`: there is a rule for it already"));
        assert_eq!(rules.get(Some(&first.replace('*', "x"))), Some(&1));
    }
    // Names below one are not that one.
    rules(&["a.org", "*.a.org", "*"]);
}

#[test]
fn patterns_that_are_none_are_refused_with_the_reason() {
    let why = |pattern: &str| NameRules::new().insert(pattern, ()).unwrap_err().to_string();
    for pattern in ["a.*.org", "**", "*a.org", "*.*.org", "a.*", "*org"] {
        assert!(why(pattern).contains("a star stands alone"), "{}", why(pattern));
    }
    for pattern in ["192.0.2.7", "::1", "*.192.0.2.7"] {
        assert!(why(pattern).contains("it is an address"), "{}", why(pattern));
    }
    assert!(why("bücher.example").contains("xn--"));
    for pattern in ["", "*.", ".", "a..org", ".a.org", "a b.org", "a.org:443", "[::1]", "a.org/"] {
        assert!(why(pattern).contains("it is no DNS name"), "{}", why(pattern));
    }
}

/// Every rule is tried, and the longest pattern that fits wins.
fn naive(patterns: &[String], name: &str) -> Option<String> {
    let fits = |pattern: &&String| match pattern.strip_prefix('*') {
        Some(end) => name.len() > end.len() && name.ends_with(end),
        None => *pattern == name,
    };
    let exact = patterns.iter().find(|pattern| *pattern == name);
    exact.or_else(|| patterns.iter().filter(fits).max_by_key(|p| p.len())).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_choose_as_a_naive_search_does(
        patterns in prop::collection::btree_set("(\\*\\.)?[ab](\\.[ab]){0,3}|\\*", 0..12),
        name in "[ab](\\.[ab]){0,4}",
    ) {
        let patterns: Vec<String> = patterns.into_iter().collect();
        let mut rules = NameRules::new();
        for pattern in &patterns {
            rules.insert(pattern, pattern.clone()).unwrap();
        }
        prop_assert_eq!(rules.get(Some(&name)).cloned(), naive(&patterns, &name));
    }
}
