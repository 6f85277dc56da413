//! A line of the access log.

use std::fmt::Write;

use serde::Serialize;

use super::record::{Outcome, Record};

/// The combined format; after it the duration in seconds, the route and, quoted, why not all went
/// by sendfile.
pub(super) fn combined(record: &Record, outcome: &Outcome) -> String {
    let mut line = String::with_capacity(192);
    let client = record.client.map_or_else(|| "-".to_owned(), |client| client.to_string());
    let user = record.user.as_ref().map_or("-", |user| &user.0);
    line.push_str(&client);
    line.push_str(" - ");
    escaped(&mut line, user);
    line.push_str(" [");
    line.push_str(&clf_time(outcome.ended));
    line.push_str("] \"");
    escaped(&mut line, record.method.as_str());
    line.push(' ');
    escaped(&mut line, &record.target.to_string());
    let _infallible = write!(line, " {:?}\" {} ", record.version, record.status.as_u16());
    if outcome.bytes == 0 {
        line.push('-');
    } else {
        let _infallible = write!(line, "{}", outcome.bytes);
    }
    for text in [&record.referer, &record.agent] {
        line.push_str(" \"");
        escaped(&mut line, text.as_deref().unwrap_or("-"));
        line.push('"');
    }
    let _infallible = write!(line, " {:.6} {}", outcome.duration.as_secs_f64(), outcome.route());
    line.push_str(" \"");
    escaped(&mut line, outcome.why.as_deref().unwrap_or("-"));
    line.push_str(if outcome.complete { "\"\n" } else { "\" aborted\n" });
    line
}

/// What a client sent, such that it cannot end the quotes or the line.
fn escaped(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
}

/// `22/Nov/2026:14:32:23 +0000`, out of `Sun, 22 Nov 2026 14:32:23 GMT`.
fn clf_time(time: std::time::SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    let part = |range| date.get(range).unwrap_or_default();
    format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    client: Option<std::net::IpAddr>,
    user: Option<&'a str>,
    method: &'a str,
    target: String,
    version: String,
    status: u16,
    bytes: u64,
    received: u64,
    seconds: f64,
    route: &'a str,
    sendfile: u64,
    copied: u64,
    why: Option<&'a str>,
    complete: bool,
    referer: Option<&'a str>,
    agent: Option<&'a str>,
}

/// The same as a JSON object.
pub(super) fn json(record: &Record, outcome: &Outcome) -> String {
    let line = Line {
        time: humantime::format_rfc3339_millis(outcome.ended).to_string(),
        client: record.client,
        user: record.user.as_ref().map(|user| &*user.0),
        method: record.method.as_str(),
        target: record.target.to_string(),
        version: format!("{:?}", record.version),
        status: record.status.as_u16(),
        bytes: outcome.bytes,
        received: outcome.received,
        seconds: outcome.duration.as_secs_f64(),
        route: outcome.route(),
        sendfile: outcome.sendfile,
        copied: outcome.copied,
        why: outcome.why.as_deref(),
        complete: outcome.complete,
        referer: record.referer.as_deref(),
        agent: record.agent.as_deref(),
    };
    let mut text =
        serde_json::to_string(&line).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_cannot_end_the_line() {
        let mut line = String::new();
        escaped(&mut line, "a\"b\\c\r\nd\x1b[m\u{85}é");
        assert_eq!(line, "a\\\"b\\\\c\\r\\nd\\u{1b}[m\\u{85}é");
    }

    #[test]
    fn the_time_is_that_of_the_common_log_format() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        assert_eq!(clf_time(time), "06/Nov/1994:08:49:37 +0000");
    }
}
