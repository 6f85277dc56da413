//! The upstreams among which a connection's is chosen.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arc_swap::ArcSwap;
use fdflow_proxy::health::State;
use fdflow_proxy::{Balance, Balancer, Candidate};

use super::target::Target;
use super::upstream::{Trial, Upstream};

/// An upstream and its share.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) upstream: Arc<Upstream>,
    pub(super) weight: u32,
}

/// What a name stood for when it was last looked up.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) first: Vec<Member>,
    /// While none of the first is up.
    pub(super) backup: Vec<Member>,
}

/// Upstreams and how one is chosen.
#[derive(Debug)]
pub(super) struct Pool {
    /// As they are written.
    pub(super) to: Vec<Target>,
    pub(super) backup: Vec<Target>,
    /// Checks try those that are down, so that no client has to.
    checked: bool,
    sticky: bool,
    members: ArcSwap<Members>,
    balancer: Balancer,
}

/// An upstream that was chosen, and the trial that this is, if it is one.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) upstream: Arc<Upstream>,
    pub(super) trial: Option<Trial>,
}

impl Chosen {
    fn new(member: &Member) -> Self {
        Self { upstream: Arc::clone(&member.upstream), trial: None }
    }
}

impl Pool {
    /// Without members yet.
    pub(super) fn new(
        to: Vec<Target>,
        backup: Vec<Target>,
        balance: Balance,
        checked: bool,
    ) -> Self {
        let members = ArcSwap::from_pointee(Members::default());
        let sticky = balance == Balance::SourceHash;
        Self { to, backup, checked, sticky, members, balancer: Balancer::new(balance) }
    }

    /// From now on these.
    pub(super) fn set(&self, members: Members) {
        self.members.store(Arc::new(members));
    }

    pub(super) fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// Whether any of them is up. One that waits for a flow to try it counts too: while nobody
    /// sends flows, nobody finds out.
    pub(super) fn is_ready(&self) -> bool {
        let members = self.members.load();
        let mut all = members.first.iter().chain(&members.backup);
        all.any(|member| match member.upstream.state() {
            State::Up => true,
            State::Trial => !self.checked,
            State::Down { .. } => false,
        })
    }

    /// The one for a client, which is known by a number, or not; none that was `tried`. Where none
    /// is up, one that is thought to be down: a wrong opinion of all of them shall not end the
    /// service.
    pub(super) fn choose(&self, client: Option<u64>, tried: &[Arc<Upstream>]) -> Option<Chosen> {
        let members = self.members.load();
        let is_new = |m: &&Member| !tried.iter().any(|t| Arc::ptr_eq(t, &m.upstream));
        let groups = [&members.first, &members.backup]
            .map(|group| group.iter().filter(is_new).collect::<Vec<_>>());
        let usable = groups.iter().find_map(|group| self.among_usable(group, client));
        usable.or_else(|| {
            groups.iter().find_map(|group| Some(Chosen::new(self.among(group, client)?)))
        })
    }

    fn among_usable(&self, members: &[&Member], client: Option<u64>) -> Option<Chosen> {
        let now = Instant::now();
        let (mut up, mut due) = (Vec::with_capacity(members.len()), Vec::new());
        for member in members {
            match member.upstream.state_at(now) {
                State::Up => up.push(*member),
                State::Trial if !self.checked => due.push(*member),
                State::Trial | State::Down { .. } => {}
            }
        }
        if let Some(member) = self.for_trial(&up, &due, client)
            && let Some(trial) = member.upstream.try_it(now)
        {
            return Some(Chosen { trial: Some(trial), ..Chosen::new(member) });
        }
        Some(Chosen::new(self.among(&up, client)?))
    }

    /// One that is to be tried again goes before: somebody has to, and the next may if it fails.
    /// But who always goes to the same one tries no other.
    fn for_trial<'a>(
        &self,
        up: &[&'a Member],
        due: &[&'a Member],
        client: Option<u64>,
    ) -> Option<&'a Member> {
        let first = *due.first()?;
        if !self.sticky || client.is_none() {
            return Some(first);
        }
        let all: Vec<&Member> = up.iter().chain(due).copied().collect();
        let own = self.among(&all, client)?;
        due.iter().copied().find(|member| Arc::ptr_eq(&member.upstream, &own.upstream))
    }

    fn among<'a>(&self, members: &[&'a Member], client: Option<u64>) -> Option<&'a Member> {
        let candidate = |m: &&Member| Candidate {
            id: m.upstream.id,
            weight: m.weight,
            connections: m.upstream.open.load(Relaxed),
        };
        let candidates: Vec<Candidate> = members.iter().map(candidate).collect();
        members.get(self.balancer.choose(&candidates, client)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool of so many, of which the first is down and may be tried.
    fn pool(balance: Balance, checked: bool, n: u16) -> (Pool, Vec<Arc<Upstream>>) {
        let pool = Pool::new(Vec::new(), Vec::new(), balance, checked);
        let all: Vec<_> = (1..=n).map(Upstream::without_back_off).collect();
        let member =
            |upstream: &Arc<Upstream>| Member { upstream: Arc::clone(upstream), weight: 1 };
        pool.set(Members { first: all.iter().map(member).collect(), backup: Vec::new() });
        all[0].failed("x", &std::io::ErrorKind::ConnectionRefused.into());
        (pool, all)
    }

    #[test]
    fn a_flow_tries_what_may_be_up_again() {
        let (pool, all) = pool(Balance::RoundRobin, false, 2);
        let chosen = pool.choose(None, &[]).unwrap();
        assert!(chosen.trial.is_some() && Arc::ptr_eq(&chosen.upstream, &all[0]));
        let next = pool.choose(None, &[chosen.upstream]).unwrap();
        assert!(next.trial.is_none() && Arc::ptr_eq(&next.upstream, &all[1]));
    }

    #[test]
    fn where_checks_are_made_no_flow_tries_it_unless_all_are_down() {
        let (pool, all) = pool(Balance::RoundRobin, true, 2);
        for _ in 0..4 {
            let chosen = pool.choose(None, &[]).unwrap();
            assert!(chosen.trial.is_none() && Arc::ptr_eq(&chosen.upstream, &all[1]));
        }
        let last = pool.choose(None, &all[1..]).unwrap();
        assert!(last.trial.is_none() && Arc::ptr_eq(&last.upstream, &all[0]));
        assert!(pool.choose(None, &all).is_none());
    }

    #[test]
    fn who_always_goes_to_the_same_upstream_tries_no_other() {
        let (pool, all) = pool(Balance::SourceHash, false, 3);
        let chosen = |client| pool.choose(Some(client), &[]).unwrap();
        let before: Vec<_> = (0..64).map(|client| chosen(client).upstream).collect();
        all[0].succeeded("x");
        let after: Vec<_> = (0..64).map(|client| chosen(client).upstream).collect();
        assert!(before.iter().zip(&after).all(|(before, after)| Arc::ptr_eq(before, after)));
        assert!(all.iter().all(|one| after.iter().any(|other| Arc::ptr_eq(one, other))));
    }

    #[test]
    fn a_pool_is_ready_while_somebody_may_be_up() {
        let (unchecked, _) = pool(Balance::RoundRobin, false, 1);
        assert!(unchecked.is_ready(), "a flow may try it");
        let (checked, all) = pool(Balance::RoundRobin, true, 1);
        assert!(!checked.is_ready(), "checks say that it is down");
        all[0].succeeded("x");
        assert!(checked.is_ready());
        checked.set(Members::default());
        assert!(!checked.is_ready());
    }
}
