//! What a name of a host may look like.

use std::net::IpAddr;

use super::error::HelloFault;

/// The longest name that fits into DNS, without the dot at its end.
const MAX_NAME: usize = 253;

const MAX_LABEL: usize = 63;

/// The name as a client has sent it, in lower case; none for an address, for which none should
/// have been sent.
pub(super) fn sent(name: &[u8]) -> Result<Option<String>, HelloFault> {
    let name = str::from_utf8(name).map_err(|_| HelloFault::Name)?;
    let name = undotted(name);
    if is_address(name) {
        return Ok(None);
    }
    if !is_host(name) {
        return Err(HelloFault::Name);
    }
    Ok(Some(name.to_ascii_lowercase()))
}

/// Without the dot that only says that the name is whole.
pub(super) fn undotted(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

pub(super) fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

/// Letters, digits, hyphens and, as names in use have them, underscores.
pub(super) fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        matches!(label.len(), 1..=MAX_LABEL)
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= MAX_NAME && name.split('.').all(label)
}
