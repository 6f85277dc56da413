//! What stands behind `key=` in a line of a log.

use std::fmt::{self, Display, Write};
use std::net::SocketAddr;

use fdflow::Refusal;
use serde::Serialize;

/// A value, quoted where it would not be one otherwise.
pub(crate) struct Value<'a>(pub(crate) &'a str);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
        if self.0.is_empty() || self.0 == "-" || !self.0.chars().all(plain) {
            return Quoted(self.0).fmt(f);
        }
        f.write_str(self.0)
    }
}

/// A value in quotes, which it cannot end, nor the line.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// What there is not is `-`.
pub(crate) fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// What went by a route.
#[derive(Debug, Serialize)]
pub(crate) struct Leg {
    pub(crate) route: &'static str,
    pub(crate) bytes: u64,
}

/// `splice:9+read_write:1`.
pub(crate) fn legs(legs: &[Leg]) -> String {
    let each = legs.iter().map(|leg| format!("{}:{}", leg.route, leg.bytes));
    let all = each.collect::<Vec<_>>().join("+");
    or_none((!all.is_empty()).then_some(all))
}

/// Why routes were not taken, in quotes.
pub(crate) fn refusals(refused: &[Refusal]) -> String {
    let each = refused.iter().map(|refusal| format!("{}: {}", refusal.route, refusal.reason));
    let all = each.collect::<Vec<_>>().join("; ");
    or_none((!all.is_empty()).then_some(Quoted(&all)))
}

/// An address as people know it: one of IPv4 that came in at a socket of IPv6 is one of IPv4.
pub(crate) fn shown(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_can_end_it_or_the_line() {
        for (value, written) in [
            ("plain", "plain"),
            ("a=b", "\"a=b\""),
            ("", "\"\""),
            ("-", "\"-\""),
            ("unix:///run/a b", "\"unix:///run/a b\""),
            ("the \"web\"", "\"the \\\"web\\\"\""),
            ("two\nlines\\", "\"two\\nlines\\\\\""),
        ] {
            assert_eq!(Value(value).to_string(), written);
        }
        assert_eq!(or_none(None::<u64>), "-");
    }
}
