//! The names of the ways in which bytes can travel, and sets of them.

use std::fmt;
use std::str::FromStr;

/// One way for bytes to get from a source to a sink.
///
/// The names ([`Route::name`]) are those of reports, of the program's flags and of `FDFLOW_DENY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `ioctl(FICLONERANGE)`: the sink shares the source's blocks until one of them is written to.
    Reflink,
    /// `copy_file_range(2)`, extent by extent, so that holes stay holes.
    CopyFileRange,
    /// `sendfile(2)`: from the page cache to a socket.
    Sendfile,
    /// `splice(2)`: one call where an end is a pipe, two through a private pipe where none is.
    Splice,
    /// `read(2)` and `write(2)` through a buffer in user space.
    ReadWrite,
}

impl Route {
    /// Every route, best first.
    pub const ALL: [Self; 5] =
        [Self::Reflink, Self::CopyFileRange, Self::Sendfile, Self::Splice, Self::ReadWrite];

    /// The route's name in reports and on command lines, such as `copy_file_range`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reflink => "reflink",
            Self::CopyFileRange => "copy_file_range",
            Self::Sendfile => "sendfile",
            Self::Splice => "splice",
            Self::ReadWrite => "read_write",
        }
    }

    /// Whether the bytes stay inside the kernel on this route.
    #[must_use]
    pub const fn in_kernel(self) -> bool {
        !matches!(self, Self::ReadWrite)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no route's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRoute(String);

impl fmt::Display for UnknownRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown route `{}`; the routes are ", self.0)?;
        for (i, route) in Route::ALL.into_iter().enumerate() {
            write!(f, "{}{route}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownRoute {}

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(name: &str) -> Result<Self, UnknownRoute> {
        Self::ALL
            .into_iter()
            .find(|route| route.name() == name)
            .ok_or_else(|| UnknownRoute(name.to_owned()))
    }
}

/// A set of [`Route`]s.
///
/// ```
/// use fdflow::{Route, Routes};
/// let kernel = Routes::all().without(Route::ReadWrite);
/// assert!(kernel.contains(Route::Splice) && !kernel.contains(Route::ReadWrite));
/// let two: Routes = "splice,sendfile".parse()?;
/// assert_eq!(two.iter().count(), 2);
/// # Ok::<(), fdflow::UnknownRoute>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Routes(u8);

impl Routes {
    /// Every route.
    #[must_use]
    pub const fn all() -> Self {
        Self(0b1_1111)
    }

    /// No route.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Only `route`.
    #[must_use]
    pub const fn only(route: Route) -> Self {
        Self::none().with(route)
    }

    /// This set and `route`.
    #[must_use]
    pub const fn with(self, route: Route) -> Self {
        Self(self.0 | 1 << route as u8)
    }

    /// This set but for `route`.
    #[must_use]
    pub const fn without(self, route: Route) -> Self {
        Self(self.0 & !(1 << route as u8))
    }

    /// The routes that are in this set or in `other`.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The routes of this set that are not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `route` is in the set.
    #[must_use]
    pub const fn contains(self, route: Route) -> bool {
        self.0 & (1 << route as u8) != 0
    }

    /// Whether there is no route in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The routes of the set, best first.
    pub fn iter(self) -> impl Iterator<Item = Route> {
        Route::ALL.into_iter().filter(move |route| self.contains(*route))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Route::name)).finish()
    }
}

impl FromStr for Routes {
    type Err = UnknownRoute;

    /// Route names separated by commas; the empty text is the empty set.
    fn from_str(names: &str) -> Result<Self, UnknownRoute> {
        names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .try_fold(Self::none(), |set, name| Ok(set.with(name.parse()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_name() {
        for route in Route::ALL {
            assert_eq!(route.name().parse(), Ok(route));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "splice,sendfiel".parse::<Routes>().unwrap_err().to_string();
        assert!(error.contains("`sendfiel`") && error.contains("sendfile, splice"), "{error}");
    }

    #[test]
    fn sets_hold_what_was_put_in_and_nothing_else() {
        for route in Route::ALL {
            assert!(Routes::all().contains(route));
            assert!(!Routes::all().without(route).contains(route));
            assert_eq!(Routes::only(route).iter().collect::<Vec<_>>(), [route]);
        }
        assert!(Routes::none().is_empty());
    }
}
