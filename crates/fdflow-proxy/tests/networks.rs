//! Networks and who is let in.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fdflow_proxy::{Access, Network, Networks};
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn networks(list: &[&str]) -> Networks {
    list.iter().map(|text| network(text)).collect()
}

#[test]
fn networks_have_their_first_and_last_address_and_none_beside_them() {
    for (text, inside, outside) in [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
        ("192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127", "192.0.3.0"]),
        ("192.0.2.7", ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
        ("::/0", ["::", "ffff::"], ["0.0.0.0", "::ffff:192.0.2.7"]),
        ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7::", "2001:db9::"]),
        ("::1", ["::1", "::1"], ["::", "::2"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.0", "::10.1.2.3"]),
        ("::ffff:10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1"], ["10.0.0.2", "::"]),
    ] {
        let network = network(text);
        assert!(inside.iter().all(|address| network.contains(ip(address))), "{text}");
        assert!(!outside.iter().any(|address| network.contains(ip(address))), "{text}");
    }
}

#[test]
fn networks_are_shown_as_one_would_write_them() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:0DB8::/32", "2001:db8::/32"),
        ("::1/128", "::1"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ] {
        assert_eq!(network(text).to_string(), shown);
    }
}

#[test]
fn what_is_no_network_is_refused_with_the_reason() {
    let why = |text: &str| text.parse::<Network>().unwrap_err().to_string();
    for text in ["", "/8", "10.0.0/8", "10.0.0.0.0", "010.0.0.0/8", "[::1]", "fe80::1%eth0", "a"] {
        assert!(why(text).contains("it is no IP address"), "{}", why(text));
    }
    for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8", "::/129"]
    {
        assert!(why(text).contains("stands a number up to"), "{}", why(text));
    }
    assert_eq!(
        why("2001:db8::1/64"),
        "network `2001:db8::1/64`: the address goes on behind the first 64 bits; the network is \
         2001:db8::/64, the address alone 2001:db8::1"
    );
    assert!(why("10.0.0.1/0").contains("the network is 0.0.0.0/0"));
}

#[test]
fn who_is_denied_stays_out_though_allowed() {
    let access = Access {
        allow: networks(&["10.0.0.0/8", "2001:db8::/32"]),
        deny: networks(&["10.9.0.0/16", "2001:db8:bad::/48"]),
    };
    for (address, expected) in [
        ("10.1.0.1", true),
        ("::ffff:10.1.0.1", true),
        ("2001:db8::1", true),
        ("10.9.0.1", false),
        ("::ffff:10.9.0.1", false),
        ("2001:db8:bad::1", false),
        ("192.0.2.7", false),
        ("::1", false),
    ] {
        assert_eq!(access.permits(ip(address)), expected, "{address}");
    }
}

#[test]
fn an_empty_list_allows_all_and_denies_none() {
    let open = Access::default();
    assert!(open.permits(ip("192.0.2.7")) && open.permits(ip("::1")));
    let denying = Access { deny: networks(&["192.0.2.0/24"]), ..Access::default() };
    assert!(!denying.permits(ip("192.0.2.7")) && denying.permits(ip("192.0.3.7")));
}

#[test]
fn a_list_may_grow() {
    let mut list = networks(&["10.2.0.0/16", "192.0.2.7"]);
    list.extend([network("10.0.0.0/8"), network("::1")]);
    assert_eq!(list, networks(&["::1", "192.0.2.7", "10.0.0.0/8"]));
}

/// Addresses that are close to each other, so that networks lie in and beside one another.
fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u8>().prop_map(|low| Ipv4Addr::new(10, 0, 0, low).into()),
        any::<u8>().prop_map(|low| Ipv4Addr::new(10, 0, 0, low).to_ipv6_mapped().into()),
        any::<u8>().prop_map(|low| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low.into()).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ]
}

/// An address, cut as a network is.
fn any_network() -> impl Strategy<Value = Network> {
    (addresses(), 0_u8..=9).prop_map(|(address, free)| match address.to_canonical() {
        IpAddr::V4(ip) => {
            let first = Ipv4Addr::from_bits(ip.to_bits() >> free << free);
            network(&format!("{first}/{}", 32 - free))
        }
        IpAddr::V6(ip) => {
            let first = Ipv6Addr::from_bits(ip.to_bits() >> free << free);
            network(&format!("{first}/{}", 128 - free))
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_list_has_what_any_of_its_networks_has(
        all in prop::collection::vec(any_network(), 0..12),
        asked in prop::collection::vec(addresses(), 8),
    ) {
        let list: Networks = all.iter().copied().collect();
        for address in asked {
            let expected = all.iter().any(|network| network.contains(address));
            prop_assert_eq!(list.contains(address), expected, "{} in {:?}", address, all);
        }
    }

    #[test]
    fn networks_are_read_as_they_are_shown(network in any_network()) {
        prop_assert_eq!(network.to_string().parse(), Ok(network));
    }
}
