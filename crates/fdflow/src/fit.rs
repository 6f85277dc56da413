//! Whether two ends can be joined at all. Pure, like the plan.

use std::io;

use crate::endpoint::Found;
use crate::error::Fault;
use crate::operation::{Operation, Side};
use crate::transfer::Terms;

/// Says why bytes cannot flow from `from` to `to`, if they cannot.
pub(crate) fn check(from: &Found, to: &Found, terms: &Terms) -> Result<(), Fault> {
    fit(from, Side::Source)?;
    fit(to, Side::Sink)?;
    if !from.traits.readable {
        return Err(misfit(Side::Source, "the source is not open for reading"));
    }
    if !to.traits.writable {
        return Err(misfit(Side::Sink, "the sink is not open for writing"));
    }
    if to.offset.is_some() && to.traits.append {
        let message = "the sink is open for appending, where the kernel ignores offsets: leave \
                       the offset out, or open it without O_APPEND";
        return Err(misfit(Side::Sink, message));
    }
    if overlap(from, to, terms) {
        let message = "source and sink are the same file, and what is written would be read \
                       again: copy to another file, or give a limit and offsets that keep the \
                       two ranges apart";
        return Err(Fault::plain(
            Operation::Probe,
            io::Error::new(io::ErrorKind::InvalidInput, message),
        ));
    }
    Ok(())
}

fn fit(end: &Found, side: Side) -> Result<(), Fault> {
    if let Some(why) = end.traits.kind.unfit() {
        return Err(misfit(side, &format!("the {side} {why}")));
    }
    if end.offset.is_some() && !end.traits.kind.is_seekable() {
        let message = format!("the {side} is a stream and has no offsets: leave the offset out");
        return Err(misfit(side, &message));
    }
    Ok(())
}

fn misfit(side: Side, message: &str) -> Fault {
    let cause = io::Error::new(io::ErrorKind::InvalidInput, message);
    Fault::new(Operation::Probe, side, cause)
}

/// Whether a byte that the transfer writes could be one that it reads.
fn overlap(from: &Found, to: &Found, terms: &Terms) -> bool {
    let same = from.traits.id.is_some() && from.traits.id == to.traits.id;
    if !same || terms.limit() == Some(0) {
        return false;
    }
    let start = from.origin().unwrap_or(0);
    let to_start = if to.traits.append { to.traits.length } else { to.origin() }.unwrap_or(0);
    let Some(limit) = terms.limit() else { return true };
    start < to_start.saturating_add(limit) && to_start < start.saturating_add(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{FileId, Kind, Traits};
    use crate::policy::Policy;

    fn file(inode: u64, origin: u64, length: u64) -> Found {
        let traits = Traits {
            id: Some(FileId { device: 1, inode }),
            length: Some(length),
            position: Some(origin),
            ..Traits::of(Kind::File)
        };
        Found { traits, offset: None, own: false }
    }

    fn limited(limit: Option<u64>) -> Terms {
        Policy { limit, ..Policy::default() }.into()
    }

    #[test]
    fn h13_a_file_onto_itself_is_refused_unless_the_ranges_are_apart() {
        let check = |from: u64, to: u64, limit| {
            check(&file(1, from, 100), &file(1, to, 100), &limited(limit)).is_ok()
        };
        assert!(!check(0, 0, None) && !check(0, 100, None));
        assert!(check(0, 50, Some(50)) && check(50, 0, Some(50)));
        assert!(!check(0, 49, Some(50)) && !check(49, 0, Some(50)));
        assert!(super::check(&file(1, 0, 9), &file(2, 0, 9), &limited(None)).is_ok());
    }

    #[test]
    fn h13_appending_counts_from_the_end() {
        let mut to = file(1, 0, 100);
        to.traits.append = true;
        assert!(check(&file(1, 0, 100), &to, &limited(Some(100))).is_ok());
        assert!(check(&file(1, 0, 100), &to, &limited(Some(101))).is_err());
    }

    #[test]
    fn an_offset_and_appending_contradict_each_other() {
        let mut to = file(2, 0, 9);
        to.traits.append = true;
        to.offset = Some(4);
        let fault = check(&file(1, 0, 9), &to, &limited(None)).unwrap_err();
        assert_eq!(fault.side, Some(Side::Sink));
    }

    #[test]
    fn h19_message_sockets_are_refused_with_their_reason() {
        let mut from = file(1, 0, 0);
        from.traits = Traits::of(Kind::Messages);
        let fault = check(&from, &file(2, 0, 0), &limited(None)).unwrap_err();
        assert_eq!(fault.side, Some(Side::Source));
        assert!(fault.cause.to_string().contains("message boundaries"));
    }

    #[test]
    fn an_offset_needs_a_file() {
        let mut to = file(2, 0, 0);
        to.traits = Traits::of(Kind::Tcp);
        to.offset = Some(4);
        assert!(check(&file(1, 0, 0), &to, &limited(None)).is_err());
    }
}
