//! What holds for any bytes: run on random ones by the tests, and on its own by `fuzz/`.
#![allow(dead_code, reason = "each test binary and each target uses its own part of it")]

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};

use fdflow_proxy::Parsed;
use fdflow_proxy::header::{self, Header, Place, Version};
use fdflow_proxy::hello::{self, server_name};

/// Whatever comes, a header is read to the same end however it is cut, and survives being written.
pub(crate) fn check_header(bytes: &[u8]) {
    let outcome = header::parse(bytes);
    check_cuts(bytes, header::MAX_LENGTH, &outcome, header::parse);
    if let Ok(Parsed::Done { value, .. }) = outcome {
        check_written(&value);
    }
}

/// Whatever comes, a hello is read to the same end however it and its records are cut.
pub(crate) fn check_hello(bytes: &[u8]) {
    let outcome = server_name(bytes);
    check_cuts(bytes, hello::MAX_LENGTH, &outcome, server_name);
    let Ok(Parsed::Done { value, length }) = outcome else { return };
    let message = payloads(&bytes[..length]);
    // Cut at places that depend on the hello.
    for piece in [1, 1 + length % 50, message.len()] {
        let cut = in_records(&message, piece);
        if cut.len() < hello::MAX_LENGTH {
            let whole = Parsed::Done { value: value.clone(), length: cut.len() };
            assert_eq!(server_name(&cut), Ok(whole), "in pieces of {piece} bytes");
        }
    }
}

/// What is in these records, all of them whole.
pub(crate) fn payloads(mut records: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = records {
        let (payload, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        message.extend_from_slice(payload);
        records = after;
    }
    message
}

/// A message in records of as many bytes.
pub(crate) fn in_records(message: &[u8], piece: usize) -> Vec<u8> {
    let mut records = Vec::new();
    for payload in message.chunks(piece) {
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
        records.extend_from_slice(&[22, 3, 1, length[0], length[1]]);
        records.extend_from_slice(payload);
    }
    records
}

/// All beginnings up to some length want more; from there on it is one and the same answer, which
/// neither asks for more than `bound` bytes nor takes more than it was given.
fn check_cuts<T: Debug + PartialEq, E: Debug + PartialEq>(
    bytes: &[u8],
    bound: usize,
    outcome: &Result<Parsed<T>, E>,
    parse: impl Fn(&[u8]) -> Result<Parsed<T>, E>,
) {
    let wants_more = |cut: &usize| matches!(parse(&bytes[..*cut]), Ok(Parsed::More));
    let ruled = (0..=bytes.len()).find(|cut| !wants_more(cut));
    if let Ok(Parsed::Done { length, .. }) = outcome {
        assert_eq!(ruled, Some(*length), "it is whole exactly when its last byte is there");
    }
    let Some(ruled) = ruled else {
        assert!(bytes.len() < bound, "more than {bound} bytes are asked for");
        return;
    };
    assert!(ruled <= bound, "{ruled} bytes were needed");
    for cut in ruled..=bytes.len() {
        assert_eq!(&parse(&bytes[..cut]), outcome, "the bytes after {ruled} changed it at {cut}");
    }
    let mut longer = bytes.to_vec();
    longer.extend_from_slice(b"\r\nand the stream\x16\x03\x01\0\0");
    assert_eq!(&parse(&longer), outcome, "the bytes behind it changed it");
}

/// A header is read back as it was written, except where `write` says otherwise.
pub(crate) fn check_written(header: &Header) {
    for version in [Version::V1, Version::V2] {
        let bytes = header::write(version, header);
        let read = header::parse(&bytes);
        let whole = Parsed::Done { value: sayable(version, header), length: bytes.len() };
        assert_eq!(read, Ok(whole), "{version} of {header:?}");
    }
}

/// What is left of a header that a version has carried.
fn sayable(version: Version, header: &Header) -> Header {
    let Header::Proxied { source, destination } = header else { return Header::Local };
    match (source, destination) {
        (Place::Ip(source), Place::Ip(destination)) => {
            let (mut source, mut destination) = (*source, *destination);
            source.set_ip(source.ip().to_canonical());
            destination.set_ip(destination.ip().to_canonical());
            if source.is_ipv4() != destination.is_ipv4() {
                source.set_ip(mapped(source.ip()));
                destination.set_ip(mapped(destination.ip()));
            }
            // Neither version has a place for flow labels and scopes.
            let plain =
                |address: SocketAddr| Place::Ip(SocketAddr::new(address.ip(), address.port()));
            Header::Proxied { source: plain(source), destination: plain(destination) }
        }
        (Place::Unix(_), Place::Unix(_)) if version == Version::V2 => header.clone(),
        _ => Header::Local,
    }
}

fn mapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
        IpAddr::V6(_) => ip,
    }
}
