//! Version 2: binary.

use std::net::{IpAddr, SocketAddr};

use super::{Header, HeaderError, HeaderFault, MAX_LENGTH, Place, Version};
use crate::Parsed;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length of what follows.
pub(super) const FIXED: usize = 16;

pub(super) const LOCAL: u8 = 0x20;
pub(super) const PROXY: u8 = 0x21;

pub(super) const UNSPECIFIED: u8 = 0x00;
pub(super) const TCP4: u8 = 0x11;
pub(super) const TCP6: u8 = 0x21;
pub(super) const UNIX_STREAM: u8 = 0x31;

/// The room for the name of a Unix socket.
pub(super) const UNIX_NAME: usize = 108;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<Header>, HeaderError> {
    let after = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    if let Some(&byte) = after.first() {
        version_and_command(byte)?;
    }
    if let &[PROXY, family, ..] = after
        && (family >> 4 > 3 || family & 0xf > 2)
    {
        return Err(malformed(HeaderFault::Family(family)));
    }
    let &[command, family, high, low, ref rest @ ..] = after else {
        return Ok(Parsed::More);
    };
    let announced = u16::from_be_bytes([high, low]);
    let length = FIXED + usize::from(announced);
    if length > MAX_LENGTH {
        return Err(HeaderError::TooLong);
    }
    let taken = if command == LOCAL { 0 } else { addresses_length(family) };
    if usize::from(announced) < taken {
        return Err(malformed(HeaderFault::Short(announced)));
    }
    let Some(block) = rest.get(..usize::from(announced)) else { return Ok(Parsed::More) };
    let value = match (command, places(family, block)) {
        (PROXY, Some((source, destination))) => {
            extras(&block[taken..])?;
            Header::Proxied { source, destination }
        }
        _ => Header::Local,
    };
    Ok(Parsed::Done { value, length })
}

fn version_and_command(byte: u8) -> Result<(), HeaderError> {
    match byte {
        LOCAL | PROXY => Ok(()),
        0x20..=0x2f => Err(malformed(HeaderFault::Command(byte & 0xf))),
        _ => Err(malformed(HeaderFault::Version(byte >> 4))),
    }
}

/// The bytes that two addresses of a stream take. Of what is unspecified, or sends datagrams, the
/// header says nothing about a connection, and all of it is skipped.
fn addresses_length(family: u8) -> usize {
    match family {
        TCP4 => 2 * (4 + 2),
        TCP6 => 2 * (16 + 2),
        UNIX_STREAM => 2 * UNIX_NAME,
        _ => 0,
    }
}

fn places(family: u8, block: &[u8]) -> Option<(Place, Place)> {
    match family {
        TCP4 => ips::<4>(block),
        TCP6 => ips::<16>(block),
        UNIX_STREAM => {
            let (source, rest) = block.split_first_chunk::<UNIX_NAME>()?;
            let (destination, _) = rest.split_first_chunk::<UNIX_NAME>()?;
            Some((Place::Unix(unix_name(source)), Place::Unix(unix_name(destination))))
        }
        _ => None,
    }
}

/// Both addresses, then both ports.
fn ips<const BYTES: usize>(block: &[u8]) -> Option<(Place, Place)>
where
    IpAddr: From<[u8; BYTES]>,
{
    let (source, rest) = block.split_first_chunk::<BYTES>()?;
    let (destination, rest) = rest.split_first_chunk::<BYTES>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (destination_port, _) = rest.split_first_chunk::<2>()?;
    let place = |ip: &[u8; BYTES], port: &[u8; 2]| {
        Place::Ip(SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes(*port)))
    };
    Some((place(source, source_port), place(destination, destination_port)))
}

/// A path ends at its first zero. An abstract name begins with one, and may have more: it ends
/// where only zeros follow.
fn unix_name(field: &[u8; UNIX_NAME]) -> Vec<u8> {
    let length = match field[0] {
        0 => field.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1),
        _ => field.iter().position(|byte| *byte == 0).unwrap_or(UNIX_NAME),
    };
    field[..length].to_vec()
}

/// Type, length, value, until the header ends.
fn extras(mut rest: &[u8]) -> Result<(), HeaderError> {
    while !rest.is_empty() {
        let &[_, high, low, ref after @ ..] = rest else {
            return Err(malformed(HeaderFault::Extra));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = after.get(length..).ok_or(malformed(HeaderFault::Extra))?;
    }
    Ok(())
}

fn malformed(fault: HeaderFault) -> HeaderError {
    HeaderError::Malformed { version: Version::V2, fault }
}
