//! Who may connect: networks, lists of them, and what is allowed and denied.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network, or one address.
///
/// Written `10.0.0.0/8`, `2001:db8::/32`, or as an address alone. Addresses of version 4 that are
/// mapped into version 6 (`::ffff:192.0.2.7`) count as version 4, in the network and in what is
/// asked about: a socket that takes both versions shows them so. `::/0` is all of version 6 and
/// nothing of version 4.
///
/// ```
/// use fdflow_proxy::Network;
///
/// let network: Network = "192.0.2.0/24".parse().unwrap();
/// assert!(network.contains("192.0.2.7".parse().unwrap()));
/// assert!(network.contains("::ffff:192.0.2.7".parse().unwrap()));
/// assert!(!network.contains("192.0.3.7".parse().unwrap()));
/// assert_eq!(network.to_string(), "192.0.2.0/24");
///
/// let error = "192.0.2.7/24".parse::<Network>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "network `192.0.2.7/24`: the address goes on behind the first 24 bits; the network is \
///      192.0.2.0/24, the address alone 192.0.2.7"
/// );
/// ```
// In this order networks that lie in others follow them: of two CIDR blocks that share an address
// one has the other in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address lies in it.
    ///
    /// ```
    /// use fdflow_proxy::Network;
    ///
    /// let network: Network = "2001:db8::/32".parse().unwrap();
    /// assert!(network.contains("2001:db8:1::1".parse().unwrap()));
    /// ```
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && cut(address, self.prefix) == self.first
    }

    /// Of networks that share an address: whether this one is no smaller.
    fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }
}

/// The address without what follows its first `prefix` bits.
fn cut(address: IpAddr, prefix: u8) -> IpAddr {
    let behind = u32::from(width(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

/// Bits of an address.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix == width(self.first) {
            true => self.first.fmt(f),
            false => write!(f, "{}/{}", self.first, self.prefix),
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let first = address.to_canonical();
        Self { first, prefix: width(first) }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = |why| NetworkError { network: text.to_owned(), why };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error(Why::Address))?;
        let Some(prefix) = prefix else { return Ok(address.into()) };
        let width = width(address);
        let prefix = bits(prefix).filter(|bits| *bits <= width).ok_or(error(Why::Prefix(width)))?;
        let first = cut(address, prefix);
        if first != address {
            return Err(error(Why::Behind { address, first, prefix }));
        }
        Ok(canonical(first, prefix))
    }
}

/// A number as it is usually written.
fn bits(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if !plain || padded {
        return None;
    }
    text.parse().ok()
}

/// A network of mapped addresses is one of version 4.
fn canonical(first: IpAddr, prefix: u8) -> Network {
    match (first.to_canonical(), prefix.checked_sub(96)) {
        (IpAddr::V4(mapped), Some(prefix)) if first.is_ipv6() => {
            Network { first: mapped.into(), prefix }
        }
        _ => Network { first, prefix },
    }
}

/// Why a text is no [`Network`].
///
/// ```
/// use fdflow_proxy::Network;
///
/// let error = "10.0.0.0/33".parse::<Network>().unwrap_err();
/// assert_eq!(error.to_string(), "network `10.0.0.0/33`: behind the `/` stands a number up to 32");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkError {
    network: String,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Address,
    Prefix(u8),
    Behind { address: IpAddr, first: IpAddr, prefix: u8 },
}

impl Error for NetworkError {}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network `{}`: ", self.network)?;
        match self.why {
            Why::Address => f.write_str("it is no IP address, as in 10.0.0.0/8, 192.0.2.7 or ::1"),
            Why::Prefix(width) => write!(f, "behind the `/` stands a number up to {width}"),
            Why::Behind { address, first, prefix } => write!(
                f,
                "the address goes on behind the first {prefix} bits; the network is \
                 {first}/{prefix}, the address alone {address}"
            ),
        }
    }
}

/// A list of networks. To look an address up takes a binary search.
///
/// What lies in another network of the list is left out of it.
///
/// ```
/// use fdflow_proxy::{Network, NetworkError, Networks};
///
/// # fn main() -> Result<(), NetworkError> {
/// let networks = ["10.0.0.0/8", "::1", "10.2.0.0/16"]
///     .iter()
///     .map(|text| text.parse())
///     .collect::<Result<Networks, NetworkError>>()?;
/// assert!(networks.contains("10.2.3.4".parse().unwrap()));
/// assert!(!networks.contains("127.0.0.1".parse().unwrap()));
/// assert_eq!(networks.iter().map(Network::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// In order, none in another.
    list: Vec<Network>,
}

impl Networks {
    /// Whether the address lies in any of them.
    ///
    /// ```
    /// use fdflow_proxy::Networks;
    ///
    /// assert!(!Networks::default().contains("192.0.2.7".parse().unwrap()));
    /// ```
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let behind = self.list.partition_point(|network| network.first <= address);
        self.list[..behind].last().is_some_and(|network| network.contains(address))
    }

    /// Whether there is none.
    ///
    /// ```
    /// use fdflow_proxy::Networks;
    ///
    /// assert!(Networks::default().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The networks, in order.
    ///
    /// ```
    /// use fdflow_proxy::{Network, Networks};
    ///
    /// let one: Network = "10.0.0.0/8".parse().unwrap();
    /// assert!(Networks::from_iter([one]).iter().eq([&one]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &Network> {
        self.list.iter()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let mut list: Vec<Network> = networks.into_iter().collect();
        list.sort_unstable();
        list.dedup_by(|next, kept| kept.covers(next));
        Self { list }
    }
}

impl Extend<Network> for Networks {
    fn extend<I: IntoIterator<Item = Network>>(&mut self, networks: I) {
        *self = self.list.drain(..).chain(networks).collect();
    }
}

/// Which clients are let in: nobody who is denied; of the rest, if any network is allowed, only
/// those in an allowed one.
///
/// ```
/// use fdflow_proxy::{Access, Networks};
///
/// let networks = |list: &[&str]| -> Networks {
///     list.iter().map(|text| text.parse::<fdflow_proxy::Network>().unwrap()).collect()
/// };
/// let access = Access { allow: networks(&["10.0.0.0/8"]), deny: networks(&["10.9.0.0/16"]) };
/// assert!(access.permits("10.1.2.3".parse().unwrap()));
/// assert!(!access.permits("10.9.2.3".parse().unwrap()));
/// assert!(!access.permits("192.0.2.7".parse().unwrap()));
/// assert!(Access::default().permits("192.0.2.7".parse().unwrap()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Who is let in. Empty: everybody.
    pub allow: Networks,
    /// Who is not, allowed or not.
    pub deny: Networks,
}

impl Access {
    /// Whether this client is let in.
    ///
    /// ```
    /// use fdflow_proxy::{Access, Network, Networks};
    ///
    /// let deny = Networks::from_iter(["::1".parse::<Network>().unwrap()]);
    /// let access = Access { deny, ..Access::default() };
    /// assert!(!access.permits("::1".parse().unwrap()));
    /// ```
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        !self.deny.contains(address) && (self.allow.is_empty() || self.allow.contains(address))
    }
}
