//! Which routes to try for a pair, in which order. Pure: no system call is made here.

use arrayvec::ArrayVec;

use crate::endpoint::Found;
use crate::kind::Kind;
use crate::operation::Side;
use crate::policy::{Sparse, Stability};
use crate::report::{Reason, Refusal};
use crate::route::Route;
use crate::transfer::Terms;

/// A way to move bytes, as an engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Reflink,
    CopyFileRange,
    Sendfile,
    /// One call: an end is a pipe.
    Splice,
    /// Two calls: through a private pipe.
    SpliceStaged,
    ReadWrite,
}

impl Way {
    pub(crate) const fn route(self) -> Route {
        match self {
            Self::Reflink => Route::Reflink,
            Self::CopyFileRange => Route::CopyFileRange,
            Self::Sendfile => Route::Sendfile,
            Self::Splice | Self::SpliceStaged => Route::Splice,
            Self::ReadWrite => Route::ReadWrite,
        }
    }
}

/// Ways in the order of preference.
pub(crate) type Ways = ArrayVec<Way, 4>;

/// The ways to try, best first, and why better ones are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    pub(crate) ways: Ways,
    pub(crate) refused: ArrayVec<Refusal, 4>,
    /// Both ends are sockets: whether splicing pays depends on how large the pieces are, which
    /// only the flow itself can tell.
    pub(crate) paced: bool,
}

/// Plans a transfer from `from` to `to`.
pub(crate) fn plan(from: &Found, to: &Found, terms: &Terms) -> Plan {
    let (source, sink) = (from.traits.kind, to.traits.kind);
    let mut plan = Plan::default();
    if let Some(side) = without_descriptor(source, sink) {
        plan.refused.push(Refusal::new(Route::Splice, Reason::NoDescriptor(side)));
    }
    for way in preferred(source, sink).iter().copied() {
        match objection(way, from, to, terms) {
            Some(reason) => plan.refused.push(Refusal::new(way.route(), reason)),
            None => plan.ways.push(way),
        }
    }
    plan.paced = plan.ways[..] == [Way::SpliceStaged, Way::ReadWrite]
        && source.is_stream()
        && sink.is_stream();
    plan
}

/// The order of preference for a pair, as measured (see the table in the README).
fn preferred(source: Kind, sink: Kind) -> &'static [Way] {
    use Way::{CopyFileRange, ReadWrite, Reflink, Sendfile, Splice, SpliceStaged};
    match (source, sink) {
        (Kind::User, _) | (_, Kind::User) => &[ReadWrite],
        (Kind::Tty, _) | (_, Kind::Tty) => &[ReadWrite],
        (Kind::Pipe, _) | (_, Kind::Pipe) => &[Splice, ReadWrite],
        (Kind::File, Kind::File) => &[Reflink, CopyFileRange, SpliceStaged, ReadWrite],
        (Kind::Block, Kind::File | Kind::Block) | (Kind::File, Kind::Block) => {
            &[ReadWrite, SpliceStaged]
        }
        (Kind::Device, _) => &[ReadWrite, SpliceStaged],
        (Kind::File | Kind::Block, _) => &[Sendfile, SpliceStaged, ReadWrite],
        _ => &[SpliceStaged, ReadWrite],
    }
}

fn without_descriptor(source: Kind, sink: Kind) -> Option<Side> {
    match (source, sink) {
        (Kind::User, _) => Some(Side::Source),
        (_, Kind::User) => Some(Side::Sink),
        _ => None,
    }
}

/// Why `way` is out of the question, whatever the kernel says.
fn objection(way: Way, from: &Found, to: &Found, terms: &Terms) -> Option<Reason> {
    let (source, sink) = (from.traits.kind, to.traits.kind);
    if !terms.routes.contains(way.route()) {
        return Some(Reason::Denied);
    }
    let files = source == Kind::File && sink == Kind::File;
    let by_reference = matches!(way, Way::Sendfile | Way::Splice | Way::SpliceStaged);
    let may_change = terms.stability == Stability::Snapshot && !from.traits.sealed;
    if may_change && by_reference && sink != Kind::File {
        return Some(Reason::PassesReferences);
    }
    if files && way != Way::ReadWrite {
        match terms.sparse {
            Sparse::Always => return Some(Reason::ZerosUnseen),
            Sparse::Never if !by_reference => return Some(Reason::MayLeaveHoles),
            _ => {}
        }
    }
    if way == Way::Sendfile && to.offset.is_some() {
        return Some(Reason::NoSinkOffset);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Traits;
    use crate::policy::Policy;
    use crate::route::Routes;

    fn end(kind: Kind) -> Found {
        Found { traits: Traits::of(kind), offset: None, own: false }
    }

    fn open() -> Policy {
        Policy { routes: Routes::all(), ..Policy::default() }
    }

    fn ways(from: Kind, to: Kind, policy: &Policy) -> Vec<Way> {
        plan(&end(from), &end(to), &Terms::from(*policy)).ways.to_vec()
    }

    #[test]
    fn each_pair_has_the_order_of_the_table() {
        use Way::{CopyFileRange, ReadWrite, Reflink, Sendfile, Splice, SpliceStaged};
        let table: [(Kind, Kind, &[Way]); 9] = [
            (Kind::File, Kind::File, &[Reflink, CopyFileRange, SpliceStaged, ReadWrite]),
            (Kind::File, Kind::Tcp, &[Sendfile, SpliceStaged, ReadWrite]),
            (Kind::File, Kind::Pipe, &[Splice, ReadWrite]),
            (Kind::Pipe, Kind::Pipe, &[Splice, ReadWrite]),
            (Kind::Tcp, Kind::Unix, &[SpliceStaged, ReadWrite]),
            (Kind::Unix, Kind::File, &[SpliceStaged, ReadWrite]),
            (Kind::Tty, Kind::Pipe, &[ReadWrite]),
            (Kind::User, Kind::Tcp, &[ReadWrite]),
            (Kind::Tcp, Kind::Device, &[SpliceStaged, ReadWrite]),
        ];
        for (from, to, expected) in table {
            assert_eq!(ways(from, to, &open()), expected, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn only_sockets_at_both_ends_are_paced() {
        let paced = |from, to| plan(&end(from), &end(to), &open().into()).paced;
        assert!(paced(Kind::Tcp, Kind::Unix) && paced(Kind::Unix, Kind::Unix));
        assert!(!paced(Kind::Tcp, Kind::File) && !paced(Kind::Pipe, Kind::Tcp));
    }

    #[test]
    fn a_denied_route_is_told_and_not_taken() {
        let policy = Policy { routes: Routes::all().without(Route::Sendfile), ..open() };
        let plan = plan(&end(Kind::File), &end(Kind::Tcp), &policy.into());
        assert_eq!(plan.ways[..], [Way::SpliceStaged, Way::ReadWrite]);
        assert_eq!(plan.refused[..], [Refusal::new(Route::Sendfile, Reason::Denied)]);
    }

    #[test]
    fn h11_a_snapshot_takes_no_route_that_passes_references_on() {
        let policy = Policy { stability: Stability::Snapshot, ..open() };
        assert_eq!(ways(Kind::File, Kind::Tcp, &policy), [Way::ReadWrite]);
        assert_eq!(ways(Kind::File, Kind::Pipe, &policy), [Way::ReadWrite]);
        assert_eq!(ways(Kind::Tcp, Kind::File, &policy), [Way::SpliceStaged, Way::ReadWrite]);
    }

    #[test]
    fn a_snapshot_of_a_source_that_cannot_change_may_be_passed_on_by_reference() {
        let terms = Policy { stability: Stability::Snapshot, ..open() }.into();
        let mut sealed = end(Kind::File);
        sealed.traits.sealed = true;
        let plan = plan(&sealed, &end(Kind::Tcp), &terms);
        assert_eq!(plan.ways[..], [Way::Sendfile, Way::SpliceStaged, Way::ReadWrite]);
        assert!(plan.refused.is_empty());
    }

    #[test]
    fn what_becomes_of_holes_decides_between_files() {
        let policy = |sparse| Policy { sparse, ..open() };
        let files = |sparse| ways(Kind::File, Kind::File, &policy(sparse));
        assert_eq!(files(Sparse::Always), [Way::ReadWrite]);
        assert_eq!(files(Sparse::Never), [Way::SpliceStaged, Way::ReadWrite]);
    }
}
