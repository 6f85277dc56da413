//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, HeaderError, HeaderFault, Place, Version};
use crate::Parsed;

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line, with its end: `UNKNOWN` and two addresses of version 6 in full.
pub(super) const MAX_LINE: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<Header>, HeaderError> {
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return unfinished(line);
    };
    match (line[end], line.get(end + 1)) {
        (b'\r', Some(b'\n')) => {}
        (b'\r', None) => return unfinished(line),
        _ => return Err(malformed(HeaderFault::LineEnd)),
    }
    let fields = line.get(SIGNATURE.len()..end).ok_or(malformed(HeaderFault::Protocol))?;
    Ok(Parsed::Done { value: header(fields)?, length: end + 2 })
}

fn unfinished(line: &[u8]) -> Result<Parsed<Header>, HeaderError> {
    match line.len() {
        MAX_LINE.. => Err(HeaderError::TooLong),
        _ => Ok(Parsed::More),
    }
}

/// Everything between the signature and the end of the line.
fn header(fields: &[u8]) -> Result<Header, HeaderError> {
    let fields = String::from_utf8_lossy(fields);
    let (protocol, rest) = fields.split_once(' ').unwrap_or((&fields, ""));
    let address: fn(&str) -> Option<IpAddr> = match protocol {
        // Whatever else the line says is to be ignored.
        "UNKNOWN" => return Ok(Header::Local),
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => return Err(malformed(HeaderFault::Protocol)),
    };
    let fields: Vec<&str> = rest.split(' ').collect();
    let &[source, destination, source_port, destination_port] = fields.as_slice() else {
        return Err(malformed(HeaderFault::Fields));
    };
    let place = |ip: &str, bad_ip, number, bad_port| {
        let ip = address(ip).ok_or(malformed(bad_ip))?;
        let port = port(number).ok_or(malformed(bad_port))?;
        Ok(Place::Ip(SocketAddr::new(ip, port)))
    };
    Ok(Header::Proxied {
        source: place(source, HeaderFault::Source, source_port, HeaderFault::SourcePort)?,
        destination: place(
            destination,
            HeaderFault::Destination,
            destination_port,
            HeaderFault::DestinationPort,
        )?,
    })
}

/// Digits only, and no leading zeros: `parse` alone would let a plus sign and zeros pass.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if !plain || padded {
        return None;
    }
    text.parse().ok()
}

fn malformed(fault: HeaderFault) -> HeaderError {
    HeaderError::Malformed { version: Version::V1, fault }
}
