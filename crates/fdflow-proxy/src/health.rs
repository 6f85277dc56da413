//! Whether an upstream may be given flows: ejected after failures, tried again, taken back.

use std::time::{Duration, Instant};

/// No back-off is longer: what is added to a point in time must be one too.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The health of one upstream, from what became of the flows and checks that went to it. The time
/// is given in.
///
/// So many failures in a row eject it. After a back-off one flow may try it: a success takes it
/// back, a failure doubles the back-off.
///
/// ```
/// use std::time::{Duration, Instant};
/// use fdflow_proxy::health::{Health, State};
///
/// let second = Duration::from_secs(1);
/// let start = Instant::now();
/// let mut health = Health::new(2, second, 60 * second);
/// assert!(!health.failed(start));
/// assert!(health.failed(start), "the second failure ejects it");
/// assert_eq!(health.state(start), State::Down { until: start + second });
///
/// let later = start + second;
/// assert_eq!(health.state(later), State::Trial);
/// assert!(health.try_it(later));
/// assert!(!health.try_it(later), "one flow is enough");
/// assert!(!health.failed(later), "it was ejected already");
/// assert_eq!(health.state(later), State::Down { until: later + 2 * second });
///
/// assert!(health.succeeded(), "it is back");
/// assert_eq!(health.state(later), State::Up);
/// ```
#[derive(Debug, Clone)]
pub struct Health {
    max_fails: u32,
    first: Duration,
    most: Duration,
    fails: u32,
    ejected: Option<Ejected>,
}

#[derive(Debug, Clone)]
struct Ejected {
    back_off: Duration,
    /// When it may be tried, or, while it is tried, when the next may.
    until: Instant,
    tried: bool,
}

/// What [`Health::state`] says.
///
/// ```
/// use std::time::{Duration, Instant};
/// use fdflow_proxy::health::{Health, State};
///
/// let health = Health::new(3, Duration::from_secs(1), Duration::from_secs(60));
/// assert_eq!(health.state(Instant::now()), State::Up);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes flows.
    Up,
    /// It is ejected, or a flow is trying it.
    Down {
        /// When it may be tried, unless the flow that is trying it has failed or succeeded before.
        until: Instant,
    },
    /// Its back-off is over: one flow may [try it](Health::try_it).
    Trial,
}

impl Health {
    /// Up, and ejected after `max_fails` failures in a row (0: never); for `first`, then for twice
    /// as long at each trial that fails, and at most for `most`, which is no less than `first` and
    /// no more than a year.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::{Health, State};
    ///
    /// let mut health = Health::new(0, Duration::from_secs(1), Duration::from_secs(60));
    /// assert!(!health.failed(Instant::now()));
    /// assert_eq!(health.state(Instant::now()), State::Up);
    /// ```
    #[must_use]
    pub fn new(max_fails: u32, first: Duration, most: Duration) -> Self {
        let first = first.min(LONGEST);
        Self { max_fails, first, most: most.clamp(first, LONGEST), fails: 0, ejected: None }
    }

    /// A flow or a check could not reach it. True: it has just been ejected.
    ///
    /// Flows that began before it was ejected may fail later, all at once: while its back-off lasts
    /// and nobody tries it, a failure is counted and changes nothing else.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::Health;
    ///
    /// let mut health = Health::new(1, Duration::from_secs(1), Duration::from_secs(60));
    /// assert!(health.failed(Instant::now()));
    /// assert!(!health.failed(Instant::now()));
    /// ```
    pub fn failed(&mut self, now: Instant) -> bool {
        self.fails = self.fails.saturating_add(1);
        match &mut self.ejected {
            Some(ejected) if ejected.tried || now >= ejected.until => {
                ejected.back_off = ejected.back_off.saturating_mul(2).min(self.most);
                ejected.until = after(now, ejected.back_off);
                ejected.tried = false;
                false
            }
            Some(_) => false,
            None if self.max_fails == 0 || self.fails < self.max_fails => false,
            None => {
                let back_off = self.first;
                self.ejected =
                    Some(Ejected { back_off, until: after(now, back_off), tried: false });
                true
            }
        }
    }

    /// A flow or a check has reached it: its failures are forgotten. True: it has just come back.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::Health;
    ///
    /// let mut health = Health::new(1, Duration::from_secs(1), Duration::from_secs(60));
    /// health.failed(Instant::now());
    /// assert!(health.succeeded());
    /// assert!(!health.succeeded());
    /// ```
    pub fn succeeded(&mut self) -> bool {
        self.fails = 0;
        self.ejected.take().is_some()
    }

    /// Whether it may be given flows.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::{Health, State};
    ///
    /// let start = Instant::now();
    /// let mut health = Health::new(1, Duration::from_secs(5), Duration::from_secs(60));
    /// health.failed(start);
    /// assert_eq!(health.state(start + Duration::from_secs(5)), State::Trial);
    /// ```
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        match &self.ejected {
            None => State::Up,
            Some(ejected) if now < ejected.until => State::Down { until: ejected.until },
            Some(_) => State::Trial,
        }
    }

    /// Whether this flow may go to it. In a trial this takes the trial: others are refused it until
    /// it has failed or succeeded, or for as long as the back-off was, should nothing be heard.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::Health;
    ///
    /// let mut health = Health::new(1, Duration::from_secs(1), Duration::from_secs(60));
    /// assert!(health.try_it(Instant::now()), "it is up");
    /// health.failed(Instant::now());
    /// assert!(!health.try_it(Instant::now()), "it is down");
    /// ```
    pub fn try_it(&mut self, now: Instant) -> bool {
        match &mut self.ejected {
            None => true,
            Some(ejected) if now < ejected.until => false,
            Some(ejected) => {
                ejected.until = after(now, ejected.back_off);
                ejected.tried = true;
                true
            }
        }
    }

    /// The flow that was [trying it](Self::try_it) went away before it was known how it is: the
    /// next may. Nothing happens where it has failed or succeeded.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::Health;
    ///
    /// let mut health = Health::new(1, Duration::from_secs(1), Duration::from_secs(60));
    /// health.failed(Instant::now());
    /// let later = Instant::now() + Duration::from_secs(1);
    /// assert!(health.try_it(later) && !health.try_it(later));
    /// health.give_up(later);
    /// assert!(health.try_it(later));
    /// ```
    pub fn give_up(&mut self, now: Instant) {
        if let Some(ejected) = self.ejected.as_mut().filter(|ejected| ejected.tried) {
            ejected.tried = false;
            ejected.until = now;
        }
    }

    /// From now on so many failures in a row eject it. What is known of it stays known, but for 0,
    /// which takes it back.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::{Health, State};
    ///
    /// let mut health = Health::new(1, Duration::from_secs(1), Duration::from_secs(60));
    /// health.failed(Instant::now());
    /// health.set_max_fails(0);
    /// assert_eq!(health.state(Instant::now()), State::Up);
    /// ```
    pub fn set_max_fails(&mut self, max_fails: u32) {
        self.max_fails = max_fails;
        if max_fails == 0 {
            self.ejected = None;
        }
    }

    /// Failures in a row, up to now.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use fdflow_proxy::health::Health;
    ///
    /// let mut health = Health::new(3, Duration::from_secs(1), Duration::from_secs(60));
    /// health.failed(Instant::now());
    /// assert_eq!(health.fails(), 1);
    /// ```
    #[must_use]
    pub fn fails(&self) -> u32 {
        self.fails
    }
}

/// At the end of what a clock can show, now.
fn after(now: Instant, back_off: Duration) -> Instant {
    now.checked_add(back_off).unwrap_or(now)
}
