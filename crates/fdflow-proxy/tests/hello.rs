//! ClientHellos: those of ordinary clients as they were sent, by hand what is wrong, and cut at
//! random.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod laws;

use fdflow_proxy::hello::{MAX_HELLO, MAX_LENGTH};
use fdflow_proxy::{HelloError, HelloFault, Parsed, server_name};
use laws::{in_records, payloads};
use proptest::prelude::*;

/// What clients sent to a plain listener, in hexadecimal, and the name that they were told.
const CAPTURED: [(&str, Option<&str>); 6] = [
    (include_str!("hellos/openssl-1.3.hex"), Some("mail.example.org")),
    (include_str!("hellos/openssl-1.2.hex"), Some("a.b.example.org")),
    (include_str!("hellos/openssl-no-name.hex"), None),
    (include_str!("hellos/curl-openssl.hex"), Some("www.example.com")),
    (include_str!("hellos/git-gnutls.hex"), Some("code.example.org")),
    (include_str!("hellos/python.hex"), Some("xn--bcher-kva.example")),
];

fn captured() -> impl Iterator<Item = (Vec<u8>, Option<&'static str>)> {
    CAPTURED.into_iter().map(|(text, name)| {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        (digits.chunks(2).map(byte).collect(), name)
    })
}

/// With its length before it, in one byte.
fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// With its length before it, in two bytes.
fn long(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// The parts of a hello, each as it is sent.
#[derive(Clone)]
struct Hello {
    session: Vec<u8>,
    suites: Vec<u8>,
    compression: Vec<u8>,
    extensions: Vec<u8>,
}

impl Hello {
    fn new(extensions: &[(u16, Vec<u8>)]) -> Self {
        let one = |(kind, contents): &(u16, Vec<u8>)| {
            [kind.to_be_bytes().to_vec(), long(contents)].concat()
        };
        Self {
            session: short(&[9; 32]),
            suites: long(&[0x13, 1, 0x13, 2]),
            compression: short(&[0]),
            extensions: long(&extensions.iter().flat_map(one).collect::<Vec<u8>>()),
        }
    }

    /// With these bytes as a name.
    fn named(name: &[u8]) -> Self {
        Self::new(&[(0xaaaa, vec![]), (0, names(&[(0, name)])), (43, vec![2, 3, 4])])
    }

    fn message(&self) -> Vec<u8> {
        let fields = [&self.session, &self.suites, &self.compression, &self.extensions];
        message(&[&[3, 3][..], &[7; 32], &fields.map(Vec::as_slice).concat()].concat())
    }

    fn bytes(&self) -> Vec<u8> {
        in_records(&self.message(), 1 << 14)
    }
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, length[1], length[2], length[3]], body].concat()
}

fn names(list: &[(u8, &[u8])]) -> Vec<u8> {
    long(
        &list
            .iter()
            .flat_map(|(kind, name)| [vec![*kind], long(name)].concat())
            .collect::<Vec<_>>(),
    )
}

fn name(bytes: &[u8]) -> Option<String> {
    laws::check_hello(bytes);
    match server_name(bytes) {
        Ok(Parsed::Done { value, .. }) => value,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn error(bytes: &[u8]) -> HelloError {
    laws::check_hello(bytes);
    server_name(bytes).expect_err("it is refused")
}

fn fault(hello: &Hello) -> HelloFault {
    match error(&hello.bytes()) {
        HelloError::Malformed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_hellos_of_ordinary_clients_say_their_names() {
    for (bytes, expected) in captured() {
        let value = expected.map(str::to_owned);
        let whole = Parsed::Done { value, length: bytes.len() };
        assert_eq!(server_name(&bytes), Ok(whole));
    }
}

#[test]
fn a_hello_is_read_however_it_and_its_records_are_cut() {
    for (bytes, _) in captured() {
        laws::check_hello(&bytes);
    }
}

#[test]
fn what_follows_the_hello_is_left_to_the_stream() {
    let mut bytes = Hello::named(b"a.org").bytes();
    let length = bytes.len();
    // Early data of TLS 1.3 follows in records of its own.
    bytes.extend([20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 5, 1, 2]);
    let whole = Parsed::Done { value: Some("a.org".to_owned()), length };
    assert_eq!(server_name(&bytes), Ok(whole));
}

#[test]
fn a_hello_without_a_name_is_whole() {
    assert_eq!(name(&Hello::new(&[]).bytes()), None);
    assert_eq!(name(&Hello::new(&[(43, vec![2, 3, 4])]).bytes()), None);
    let bare = Hello { extensions: vec![], ..Hello::new(&[]) };
    assert_eq!(name(&bare.bytes()), None);
    let only_another_kind = Hello::new(&[(0, names(&[(7, b"a.org")]))]);
    assert_eq!(name(&only_another_kind.bytes()), None);
}

#[test]
fn names_are_in_lower_case_and_without_a_last_dot() {
    assert_eq!(name(&Hello::named(b"A_b-1.Example.ORG.").bytes()).unwrap(), "a_b-1.example.org");
    assert_eq!(name(&Hello::named(b"localhost").bytes()).unwrap(), "localhost");
    let longest = [[b'a'; 63]; 4].map(|label| label.to_vec()).join(&b'.');
    assert_eq!(name(&Hello::named(&longest[..253]).bytes()).unwrap().len(), 253);
}

#[test]
fn an_address_is_no_name() {
    for address in ["192.0.2.7", "::1", "2001:db8::1", "192.0.2.7."] {
        assert_eq!(name(&Hello::named(address.as_bytes()).bytes()), None, "{address}");
    }
}

#[test]
fn what_is_no_dns_name_is_refused() {
    let long_label = [[b'a'; 64].as_slice(), b".org"].concat();
    let long_name = [[b'a'; 63]; 4].map(|label| label.to_vec()).join(&b'.');
    for bad in [
        &b""[..],
        b".",
        b"a..org",
        b".org",
        b"a.org..",
        b"a\0.org",
        b"a b.org",
        b"*.org",
        b"[::1]",
        b"b\xc3\xbccher.org",
        b"\xff.org",
        b"a.org/x",
        b"a.org\r\n",
        &long_label,
        &long_name[..254],
    ] {
        assert_eq!(fault(&Hello::named(bad)), HelloFault::Name, "{}", bad.escape_ascii());
    }
}

#[test]
fn two_names_are_refused() {
    let twice = names(&[(0, b"a.org"), (0, b"a.org")]);
    assert_eq!(fault(&Hello::new(&[(0, twice)])), HelloFault::TwoNames);
    let one = names(&[(0, b"a.org")]);
    let twice = [(0, one.clone()), (16, vec![]), (0, one)];
    assert_eq!(fault(&Hello::new(&twice)), HelloFault::TwoNames);
}

#[test]
fn a_wrong_list_of_names_is_refused() {
    for contents in [
        vec![],
        vec![0],
        vec![0, 0],
        vec![0, 1, 0],
        vec![0, 3, 0, 0, 9],
        vec![0, 4, 0, 0, 1, b'a', 0],
        vec![0, 5, 0, 0, 1, b'a'],
        vec![0, 4, 0, 0, 2, b'a'],
    ] {
        let hello = Hello::new(&[(0, contents.clone())]);
        assert_eq!(fault(&hello), HelloFault::Names, "{contents:?}");
    }
}

#[test]
fn a_hello_with_a_wrong_field_is_refused_for_it() {
    use HelloFault::*;
    let good = Hello::named(b"a.org");
    let bare = Hello { extensions: vec![], ..good.clone() };
    for (hello, expected) in [
        (Hello { session: short(&[0; 33]), ..good.clone() }, Session),
        (Hello { suites: long(&[]), ..good.clone() }, CipherSuites),
        (Hello { suites: long(&[1, 2, 3]), ..good.clone() }, CipherSuites),
        (Hello { suites: vec![0xff, 0xff], ..good.clone() }, CipherSuites),
        (Hello { compression: short(&[]), ..good.clone() }, Compression),
        (Hello { compression: vec![], ..bare.clone() }, Compression),
        (Hello { compression: vec![2, 0], ..bare.clone() }, Compression),
        (Hello { extensions: vec![0], ..good.clone() }, Extensions),
        (Hello { extensions: [&good.extensions[..], &[0]].concat(), ..good.clone() }, Extensions),
        (Hello { extensions: long(&[0, 43, 0]), ..good.clone() }, Extensions),
        (Hello { extensions: long(&[0, 43, 0, 2, 1]), ..good.clone() }, Extensions),
    ] {
        assert_eq!(fault(&hello), expected);
    }
    let short_of = |length| error(&in_records(&message(&vec![3; length]), 1 << 14));
    assert_eq!(short_of(0), HelloError::Malformed(Short));
    assert_eq!(short_of(33), HelloError::Malformed(Short));
    assert_eq!(short_of(34), HelloError::Malformed(Session));
}

#[test]
fn what_is_no_tls_is_refused_with_the_first_byte_that_differs() {
    // The last one is a hello of SSL 2 that offers TLS 1.0.
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x15\x03\x01\0\x02",
        b"\x17\x03\x03\0\x20",
        b"\x16\x02\0",
        b"\x16\xfe\xff",
        b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10",
    ] {
        assert_eq!(error(bytes), HelloError::NotTls, "{}", bytes.escape_ascii());
    }
    assert_eq!(server_name(b""), Ok(Parsed::More));
    assert_eq!(server_name(b"\x16"), Ok(Parsed::More));
}

#[test]
fn wrong_records_are_refused() {
    use HelloFault::*;
    let hello = Hello::named(b"a.org");
    let first = in_records(&hello.message()[..50], 50);
    let then = |rest: &[u8]| match error(&[&first, rest].concat()) {
        HelloError::Malformed(fault) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(then(&[21, 3, 1, 0, 2, 1, 0]), RecordType(21));
    assert_eq!(then(&[22, 2, 1, 0, 2, 1, 0]), RecordVersion(2));
    assert_eq!(then(&[22, 3, 1, 0, 0]), RecordLength(0));
    assert_eq!(then(&[22, 3, 1, 0x40, 1]), RecordLength(0x4001));
    assert_eq!(error(&[22, 3, 1, 0, 0]), HelloError::Malformed(RecordLength(0)));
    assert_eq!(error(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), HelloError::Malformed(Message(2)));
    let more_in_it = [hello.message(), vec![1]].concat();
    for piece in [1 << 14, more_in_it.len() / 2 + 1] {
        let bytes = in_records(&more_in_it, piece);
        assert_eq!(error(&bytes), HelloError::Malformed(Trailing), "in pieces of {piece}");
    }
}

#[test]
fn a_hello_longer_than_the_bound_is_refused_by_its_announcement() {
    let of_length = |length: usize| {
        let padding = length - Hello::new(&[(21, vec![])]).message().len();
        Hello::new(&[(21, vec![0; padding])])
    };
    let longest = of_length(MAX_HELLO);
    assert_eq!(longest.message().len(), MAX_HELLO);
    let cut = in_records(&longest.message(), 1000);
    assert_eq!(server_name(&cut), Ok(Parsed::Done { value: None, length: cut.len() }));
    let longer = in_records(&of_length(MAX_HELLO + 1).message(), 1000);
    assert_eq!(server_name(&longer[..8]), Ok(Parsed::More));
    assert_eq!(server_name(&longer[..9]), Err(HelloError::TooLong));
    assert_eq!(server_name(&longer), Err(HelloError::TooLong));
}

#[test]
fn a_hello_in_crumbs_is_refused_at_the_bound() {
    let crumbs = in_records(&Hello::new(&[(21, vec![0; 8000])]).message(), 1);
    assert_eq!(server_name(&crumbs[..MAX_LENGTH - 6]), Ok(Parsed::More));
    assert_eq!(server_name(&crumbs[..MAX_LENGTH]), Err(HelloError::TooLong));
    assert_eq!(server_name(&crumbs), Err(HelloError::TooLong));

    // Crumbs, and a record that ends past the bound: refused by its head.
    let message = Hello::new(&[(21, vec![0; 14_000])]).message();
    let (front, back) = message.split_at(5000);
    let crumbs = in_records(front, 1);
    let bytes = [&crumbs[..], &in_records(back, back.len())].concat();
    assert_eq!(server_name(&bytes[..crumbs.len() + 4]), Ok(Parsed::More));
    assert_eq!(server_name(&bytes[..crumbs.len() + 5]), Err(HelloError::TooLong));
    assert_eq!(server_name(&bytes), Err(HelloError::TooLong));
}

#[test]
fn messages_say_what_is_wrong() {
    for (bytes, expected) in [
        (b"GET / ".to_vec(), "not TLS: it does not begin with a record of a handshake"),
        (
            vec![22, 3, 1, 0, 4, 2, 0, 0, 0],
            "malformed ClientHello: the handshake begins with a message of type 2",
        ),
        (Hello::named(b"a b").bytes(), "malformed ClientHello: its server name is no DNS name"),
        (
            vec![22, 3, 1, 0x40, 0, 1, 0xff, 0, 0],
            "ClientHello too long: 16384 bytes are read of one, 32768 with the heads of its records",
        ),
    ] {
        assert_eq!(error(&bytes).to_string(), expected);
    }
}

/// Messages of clients, whole or with one byte changed, in records of many lengths.
fn hellos() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = captured().map(|(bytes, _)| payloads(&bytes)).collect();
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (prop::sample::select(all), prop::option::of(change), 1_usize..600).prop_map(
        |(mut message, change, piece)| {
            if let Some((at, byte)) = change {
                let at = at.index(message.len());
                message[at] = byte;
            }
            in_records(&message, piece)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn hellos_are_read_to_one_end_however_they_are_cut(bytes in hellos()) {
        laws::check_hello(&bytes);
    }

    #[test]
    fn bytes_after_the_head_of_a_record_are_read_to_one_end(
        mut bytes in prop::collection::vec(any::<u8>(), 5..64),
    ) {
        bytes[..5].copy_from_slice(&[22, 3, 1, 0, 40]);
        laws::check_hello(&bytes);
    }

    #[test]
    fn any_name_of_letters_is_read_in_lower_case(given in "[a-zA-Z0-9_-]{1,20}(\\.[a-zA-Z]{1,10}){1,4}") {
        let read = name(&Hello::named(given.as_bytes()).bytes());
        prop_assert_eq!(read, Some(given.to_lowercase()));
    }
}
