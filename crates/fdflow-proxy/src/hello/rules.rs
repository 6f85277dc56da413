//! What is chosen for which name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use super::name::{is_address, is_host, undotted};

/// Values by server name: exact names, all names below one, and everything else.
///
/// A pattern is a name; or `*.example.org` for every name below `example.org`, however many labels
/// deep, but not for that itself; or `*` for what no other pattern fits and for clients that send
/// no name. The case of letters and a dot at the end make no difference.
///
/// ```
/// use fdflow_proxy::NameRules;
///
/// # fn main() -> Result<(), fdflow_proxy::PatternError> {
/// let mut rules = NameRules::new();
/// rules.insert("www.example.org", 1)?;
/// rules.insert("*.example.org", 2)?;
/// rules.insert("*.eu.example.org", 3)?;
/// assert_eq!(rules.get(Some("www.example.org")), Some(&1));
/// assert_eq!(rules.get(Some("a.b.example.org")), Some(&2));
/// assert_eq!(rules.get(Some("a.eu.example.org")), Some(&3));
/// assert_eq!(rules.get(Some("example.org")), None);
///
/// rules.insert("*", 4)?;
/// assert_eq!(rules.get(Some("example.org")), Some(&4));
/// assert_eq!(rules.get(None), Some(&4));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NameRules<T> {
    exact: HashMap<String, T>,
    below: HashMap<String, T>,
    default: Option<T>,
}

impl<T> Default for NameRules<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new(), default: None }
    }
}

impl<T> NameRules<T> {
    /// No rules.
    ///
    /// ```
    /// use fdflow_proxy::NameRules;
    ///
    /// assert_eq!(NameRules::<u8>::new().get(None), None);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule. Their order makes no difference.
    ///
    /// # Errors
    ///
    /// The pattern is none, or is there already.
    ///
    /// ```
    /// use fdflow_proxy::NameRules;
    ///
    /// let mut rules = NameRules::new();
    /// let error = rules.insert("www.*.org", ()).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "server name `www.*.org`: a star stands alone, or in front as in `*.example.org`"
    /// );
    /// ```
    pub fn insert(&mut self, pattern: &str, value: T) -> Result<(), PatternError> {
        let error = |why| PatternError { pattern: pattern.to_owned(), why };
        let free = match parsed(pattern).map_err(error)? {
            Pattern::All => self.default.is_none().then(|| self.default = Some(value)),
            Pattern::Below(name) => add(&mut self.below, name, value),
            Pattern::Exact(name) => add(&mut self.exact, name, value),
        };
        free.ok_or_else(|| error(Why::Twice))
    }

    /// What is chosen by any of the rules, in no particular order.
    ///
    /// ```
    /// use fdflow_proxy::NameRules;
    ///
    /// let mut rules = NameRules::new();
    /// rules.insert("example.org", 1).unwrap();
    /// rules.insert("*", 2).unwrap();
    /// assert_eq!(rules.values().sum::<i32>(), 3);
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.below.values()).chain(&self.default)
    }

    /// What is chosen for a name, or for none: an exact rule before the longest `*.` before `*`.
    ///
    /// ```
    /// use fdflow_proxy::NameRules;
    ///
    /// let mut rules = NameRules::new();
    /// rules.insert("Example.org.", "it").unwrap();
    /// assert_eq!(rules.get(Some("EXAMPLE.ORG")), Some(&"it"));
    /// ```
    #[must_use]
    pub fn get(&self, name: Option<&str>) -> Option<&T> {
        let special = name.and_then(|name| {
            let name = undotted(name);
            // What `server_name` gives is in lower case already.
            let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                true => Cow::Owned(name.to_ascii_lowercase()),
                false => Cow::Borrowed(name),
            };
            self.exact.get(&*name).or_else(|| self.longest(&name))
        });
        special.or(self.default.as_ref())
    }

    fn longest(&self, name: &str) -> Option<&T> {
        if self.below.is_empty() {
            return None;
        }
        name.match_indices('.').find_map(|(dot, _)| self.below.get(&name[dot + 1..]))
    }
}

/// Leaves what is there as it is.
fn add<T>(rules: &mut HashMap<String, T>, name: String, value: T) -> Option<()> {
    if rules.contains_key(&name) {
        return None;
    }
    rules.insert(name, value);
    Some(())
}

enum Pattern {
    All,
    Below(String),
    Exact(String),
}

fn parsed(pattern: &str) -> Result<Pattern, Why> {
    if pattern == "*" {
        return Ok(Pattern::All);
    }
    let below = pattern.strip_prefix("*.");
    let name = undotted(below.unwrap_or(pattern));
    if name.contains('*') {
        return Err(Why::Star);
    }
    if is_address(name) {
        return Err(Why::Address);
    }
    if !name.is_ascii() {
        return Err(Why::International);
    }
    if !is_host(name) {
        return Err(Why::NotAName);
    }
    let name = name.to_ascii_lowercase();
    Ok(if below.is_some() { Pattern::Below(name) } else { Pattern::Exact(name) })
}

/// Why a pattern was not added to [`NameRules`].
///
/// ```
/// use fdflow_proxy::NameRules;
///
/// let mut rules = NameRules::new();
/// rules.insert("example.org", 1).unwrap();
/// let error = rules.insert("EXAMPLE.org", 2).unwrap_err();
/// assert_eq!(error.to_string(), "server name `EXAMPLE.org`: there is a rule for it already");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    pattern: String,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Star,
    Address,
    International,
    NotAName,
    Twice,
}

impl Error for PatternError {}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Star => "a star stands alone, or in front as in `*.example.org`",
            Why::Address => "it is an address, for which clients send no name; `*` is for those",
            Why::International => "write it as it is sent, in ASCII: `xn--…`",
            Why::NotAName => {
                "it is no DNS name (labels of 1 to 63 letters, digits, `-` and `_`, 253 in all)"
            }
            Why::Twice => "there is a rule for it already",
        };
        write!(f, "server name `{}`: {why}", self.pattern)
    }
}
