//! The findings for people: kinds that behave the same share a line.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use fdflow::{Reason, Refusal, Route};

use super::findings::{Absent, By, Findings, Pair};
use super::limits::Limits;

const TO: usize = 28;
const ROUTE: usize = 17;
const BY: usize = 11;
/// The table's width where there is no terminal that says it.
const WIDTH: usize = 110;
const NARROWEST: usize = 90;
const WIDEST: usize = 120;

const STRONG: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const IN_KERNEL: Style = AnsiColor::Green.on_default();
const USER_SPACE: Style = AnsiColor::Yellow.on_default();
const FAILURE: Style = AnsiColor::Red.on_default().bold();

/// Prints the table, in colour where that is wanted and understood.
pub(super) fn print(findings: &Findings) -> io::Result<()> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0);
    let width = size.map_or(WIDTH, |size| usize::from(size.ws_col));
    let text = render(findings, width.clamp(NARROWEST, WIDEST));
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn render(findings: &Findings, width: usize) -> String {
    let blocks = blocks(&findings.pairs);
    let names = blocks.iter().flat_map(|block| &block.from).map(|name| name.len());
    let from = names.max().unwrap_or(0).max("FROM".len()) + 3;
    let mut table = Table { from, width, text: String::new() };
    table.limits(&findings.kernel, &findings.limits);
    let titles = ["FROM", "TO", "ROUTE", "BY", "REFUSED"].map(|title| vec![title.to_owned()]);
    table.cells(&titles, [STRONG; 5]);
    for block in &blocks {
        table.rule();
        table.block(block);
    }
    table.rule();
    table.absent(&findings.absent);
    table.legend();
    table.text
}

/// Sources for which everything is the same.
struct Block<'a> {
    from: Vec<&'a str>,
    rows: Vec<Row<'a>>,
}

/// Sinks for which, from one source, everything is the same as for the first of them.
struct Row<'a> {
    to: Vec<&'a str>,
    first: &'a Pair,
}

impl Row<'_> {
    fn same(&self, other: &Pair) -> bool {
        let one = self.first;
        (one.route, one.by, &one.refused, &one.failure)
            == (other.route, other.by, &other.refused, &other.failure)
    }
}

/// Pairs come sorted by their source.
fn blocks(pairs: &[Pair]) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for pairs in pairs.chunk_by(|one, other| one.from == other.from) {
        let rows = rows(pairs);
        let twin = blocks.iter_mut().find(|block| {
            block.rows.len() == rows.len()
                && block
                    .rows
                    .iter()
                    .zip(&rows)
                    .all(|(one, other)| one.to == other.to && one.same(other.first))
        });
        match twin {
            Some(twin) => twin.from.push(&pairs[0].from),
            None => blocks.push(Block { from: vec![&pairs[0].from], rows }),
        }
    }
    blocks
}

fn rows(pairs: &[Pair]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for pair in pairs {
        match rows.iter_mut().find(|row| row.same(pair)) {
            Some(row) => row.to.push(&pair.to),
            None => rows.push(Row { to: vec![&pair.to], first: pair }),
        }
    }
    rows
}

/// The text as it grows.
struct Table {
    /// The first column's width.
    from: usize,
    width: usize,
    text: String,
}

impl Table {
    fn limits(&mut self, kernel: &str, limits: &Limits) {
        self.fact("kernel", kernel);
        self.fact("pipe-max-size", &limits.pipe_max_size.map_or_else(unknown, bytes));
        self.fact("pipe-user-pages-soft", &limits.pipe_user_pages_soft.map_or_else(unknown, pages));
        self.fact("pipe-user-pages-hard", &limits.pipe_user_pages_hard.map_or_else(unknown, pages));
        let granted = limits.pipe_granted.map_or_else(|| "no pipe to be had".to_owned(), bytes);
        self.fact("a new pipe grows to", &granted);
        self.text.push('\n');
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("{DIM}{name:<22}{DIM:#}{value}\n"));
    }

    fn rule(&mut self) {
        self.text.push_str(&format!("{DIM}{}{DIM:#}\n", "─".repeat(self.width)));
    }

    /// Writes a block, the names of its sources one below the other along all of its lines.
    fn block(&mut self, block: &Block<'_>) {
        let mut names = block.from.iter().map(|name| (*name).to_owned());
        for (i, row) in block.rows.iter().enumerate() {
            let (mut cells, style) = self.row(row);
            let last = i + 1 == block.rows.len();
            let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
            cells[0] = names.by_ref().take(if last { usize::MAX } else { lines }).collect();
            let by = if row.first.by == Some(By::Reference) { IN_KERNEL } else { Style::new() };
            self.cells(&cells, [STRONG, Style::new(), style, by, DIM]);
        }
    }

    /// A row's cells but for the first, and its route's style.
    fn row(&self, row: &Row<'_>) -> ([Vec<String>; 5], Style) {
        let pair = row.first;
        let (route, style) = match pair.route {
            _ if pair.failure.is_some() => ("FAILED", FAILURE),
            Some(route) if route.in_kernel() => (route.name(), IN_KERNEL),
            Some(route) => (route.name(), USER_SPACE),
            None => ("none", FAILURE),
        };
        let refused = pair.failure.clone().unwrap_or_else(|| refused(&pair.refused));
        let room = self.width.saturating_sub(self.from + TO + ROUTE + BY);
        let cells = [
            Vec::new(),
            wrap(&row.to.join(", "), TO - 2),
            vec![route.to_owned()],
            vec![pair.by.map_or("-", By::name).to_owned()],
            wrap(&refused, room),
        ];
        (cells, style)
    }

    /// Writes cells of one or more lines beside each other.
    fn cells(&mut self, cells: &[Vec<String>; 5], styles: [Style; 5]) {
        let widths = [self.from, TO, ROUTE, BY, 0];
        let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..lines {
            let (mut text, mut gap) = (String::new(), 0);
            for ((cell, style), width) in cells.iter().zip(styles).zip(widths) {
                let word = cell.get(line).map_or("", String::as_str);
                if !word.is_empty() {
                    text.push_str(&format!("{:gap$}{style}{word}{style:#}", ""));
                    gap = 0;
                }
                gap += width.saturating_sub(word.chars().count());
            }
            self.text.push_str(&text);
            self.text.push('\n');
        }
    }

    fn absent(&mut self, absent: &[Absent]) {
        for Absent { kind, reason } in absent {
            self.text.push_str(&format!("{STRONG}absent{STRONG:#}   {kind}: {reason}\n"));
        }
    }

    fn legend(&mut self) {
        let (green, yellow) = (IN_KERNEL, USER_SPACE);
        self.text.push_str(&format!(
            "{STRONG}route{STRONG:#}    what fdflow takes, {green}in the kernel{green:#} or \
             {yellow}through user space{yellow:#} (read_write)\n\
             {STRONG}by{STRONG:#}       {green}reference{green:#}: what is written to the source \
             after the call still shows at the receiver\n         \
             copy: it does not; - cannot be told, since nobody can change the source or read \
             the sink\n\
             {STRONG}refused{STRONG:#}  what the kernel answers to the other routes that could \
             make sense; one not named works too\n"
        ));
    }
}

/// The routes by the reason for which they were refused.
fn refused(refusals: &[Refusal]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for Refusal { route, reason, .. } in refusals {
        let (why, route) = (short(reason), Route::name(*route));
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, routes)) => routes.push(route),
            None => groups.push((why, vec![route])),
        }
    }
    let groups = groups.iter().map(|(why, routes)| format!("{} {why}", routes.join(", ")));
    groups.collect::<Vec<_>>().join("; ")
}

fn short(reason: &Reason) -> &'static str {
    match reason {
        Reason::Denied => "denied",
        Reason::ZeroBeforeEnd(_) => "moves nothing",
        _ => reason.errno_name().unwrap_or("refused"),
    }
}

/// Breaks `text` at blanks into lines of at most `width`, where its words allow that.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn unknown() -> String {
    "not told".to_owned()
}

fn bytes(n: u64) -> String {
    if n >= 1 << 20 && n.is_multiple_of(1 << 20) {
        format!("{} MiB", n >> 20)
    } else {
        format!("{} KiB", n >> 10)
    }
}

fn pages(n: u64) -> String {
    match n {
        0 => "no limit".to_owned(),
        n => format!("{n} pages, {}", bytes(n.saturating_mul(rustix::param::page_size() as u64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdflow::{Errno, Operation};

    fn pair(from: &str, to: &str, route: Route) -> Pair {
        let refused = Vec::new();
        Pair {
            from: from.into(),
            to: to.into(),
            route: Some(route),
            by: None,
            refused,
            failure: None,
        }
    }

    #[test]
    fn kinds_that_behave_the_same_share_a_line() {
        let pairs = [
            pair("tcp", "tcp", Route::Splice),
            pair("tcp", "tty", Route::ReadWrite),
            pair("tcp", "unix", Route::Splice),
            pair("unix", "tcp", Route::Splice),
            pair("unix", "tty", Route::ReadWrite),
            pair("unix", "unix", Route::Splice),
        ];
        let blocks = blocks(&pairs);
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].from, ["tcp", "unix"]);
        assert_eq!(blocks[0].rows[0].to, ["tcp", "unix"]);
        assert_eq!(blocks[0].rows[1].to, ["tty"]);
    }

    #[test]
    fn refusals_are_grouped_by_their_reason() {
        let errno = |operation, errno| Reason::Errno { operation, errno };
        let refusals = [
            Refusal::new(Route::Reflink, errno(Operation::Reflink, Errno::XDEV)),
            Refusal::new(Route::CopyFileRange, errno(Operation::CopyFileRange, Errno::XDEV)),
            Refusal::new(Route::Splice, Reason::Denied),
        ];
        assert_eq!(refused(&refusals), "reflink, copy_file_range EXDEV; splice denied");
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrap("one, two, three", 9), ["one, two,", "three"]);
        assert_eq!(wrap("longer_than_that x", 9), ["longer_than_that", "x"]);
        assert!(wrap("", 9).is_empty());
    }
}
