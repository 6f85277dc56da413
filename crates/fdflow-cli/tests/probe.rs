//! `fdflow probe`, run as users run it.
#![allow(clippy::unwrap_used, reason = "what a test needs and does not get fails it")]

use std::process::{Command, Output};
use std::sync::LazyLock;

use fdflow::Route;
use rustix::pty::OpenptFlags;
use serde_json::Value;

/// The program, with these routes denied and no others.
fn probe(deny: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fdflow"));
    command.arg("probe").env_remove("FDFLOW_DENY");
    if !deny.is_empty() {
        command.env("FDFLOW_DENY", deny);
    }
    command
}

fn complaints(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const PORTABLE: bool = cfg!(fdflow_portable);

/// What is found with no route denied: measured once for all tests.
static FINDINGS: LazyLock<Value> = LazyLock::new(|| findings(""));

fn findings(deny: &str) -> Value {
    let output = probe(deny).arg("--json").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", complaints(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn pairs(findings: &Value) -> &[Value] {
    findings["pairs"].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn refusals(pair: &Value) -> &[Value] {
    pair["refused"].as_array().unwrap()
}

/// What was found for a pair; `None` where this machine lacks one of the kinds, which must then
/// be told.
fn pair<'a>(findings: &'a Value, from: &str, to: &str) -> Option<&'a Value> {
    let found =
        pairs(findings).iter().find(|pair| text(pair, "from") == from && text(pair, "to") == to);
    if found.is_none() {
        let absent = findings["absent"].as_array().unwrap();
        let told = |kind| absent.iter().any(|absent| text(absent, "kind") == kind);
        assert!(told(from) || told(to), "{from} -> {to} is neither measured nor absent");
        eprintln!("SKIPPED {from} -> {to}: {}", findings["absent"]);
    }
    found
}

/// Asserts how a pair goes, but for the portable build, which always reads and writes.
#[track_caller]
fn assert_goes(findings: &Value, from: &str, to: &str, route: &str, by: Option<&str>) {
    let Some(pair) = pair(findings, from, to) else { return };
    let (route, by) = if PORTABLE { ("read_write", by.map(|_| "copy")) } else { (route, by) };
    assert_eq!(text(pair, "route"), route, "{pair}");
    assert_eq!(pair["by"].as_str(), by, "{pair}");
}

/// The filesystem of the directory for temporary files: the first kind that is tried.
fn temporary(findings: &Value) -> &str {
    text(&pairs(findings)[0], "from")
}

#[test]
fn the_json_has_the_kernel_its_limits_and_every_pair_once() {
    let findings = &*FINDINGS;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(text(findings, "kernel"), release.trim());
    for limit in ["pipe-max-size", "pipe-granted"] {
        assert!(findings["limits"][limit].as_u64().unwrap() >= 4096, "{}", findings["limits"]);
    }
    let names = |key| {
        let mut names: Vec<_> = pairs(findings).iter().map(|pair| text(pair, key)).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let (sources, sinks) = (names("from"), names("to"));
    assert_eq!(pairs(findings).len(), sources.len() * sinks.len());
    for (from, to) in sources.iter().flat_map(|from| sinks.iter().map(move |to| (from, to))) {
        assert!(pair(findings, from, to).is_some(), "{from} -> {to}");
    }
}

#[test]
fn every_route_is_a_known_one_and_none_is_both_taken_and_refused() {
    for pair in pairs(&FINDINGS) {
        let taken: Route = text(pair, "route").parse().unwrap();
        for refusal in refusals(pair) {
            let refused: Route = text(refusal, "route").parse().unwrap();
            assert_ne!(refused, taken, "{pair}");
            assert!(refused.in_kernel(), "{pair}");
        }
        assert!(["reference", "copy", ""].contains(&text(pair, "by")), "{pair}");
    }
}

#[test]
fn every_refusal_has_its_errno() {
    for pair in pairs(&FINDINGS) {
        for refusal in refusals(pair) {
            assert!(text(refusal, "errno").starts_with('E'), "{pair}");
        }
    }
}

#[test]
fn a_file_goes_to_a_socket_by_sendfile_and_by_reference() {
    let findings = &*FINDINGS;
    for file in [temporary(findings), "tmpfs", "memfd"] {
        for socket in ["tcp", "tcp6", "unix"] {
            assert_goes(findings, file, socket, "sendfile", Some("reference"));
        }
    }
}

#[test]
fn streams_are_spliced_to_streams_by_reference_and_into_files_by_copy() {
    let findings = &*FINDINGS;
    for stream in ["pipe", "tcp", "tcp6", "unix"] {
        for sink in ["pipe", "tcp", "tcp6", "unix"] {
            assert_goes(findings, stream, sink, "splice", Some("reference"));
        }
        assert_goes(findings, stream, temporary(findings), "splice", Some("copy"));
    }
}

#[test]
fn h40_a_file_that_is_appended_to_is_written_to_and_the_refusals_are_told() {
    let findings = &*FINDINGS;
    let append = format!("{}+append", temporary(findings));
    assert_goes(findings, "memfd", &append, "read_write", Some("copy"));
    let pair = pair(findings, "memfd", &append).unwrap();
    let errno = |route| {
        let refusal = refusals(pair).iter().find(|refusal| text(refusal, "route") == route);
        refusal.map_or("", |refusal| text(refusal, "errno"))
    };
    assert_eq!(errno("copy_file_range"), "EBADF", "{pair}");
    assert_eq!(errno("splice"), "EINVAL", "{pair}");
}

#[test]
fn it_is_not_said_how_bytes_went_that_nobody_can_change_or_read_back() {
    for pair in pairs(&FINDINGS) {
        let (from, to) = (text(pair, "from"), text(pair, "to"));
        let fixed = ["procfs", "sysfs", "tty"].contains(&from) || from.starts_with('/');
        if fixed || to.starts_with("/dev/") {
            assert!(pair["by"].is_null(), "{pair}");
        }
    }
}

#[test]
fn with_every_kernel_route_denied_all_is_read_and_written_and_the_reason_told() {
    let findings = findings("reflink,copy_file_range,sendfile,splice");
    for pair in pairs(&findings) {
        assert_eq!(text(pair, "route"), "read_write", "{pair}");
        assert_ne!(text(pair, "by"), "reference", "{pair}");
        assert!(!refusals(pair).is_empty(), "{pair}");
        for refusal in refusals(pair) {
            assert!(refusal["errno"].is_null(), "{pair}");
            assert_eq!(text(refusal, "reason"), "denied by policy", "{pair}");
        }
    }
}

#[test]
fn with_one_route_denied_the_next_is_taken() {
    let findings = findings("sendfile");
    assert_goes(&findings, temporary(&findings), "tcp", "splice", Some("reference"));
}

#[test]
fn a_pair_without_any_route_left_is_told_as_such() {
    let findings = findings("read_write,splice");
    let pair = pair(&findings, "pipe", "memfd").unwrap();
    assert!(pair["route"].is_null() && pair["by"].is_null(), "{pair}");
}

#[test]
fn the_table_names_the_kinds_and_has_no_colours_in_a_pipe() {
    let output = probe("").output().unwrap();
    assert!(output.status.success(), "{}", complaints(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(!table.contains('\x1b'), "{table}");
    for word in ["kernel", "pipe-max-size", "FROM", "REFUSED", "memfd", "splice", "/dev/null"] {
        assert!(table.contains(word), "{word} is missing in\n{table}");
    }
}

/// What it prints to a terminal.
fn on_a_terminal(mut command: Command) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let emulator = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&emulator).unwrap();
    let terminal = rustix::pty::ioctl_tiocgptpeer(&emulator, flags).unwrap();
    let mut child = command.env("TERM", "xterm").stdout(terminal).spawn().unwrap();
    // The terminal's last copy but for the child's.
    drop(command);
    let mut text = Vec::new();
    let mut block = [0; 4096];
    while let Ok(n) = rustix::io::read(&emulator, &mut block)
        && n > 0
    {
        text.extend_from_slice(&block[..n]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(text).unwrap()
}

#[test]
fn a_terminal_gets_colours_unless_no_color_is_set() {
    let unset = |command: &mut Command| {
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
    };
    let mut coloured = probe("");
    unset(&mut coloured);
    let text = on_a_terminal(coloured);
    assert!(text.contains("\x1b[33mread_write"), "{text}");
    assert!(PORTABLE || text.contains("\x1b[32msplice"), "{text}");
    let mut plain = probe("");
    unset(&mut plain);
    plain.env("NO_COLOR", "1");
    assert!(!on_a_terminal(plain).contains('\x1b'));
}

#[test]
fn an_unknown_route_in_the_environment_is_a_usage_error() {
    let output = probe("sendfiel").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(complaints(&output).contains("`sendfiel`"), "{}", complaints(&output));
    assert_eq!(complaints(&output).lines().count(), 1);
    assert!(output.stdout.is_empty());
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = probe("").stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", complaints(&output));
}
