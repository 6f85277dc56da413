//! Which of several upstreams takes the next flow.

mod order;
mod random;
mod rendezvous;

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use order::Order;
use random::Random;

/// How upstreams share the flows. Weights count in each of them.
///
/// ```
/// use fdflow_proxy::Balance;
///
/// assert_eq!("least-connections".parse(), Ok(Balance::LeastConnections));
/// assert_eq!(Balance::default().to_string(), "round-robin");
/// assert_eq!(
///     "fair".parse::<Balance>().unwrap_err().to_string(),
///     "no balance `fair`: it is round-robin, least-connections, source-hash or random-two"
/// );
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Balance {
    /// One after another; one of weight 3 comes three times in a round, with others in between.
    #[default]
    RoundRobin,
    /// The one with the fewest connections for its weight; among equals one after another.
    LeastConnections,
    /// A client goes where it went before. When an upstream leaves only its own clients move, and
    /// they come back with it.
    SourceHash,
    /// Of two at random the one with fewer connections for its weight: nearly as even as
    /// `LeastConnections`, and proxies that do not know of each other do not all run to the same.
    RandomTwo,
}

impl Balance {
    const ALL: [Self; 4] =
        [Self::RoundRobin, Self::LeastConnections, Self::SourceHash, Self::RandomTwo];

    fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::SourceHash => "source-hash",
            Self::RandomTwo => "random-two",
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Balance {
    type Err = BalanceError;

    fn from_str(text: &str) -> Result<Self, BalanceError> {
        let known = Self::ALL.into_iter().find(|balance| balance.name() == text);
        known.ok_or_else(|| BalanceError { name: text.to_owned() })
    }
}

/// A name of a [`Balance`] that is none.
///
/// ```
/// use fdflow_proxy::Balance;
///
/// let error = "".parse::<Balance>().unwrap_err();
/// assert!(error.to_string().contains("it is round-robin, "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceError {
    name: String,
}

impl Error for BalanceError {}

impl fmt::Display for BalanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        write!(
            f,
            "no balance `{name}`: it is round-robin, least-connections, source-hash or random-two"
        )
    }
}

/// An upstream that could take a flow now.
///
/// ```
/// use fdflow_proxy::{Balance, Balancer, Candidate};
///
/// let spare = Candidate { id: 1, weight: 0, connections: 0 };
/// assert_eq!(Balancer::new(Balance::RoundRobin).choose(&[spare], None), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which one it is, in whatever order they are given: the same number for as long as the
    /// address is the same, best also after a restart. Any hash of the address will do.
    pub id: u64,
    /// Its share beside the others'. 0: it gets nothing.
    pub weight: u32,
    /// How many flows it has at the moment.
    pub connections: usize,
}

/// Chooses among candidates, who may be others at each call. Threads may share it.
///
/// ```
/// use fdflow_proxy::{Balance, Balancer, Candidate};
///
/// let candidate = |id, weight| Candidate { id, weight, connections: 0 };
/// let all = [candidate(1, 2), candidate(2, 1), candidate(3, 1)];
///
/// let balancer = Balancer::new(Balance::RoundRobin);
/// let round: Vec<_> = (0..4).filter_map(|_| balancer.choose(&all, None)).collect();
/// assert_eq!(round, [0, 1, 2, 0]);
///
/// let balancer = Balancer::new(Balance::SourceHash);
/// let client = Some(0x1234);
/// assert_eq!(balancer.choose(&all, client), balancer.choose(&all, client));
/// ```
#[derive(Debug)]
pub struct Balancer {
    balance: Balance,
    order: Mutex<Order>,
    random: Random,
}

impl Balancer {
    /// Nobody was chosen yet.
    ///
    /// ```
    /// use fdflow_proxy::{Balance, Balancer};
    ///
    /// assert_eq!(Balancer::new(Balance::RandomTwo).choose(&[], None), None);
    /// ```
    #[must_use]
    pub fn new(balance: Balance) -> Self {
        Self { balance, order: Mutex::default(), random: Random::new() }
    }

    /// The index of the candidate that takes the next flow; none if there is none with a weight.
    ///
    /// `source` is any hash of the client's address. [`Balance::SourceHash`] alone looks at it, and
    /// without one (Unix sockets have no address) takes turns.
    ///
    /// ```
    /// use fdflow_proxy::{Balance, Balancer, Candidate};
    ///
    /// let busy = Candidate { id: 1, weight: 1, connections: 7 };
    /// let bigger = Candidate { id: 2, weight: 4, connections: 20 };
    /// let balancer = Balancer::new(Balance::LeastConnections);
    /// assert_eq!(balancer.choose(&[busy, bigger], None), Some(1));
    /// ```
    #[must_use]
    pub fn choose(&self, candidates: &[Candidate], source: Option<u64>) -> Option<usize> {
        match (self.balance, source) {
            (Balance::SourceHash, Some(source)) => rendezvous::choose(candidates, source),
            (Balance::RoundRobin | Balance::SourceHash, _) => {
                self.next(candidates, |candidate| candidate.weight > 0)
            }
            (Balance::LeastConnections, _) => {
                let most_room = candidates.iter().copied().reduce(lighter)?;
                self.next(candidates, |candidate| {
                    candidate.weight > 0 && !is_lighter(&most_room, candidate)
                })
            }
            (Balance::RandomTwo, _) => self.random_two(candidates),
        }
    }

    /// Whose turn it is among those who are `fit`.
    fn next(&self, candidates: &[Candidate], fit: impl Fn(&Candidate) -> bool) -> Option<usize> {
        // What a thread left that panicked is an order as good as any.
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.next(candidates, fit)
    }

    fn random_two(&self, candidates: &[Candidate]) -> Option<usize> {
        let one = self.random.weighted(candidates, None)?;
        let Some(other) = self.random.weighted(candidates, Some(one)) else { return Some(one) };
        let other_is_lighter = is_lighter(&candidates[other], &candidates[one]);
        Some(if other_is_lighter { other } else { one })
    }
}

/// Whether `one` has fewer connections for its weight. Without a weight it never has.
fn is_lighter(one: &Candidate, other: &Candidate) -> bool {
    let load = |connections: usize, weight: u32| connections as u128 * u128::from(weight);
    match (one.weight, other.weight) {
        (0, _) => false,
        (_, 0) => true,
        _ => load(one.connections, other.weight) < load(other.connections, one.weight),
    }
}

fn lighter(one: Candidate, other: Candidate) -> Candidate {
    if is_lighter(&other, &one) { other } else { one }
}
