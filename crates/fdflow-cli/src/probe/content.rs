//! The bytes that are sent: what they were, what they become, and which of the two arrived.

use super::findings::By;

/// Bytes without a period: no block of them can be lost, repeated or moved unseen.
pub(super) fn pattern(n: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(n + 8);
    let mut word: u64 = 0;
    while bytes.len() < n {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.truncate(n);
    bytes
}

/// What the source's bytes are overwritten with: no byte stays what it was.
pub(super) fn changed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// Compares what arrived with what was sent and, where the source was `overwritten` before the
/// receiver read, tells which of the two states it saw.
pub(super) fn compare(sent: &[u8], got: &[u8], overwritten: bool) -> Result<Option<By>, String> {
    if sent.len() != got.len() {
        return Err(format!("{} bytes were sent, {} arrived", sent.len(), got.len()));
    }
    let mut later = false;
    for (at, (sent, got)) in sent.iter().zip(got).enumerate() {
        if overwritten && *got == !sent {
            later = true;
        } else if got != sent {
            return Err(format!("byte {at} was sent as {sent:#04x} and arrived as {got:#04x}"));
        }
    }
    Ok(match (overwritten, later) {
        (false, _) => None,
        (true, true) => Some(By::Reference),
        (true, false) => Some(By::Copy),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_blocks_of_the_pattern_are_alike() {
        let bytes = pattern(100_003);
        assert_eq!(bytes.len(), 100_003);
        let blocks: HashSet<_> = bytes.chunks_exact(512).collect();
        assert_eq!(blocks.len(), 100_003 / 512);
    }

    #[test]
    fn any_later_byte_is_a_reference_and_a_foreign_one_an_error() {
        let sent = pattern(64);
        let mut got = sent.clone();
        assert_eq!(compare(&sent, &got, true), Ok(Some(By::Copy)));
        assert_eq!(compare(&sent, &got, false), Ok(None));
        got[63] = !got[63];
        assert_eq!(compare(&sent, &got, true), Ok(Some(By::Reference)));
        assert!(compare(&sent, &got, false).is_err());
        got[63] = got[63].wrapping_add(1);
        assert!(compare(&sent, &got, true).is_err());
        assert!(compare(&sent, &sent[1..], true).is_err());
    }
}
