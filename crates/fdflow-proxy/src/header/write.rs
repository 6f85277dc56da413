//! Making headers.

use std::net::{IpAddr, SocketAddr};

use super::v2::{FIXED, LOCAL, PROXY, SIGNATURE, TCP4, TCP6, UNIX_NAME, UNIX_STREAM, UNSPECIFIED};
use super::{Header, Place, Version};

/// The bytes of a header, to be sent before anything else.
///
/// Two addresses of version 4 stay that, also where a socket of version 6 has shown them as mapped
/// ones; beside an address of version 6, one of version 4 is mapped. What the version cannot say
/// becomes an unknown connection, which every receiver knows: Unix sockets in version 1; in
/// version 2 a Unix socket on one side alone, and names of more than 108 bytes.
///
/// ```
/// use fdflow_proxy::header::{Header, Place, Version, write};
///
/// let header = Header::Proxied {
///     source: Place::Ip("192.0.2.1:56324".parse().unwrap()),
///     destination: Place::Ip("192.0.2.9:443".parse().unwrap()),
/// };
/// let line = write(Version::V1, &header);
/// assert_eq!(line, b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n");
/// assert_eq!(write(Version::V2, &header).len(), 28);
/// ```
#[must_use]
pub fn write(version: Version, header: &Header) -> Vec<u8> {
    match version {
        Version::V1 => line(header),
        Version::V2 => binary(header),
    }
}

fn line(header: &Header) -> Vec<u8> {
    let Header::Proxied { source: Place::Ip(source), destination: Place::Ip(destination) } = header
    else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let (source, destination) = of_one_family(*source, *destination);
    let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let (from_port, to_port) = (source.port(), destination.port());
    format!("PROXY {protocol} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

fn binary(header: &Header) -> Vec<u8> {
    match header {
        Header::Local => framed(LOCAL, UNSPECIFIED, &[]),
        Header::Proxied { source: Place::Ip(source), destination: Place::Ip(destination) } => {
            let (source, destination) = of_one_family(*source, *destination);
            let family = if source.is_ipv4() { TCP4 } else { TCP6 };
            framed(PROXY, family, &ip_block(source, destination))
        }
        Header::Proxied { source: Place::Unix(source), destination: Place::Unix(destination) }
            if source.len().max(destination.len()) <= UNIX_NAME =>
        {
            framed(PROXY, UNIX_STREAM, &unix_block(source, destination))
        }
        Header::Proxied { .. } => framed(PROXY, UNSPECIFIED, &[]),
    }
}

fn framed(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    // The longest block is that of two Unix sockets: 216 bytes.
    let length = u16::try_from(block.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(FIXED + block.len());
    bytes.extend_from_slice(SIGNATURE);
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(block);
    bytes
}

fn ip_block(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut block = Vec::new();
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => block.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => block.extend_from_slice(&ip.octets()),
        }
    }
    for address in [source, destination] {
        block.extend_from_slice(&address.port().to_be_bytes());
    }
    block
}

/// Names no longer than their room, each followed by zeros.
fn unix_block(source: &[u8], destination: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 2 * UNIX_NAME];
    block[..source.len()].copy_from_slice(source);
    block[UNIX_NAME..][..destination.len()].copy_from_slice(destination);
    block
}

fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let (from, to) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V6(to)) => (from.to_ipv6_mapped().into(), to.into()),
        (IpAddr::V6(from), IpAddr::V4(to)) => (from.into(), to.to_ipv6_mapped().into()),
        same => same,
    };
    (SocketAddr::new(from, source.port()), SocketAddr::new(to, destination.port()))
}
