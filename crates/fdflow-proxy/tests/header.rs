//! PROXY headers: by hand what the protocol's text shows, and cut and changed at random.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod laws;

use std::net::SocketAddr;

use fdflow_proxy::Parsed;
use fdflow_proxy::header::{
    Header, HeaderError, HeaderFault, MAX_LENGTH, Place, Version, parse, write,
};
use proptest::prelude::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn ip(text: &str) -> Place {
    Place::Ip(text.parse::<SocketAddr>().unwrap())
}

fn proxied(source: &str, destination: &str) -> Header {
    Header::Proxied { source: ip(source), destination: ip(destination) }
}

/// A version 2 header of these parts, with the length of the block.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn tcp4() -> Vec<u8> {
    vec![192, 0, 2, 1, 192, 0, 2, 9, 0xdc, 0x04, 0x01, 0xbb]
}

fn done(bytes: &[u8]) -> (Header, usize) {
    laws::check_header(bytes);
    match parse(bytes) {
        Ok(Parsed::Done { value, length }) => (value, length),
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn error(bytes: &[u8]) -> HeaderError {
    laws::check_header(bytes);
    parse(bytes).expect_err("it is refused")
}

fn fault(bytes: &[u8]) -> HeaderFault {
    match error(bytes) {
        HeaderError::Malformed { fault, .. } => fault,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn the_line_before_a_request_says_who_sent_it() {
    let stream = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n\r\n";
    assert_eq!(done(stream), (proxied("192.168.0.1:56324", "192.168.0.11:443"), 47));
}

#[test]
fn the_longest_lines_are_read() {
    let four = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
    assert_eq!(done(four), (proxied("255.255.255.255:65535", "255.255.255.255:65535"), 56));

    let full = ["ffff"; 8].join(":");
    let six = format!("PROXY TCP6 {full} {full} 65535 65535\r\n");
    let end = format!("[{full}]:65535");
    assert_eq!(done(six.as_bytes()), (proxied(&end, &end), 104));

    let unknown = format!("PROXY UNKNOWN {full} {full} 65535 65535\r\n");
    assert_eq!(done(unknown.as_bytes()), (Header::Local, 107));
}

#[test]
fn addresses_of_version_6_may_be_short_and_mapped_ones_stay_so() {
    let line = b"PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.9 1 0\r\n";
    assert_eq!(done(line).0, proxied("[2001:db8::1]:1", "[::ffff:192.0.2.9]:0"));
}

#[test]
fn an_unknown_connection_may_say_anything() {
    for line in
        [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN \r\n", b"PROXY UNKNOWN \xff\0 nonsense\r\n"]
    {
        assert_eq!(done(line), (Header::Local, line.len()));
    }
}

#[test]
fn a_line_with_a_wrong_field_is_refused_for_it() {
    use HeaderFault::*;
    for (line, expected) in [
        ("PROXY \r\n", Protocol),
        ("PROXY  TCP4 192.0.2.1 192.0.2.9 1 2\r\n", Protocol),
        ("PROXY TCP5 192.0.2.1 192.0.2.9 1 2\r\n", Protocol),
        ("PROXY tcp4 192.0.2.1 192.0.2.9 1 2\r\n", Protocol),
        ("PROXY UNKNOWNS\r\n", Protocol),
        ("PROXY TCP4\r\n", Fields),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n", Fields),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 2 \r\n", Fields),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 2 3\r\n", Fields),
        ("PROXY TCP4 192.0.2.1  192.0.2.9 1 2\r\n", Fields),
        ("PROXY TCP4 192.0.2.256 192.0.2.9 1 2\r\n", Source),
        ("PROXY TCP4 192.0.2.01 192.0.2.9 1 2\r\n", Source),
        ("PROXY TCP4 ::1 192.0.2.9 1 2\r\n", Source),
        ("PROXY TCP6 192.0.2.1 ::1 1 2\r\n", Source),
        ("PROXY TCP6 [::1] ::1 1 2\r\n", Source),
        ("PROXY TCP4 192.0.2.1 192.0.2 1 2\r\n", Destination),
        ("PROXY TCP4 192.0.2.1 \u{661}.0.2.9 1 2\r\n", Destination),
        ("PROXY TCP6 ::1 ::1%eth0 1 2\r\n", Destination),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 65536 2\r\n", SourcePort),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 -1 2\r\n", SourcePort),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 +1 2\r\n", SourcePort),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 01 2\r\n", SourcePort),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 http\r\n", DestinationPort),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 00\r\n", DestinationPort),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 2\n", LineEnd),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 2\rX", LineEnd),
        ("PROXY TCP4 192.0.2.1\r 192.0.2.9 1 2\r\n", LineEnd),
        ("PROXY UNKNOWN\n\r\n", LineEnd),
    ] {
        assert_eq!(fault(line.as_bytes()), expected, "{line:?}");
    }
    assert_eq!(fault(b"PROXY TCP4 \xff 192.0.2.9 1 2\r\n"), Source);
}

#[test]
fn a_line_without_an_end_is_refused_at_its_107th_byte() {
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(parse(&endless[..106]), Ok(Parsed::More));
    assert_eq!(error(&endless[..107]), HeaderError::TooLong);
    let mut late = endless.clone();
    late[106..108].copy_from_slice(b"\r\n");
    assert_eq!(error(&late), HeaderError::TooLong);
    late[105..107].copy_from_slice(b"\r\n");
    assert_eq!(done(&late), (Header::Local, 107));
}

#[test]
fn what_begins_like_no_header_is_refused_with_the_first_byte_that_differs() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PROXY\tTCP4",
        b"PROXYING",
        b"proxy TCP4",
        b"PRO\r\n",
        b"\r\n\r\n\r\n",
        b"\x16\x03\x01",
        b"\0",
    ] {
        assert_eq!(error(bytes), HeaderError::NotAHeader, "{}", bytes.escape_ascii());
    }
    assert_eq!(parse(b""), Ok(Parsed::More));
}

#[test]
fn binary_addresses_are_read() {
    assert_eq!(done(&v2(0x21, 0x11, &tcp4())), (proxied("192.0.2.1:56324", "192.0.2.9:443"), 28));

    let mut block = vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    block.extend([0; 15]);
    block.extend([1, 0x13, 0x88, 0, 80]);
    assert_eq!(done(&v2(0x21, 0x21, &block)), (proxied("[2001:db8::1]:5000", "[::1]:80"), 52));
}

#[test]
fn unix_names_end_where_their_zeros_begin() {
    let of = |source: &[u8], destination: &[u8]| {
        let mut block = vec![0; 216];
        block[..source.len()].copy_from_slice(source);
        block[108..108 + destination.len()].copy_from_slice(destination);
        match done(&v2(0x21, 0x31, &block)) {
            (Header::Proxied { source: Place::Unix(a), destination: Place::Unix(b) }, 232) => {
                (a, b)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(b"", b"/run/app.sock"), (vec![], b"/run/app.sock".to_vec()));
    assert_eq!(of(b"/a\0left over", b"\0a\0b"), (b"/a".to_vec(), b"\0a\0b".to_vec()));
    assert_eq!(of(&[b'x'; 108], b"").0, [b'x'; 108]);
}

#[test]
fn a_local_command_is_local_whatever_else_it_says() {
    assert_eq!(done(&v2(0x20, 0, &[])), (Header::Local, 16));
    assert_eq!(done(&v2(0x20, 0x11, &tcp4())), (Header::Local, 28));
    assert_eq!(done(&v2(0x20, 0xff, &[1, 2, 3])), (Header::Local, 19));
}

#[test]
fn what_is_no_stream_is_local() {
    for family in [0x00, 0x01, 0x02, 0x10, 0x12, 0x20, 0x22, 0x30, 0x32] {
        assert_eq!(done(&v2(0x21, family, &[0xff; 40])), (Header::Local, 56), "{family:#x}");
    }
}

#[test]
fn what_follows_the_addresses_is_skipped() {
    let extras = [&[0x04, 0, 0][..], &[0x02, 0, 11], b"example.org", &[0xee, 0, 1, 7]].concat();
    let header = v2(0x21, 0x11, &[tcp4(), extras].concat());
    let stream = [&header[..], b"SSH-2.0-"].concat();
    let expected = (proxied("192.0.2.1:56324", "192.0.2.9:443"), header.len());
    assert_eq!(done(&stream), expected);
}

#[test]
fn what_haproxy_sends_is_read() {
    // HAProxy 2.6, `send-proxy-v2` with a checksum and an empty unique id, and the client's bytes.
    let mut block = vec![127, 0, 0, 1, 127, 0, 0, 1, 0x9f, 0x52, 0xea, 0x21];
    block.extend([3, 0, 4, 0x1e, 0xd0, 0x96, 0xa8, 5, 0, 0]);
    let stream = [&v2(0x21, 0x11, &block), &b"hello"[..]].concat();
    assert_eq!(done(&stream), (proxied("127.0.0.1:40786", "127.0.0.1:59937"), 38));
}

#[test]
fn a_binary_header_with_a_wrong_field_is_refused_for_it() {
    use HeaderFault::*;
    assert_eq!(fault(&v2(0x11, 0x11, &tcp4())), Version(1));
    assert_eq!(fault(&v2(0x31, 0x11, &tcp4())), Version(3));
    assert_eq!(fault(&v2(0x22, 0x11, &tcp4())), Command(2));
    assert_eq!(fault(&v2(0x2f, 0x11, &tcp4())), Command(15));
    for family in [0x41, 0xf0, 0x13, 0x1f, 0x03, 0x33] {
        assert_eq!(fault(&v2(0x21, family, &tcp4())), Family(family));
    }
    assert_eq!(fault(&v2(0x21, 0x11, &tcp4()[..11])), Short(11));
    assert_eq!(fault(&v2(0x21, 0x11, &[])), Short(0));
    assert_eq!(fault(&v2(0x21, 0x21, &[0; 35])), Short(35));
    assert_eq!(fault(&v2(0x21, 0x31, &[0; 215])), Short(215));
    for extra in [&[4][..], &[4, 0], &[4, 0, 1], &[4, 0, 0, 4, 1, 0, 9]] {
        assert_eq!(fault(&v2(0x21, 0x11, &[&tcp4(), extra].concat())), Extra, "{extra:?}");
    }
}

#[test]
fn a_wrong_field_is_refused_before_the_rest_has_come() {
    let refused_at = |bytes: &[u8], cut: usize| {
        assert_eq!(parse(&bytes[..cut - 1]), Ok(Parsed::More));
        assert!(parse(&bytes[..cut]).is_err());
    };
    refused_at(&v2(0x31, 0x11, &tcp4()), 13);
    refused_at(&v2(0x21, 0x41, &tcp4()), 14);
    refused_at(&v2(0x21, 0x21, &tcp4()), 16);
    refused_at(b"PROXY TCP4 192.0.2.1\n", 21);
}

#[test]
fn a_header_longer_than_the_bound_is_refused_by_its_announcement() {
    let mut block = tcp4();
    let extra = u16::try_from(MAX_LENGTH - 16 - 12 - 3).unwrap().to_be_bytes();
    block.extend([4, extra[0], extra[1]]);
    block.resize(MAX_LENGTH - 16, 0);
    assert_eq!(done(&v2(0x21, 0x11, &block)).1, MAX_LENGTH);
    block.push(0);
    assert_eq!(error(&v2(0x21, 0x11, &block)), HeaderError::TooLong);
    assert_eq!(error(&v2(0x20, 0, &[0; 0xffff])[..16]), HeaderError::TooLong);
}

#[test]
fn headers_are_written_as_their_text_has_them() {
    let four = proxied("192.0.2.1:56324", "192.0.2.9:443");
    assert_eq!(write(Version::V1, &four), b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n");
    assert_eq!(write(Version::V2, &four), v2(0x21, 0x11, &tcp4()));
    let six = proxied("[2001:db8::1]:1", "[::1]:2");
    assert_eq!(write(Version::V1, &six), b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n");
    assert_eq!(write(Version::V1, &Header::Local), b"PROXY UNKNOWN\r\n");
    assert_eq!(write(Version::V2, &Header::Local), v2(0x20, 0, &[]));
}

#[test]
fn mapped_addresses_are_written_as_version_4_and_mixed_ones_as_6() {
    let mapped = proxied("[::ffff:192.0.2.1]:1", "192.0.2.9:2");
    assert_eq!(write(Version::V1, &mapped), b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n");
    let mixed = proxied("[2001:db8::1]:1", "192.0.2.9:2");
    assert_eq!(write(Version::V1, &mixed), b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.9 1 2\r\n");
}

#[test]
fn what_a_version_cannot_say_is_written_as_unknown() {
    let unix = |name: &[u8]| Place::Unix(name.to_vec());
    let both = Header::Proxied { source: unix(b""), destination: unix(b"/a") };
    assert_eq!(write(Version::V1, &both), b"PROXY UNKNOWN\r\n");
    let half = Header::Proxied { source: ip("192.0.2.1:1"), destination: unix(b"/a") };
    assert_eq!(write(Version::V2, &half), v2(0x21, 0, &[]));
    let long = Header::Proxied { source: unix(b""), destination: unix(&[b'a'; 109]) };
    assert_eq!(write(Version::V2, &long), v2(0x21, 0, &[]));
}

#[test]
fn messages_say_which_version_and_what_is_wrong() {
    for (bytes, expected) in [
        (b"SSH-2.0".to_vec(), "not a PROXY header: it begins like neither v1 nor v2"),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 70000\r\n".to_vec(),
            "malformed PROXY v1 header: the destination's port is no number from 0 to 65535",
        ),
        (v2(0x24, 0, &[]), "malformed PROXY v2 header: its command 0x4 is neither LOCAL nor PROXY"),
        (
            v2(0x21, 0x21, &tcp4()),
            "malformed PROXY v2 header: it announces 12 bytes, fewer than the addresses of its \
             family take",
        ),
        (
            v2(0x21, 0, &[0; 5000]),
            "PROXY header too long: v1 may have 107 bytes, and 4096 are read of a v2",
        ),
    ] {
        assert_eq!(error(&bytes).to_string(), expected);
    }
}

/// Headers of either version, whole, with fields that are near the mark or off it.
fn near_headers() -> impl Strategy<Value = Vec<u8>> {
    let line = (
        prop::sample::select(vec!["TCP4", "TCP6", "UNKNOWN", "TCP"]),
        prop::collection::vec("[0-9a-f.:]{0,16}|192\\.0\\.2\\.[1-9]|::[1-9]|[0-9]{1,5}", 0..6),
        prop::sample::select(vec!["\r\n", "\n", "\r", ""]),
    )
        .prop_map(|(protocol, fields, end)| {
            format!("PROXY {protocol} {}{end}", fields.join(" ")).into_bytes()
        });
    let binary = (
        prop::sample::select(vec![0x20, 0x21, 0x22, 0x11]),
        prop::sample::select(vec![0x00, 0x11, 0x21, 0x31, 0x12, 0x41]),
        prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..260),
    )
        .prop_map(|(command, family, block)| v2(command, family, &block));
    // A header as it should be, but for one byte.
    let off_by_one = (places(), places(), any::<bool>(), any::<prop::sample::Index>(), any::<u8>())
        .prop_map(|(source, destination, text, at, byte)| {
            let version = if text { Version::V1 } else { Version::V2 };
            let mut bytes = write(version, &Header::Proxied { source, destination });
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        });
    prop_oneof![line, binary, off_by_one]
}

fn places() -> impl Strategy<Value = Place> {
    // A path has no zero in it, and an abstract name does not end in one.
    let unix = "(\0[a-z\0]{0,40}[a-z]|/[a-z/]{0,107})?";
    prop_oneof![
        any::<SocketAddr>().prop_map(Place::Ip),
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| {
            let ip = std::net::Ipv4Addr::from(ip).to_ipv6_mapped();
            Place::Ip((ip, port).into())
        }),
        unix.prop_map(|name| Place::Unix(name.into_bytes())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_read_to_one_end_however_they_are_cut(
        bytes in prop_oneof![near_headers(), prop::collection::vec(any::<u8>(), 0..64)],
    ) {
        laws::check_header(&bytes);
    }

    #[test]
    fn what_is_written_is_read(source in places(), destination in places()) {
        laws::check_written(&Header::Proxied { source, destination });
    }
}
