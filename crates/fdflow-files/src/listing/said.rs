//! Names, sizes and times as people read them.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};

/// A name to be read: what is not UTF-8 is shown as �, and what cannot be seen, or would turn the
/// text about (as if `exe.txt` were a text), as a sign that can.
pub(super) fn name(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(unseen) {
        return text;
    }
    text.chars().map(seen).collect::<String>().into()
}

fn unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{feff}')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}')
}

fn seen(character: char) -> char {
    match character {
        '\n' => '↵',
        other if unseen(other) => '\u{fffd}',
        other => other,
    }
}

/// Writes, which a string never refuses.
pub(super) fn put(page: &mut String, what: Arguments<'_>) {
    page.write_fmt(what).unwrap_or_default();
}

/// Text as it stands in HTML, between tags and in quoted attributes.
pub(super) fn html(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

/// A size in short: `512 B`, `1.4 MiB`.
pub(super) fn size(page: &mut String, bytes: u64) {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        put(page, format_args!("{bytes} B"));
        return;
    }
    for (power, unit) in (1..).zip(UNITS) {
        let one = 1_u128 << (10 * power);
        let tenths = (u128::from(bytes) * 10 + one / 2) / one;
        if tenths < 10_240 || unit == "EiB" {
            put(page, format_args!("{}.{} {unit}", tenths / 10, tenths % 10));
            return;
        }
    }
}

/// A number with commas between thousands.
pub(super) fn grouped(page: &mut String, number: u64) {
    let digits = number.to_string();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            page.push(',');
        }
        page.push(digit);
    }
}

/// A moment in UTC by the calendar. Any is right that a filesystem can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    year: i64,
    month: i64,
    day: i64,
    second: i64,
}

impl Moment {
    /// So many seconds after (or before) the epoch.
    pub(super) fn of(seconds: i64) -> Self {
        const CYCLE: i64 = 146_097; // days in 400 years
        // Counted from a 1 March, where leap days are last: the shape of a year is fixed then.
        let days = seconds.div_euclid(86_400) + 719_468;
        let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
        let year = (day - day / 1460 + day / 36_524 - day / (CYCLE - 1)) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // Five months from March on have 153 days, as have the five that follow.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self { year: cycle * 400 + year + later, month, day, second: seconds.rem_euclid(86_400) }
    }

    /// `2026-11-22`, and years outside 0 to 9999 with their sign.
    fn date(self, page: &mut String) {
        let Self { year, month, day, .. } = self;
        match year {
            0..=9999 => put(page, format_args!("{year:04}-{month:02}-{day:02}")),
            _ => put(page, format_args!("{year:+07}-{month:02}-{day:02}")),
        }
    }

    /// `2026-11-22 14:05`.
    pub(super) fn short(self, page: &mut String) {
        self.date(page);
        put(page, format_args!(" {:02}:{:02}", self.second / 3600, self.second / 60 % 60));
    }

    /// `2026-11-22T14:05:09Z` (RFC 3339), with the nanoseconds where they are given.
    pub(super) fn exact(self, page: &mut String, nanoseconds: Option<u32>) {
        self.date(page);
        let (hour, minute) = (self.second / 3600, self.second / 60 % 60);
        put(page, format_args!("T{hour:02}:{minute:02}:{:02}", self.second % 60));
        if let Some(nanoseconds) = nanoseconds {
            put(page, format_args!(".{nanoseconds:09}"));
        }
        page.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        write(&mut text);
        text
    }

    #[test]
    fn sizes_are_short_and_never_1024_of_anything() {
        for (bytes, short) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (1024 * 1024 - 52, "1023.9 KiB"),
            (1_468_006, "1.4 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(written(|text| size(text, bytes)), short);
        }
        assert_eq!(written(|text| grouped(text, 1_234_567)), "1,234,567");
        assert_eq!(written(|text| grouped(text, 123)), "123");
    }

    #[test]
    fn times_are_right_on_leap_days_before_the_epoch_and_at_the_ends() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_795_356_309, "2026-11-22T14:05:09Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "+010000-01-01T00:00:00Z"),
            (-62_167_219_201, "-000001-12-31T23:59:59Z"),
            (i64::MAX, "+292277026596-12-04T15:30:07Z"),
            (i64::MIN, "-292277022657-01-27T08:29:52Z"),
        ] {
            assert_eq!(written(|text| Moment::of(seconds).exact(text, None)), date);
        }
        let exact = written(|text| Moment::of(0).exact(text, Some(42)));
        assert_eq!(exact, "1970-01-01T00:00:00.000000042Z");
    }

    #[test]
    fn a_name_shows_what_cannot_be_seen() {
        assert_eq!(name("plain ü".as_bytes()), "plain ü");
        assert_eq!(name(b"new\nline\x7f"), "new↵line\u{fffd}");
        assert_eq!(name("cod\u{202e}txt.exe".as_bytes()), "cod\u{fffd}txt.exe");
        assert_eq!(name(b"caf\xe9"), "caf\u{fffd}");
    }
}
