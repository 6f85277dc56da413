//! `fdflow copy` as its users call it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::thread::spawn;

use support::{Folder, arrived, fdflow, stderr, stdout, unrestricted, worked};

#[test]
fn a_file_is_copied_with_its_mode() {
    let folder = Folder::with(300_000);
    std::fs::set_permissions(folder.path("from"), PermissionsExt::from_mode(0o640)).unwrap();
    let output = fdflow().arg("copy").args([folder.path("from"), folder.path("to")]).output();
    if worked(&output.unwrap()) {
        assert_eq!(folder.read("to"), folder.bytes);
        let mode = std::fs::metadata(folder.path("to")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
}

#[test]
fn an_existing_file_is_overwritten_and_keeps_its_mode() {
    let folder = Folder::with(1000);
    std::fs::write(folder.path("to"), vec![1; 5000]).unwrap();
    std::fs::set_permissions(folder.path("to"), PermissionsExt::from_mode(0o600)).unwrap();
    let output = fdflow().arg("copy").args([folder.path("from"), folder.path("to")]).output();
    if worked(&output.unwrap()) {
        assert_eq!(folder.read("to"), folder.bytes);
        assert_eq!(std::fs::metadata(folder.path("to")).unwrap().mode() & 0o777, 0o600);
    } else {
        assert_eq!(folder.read("to"), vec![1; 5000]);
    }
}

#[test]
fn into_a_folder_the_name_stays() {
    let folder = Folder::with(10);
    std::fs::create_dir(folder.path("sub")).unwrap();
    let output = fdflow().arg("copy").args([folder.path("from"), folder.path("sub")]).output();
    if worked(&output.unwrap()) {
        assert_eq!(folder.read("sub/from"), folder.bytes);
    }
}

#[test]
fn limit_offset_and_append_add_up() {
    let folder = Folder::with(10_000);
    let copy = |flags: &[&str]| {
        let mut command = fdflow();
        command.arg("copy").args([folder.path("from"), folder.path("to")]).args(flags);
        worked(&command.output().unwrap())
    };
    if copy(&["--limit", "4K"]) && copy(&["--append", "--offset", "4K", "--limit", "2K"]) {
        copy(&["--append", "--offset", "6144"]);
        assert_eq!(folder.read("to"), folder.bytes);
    }
}

#[test]
fn h13_a_file_is_not_copied_onto_itself_under_any_name() {
    let folder = Folder::with(5000);
    std::fs::hard_link(folder.path("from"), folder.path("hard")).unwrap();
    std::os::unix::fs::symlink("from", folder.path("soft")).unwrap();
    for (name, append) in [("from", false), ("hard", false), ("soft", false), ("hard", true)] {
        let mut command = fdflow();
        command.arg("copy").args([folder.path("from"), folder.path(name)]);
        let output = command.args(append.then_some("--append")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains("same file"), "{}", stderr(&output));
        assert_eq!(folder.read("from"), folder.bytes);
    }
    let stdin = File::open(folder.path("from")).unwrap();
    let stdout = OpenOptions::new().append(true).open(folder.path("hard")).unwrap();
    let output = fdflow().args(["copy", "-", "-"]).stdin(stdin).stdout(stdout).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    assert_eq!(folder.read("from"), folder.bytes);
}

#[test]
fn a_source_that_cannot_be_read_leaves_the_destination_whole() {
    let folder = Folder::with(10);
    std::fs::write(folder.path("to"), b"precious").unwrap();
    std::fs::create_dir(folder.path("sub")).unwrap();
    let unreadable = ["missing", "sub", "/proc/self/mem"];
    for from in unreadable {
        let output = fdflow().arg("copy").args([folder.path(from), folder.path("to")]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{from}: {}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        assert_eq!(folder.read("to"), b"precious", "{from}");
    }
    let deny = "--deny=reflink,copy_file_range,sendfile,splice,read_write";
    let mut command = fdflow();
    command.arg("copy").args([folder.path("from"), folder.path("to")]).arg(deny);
    assert_eq!(command.output().unwrap().status.code(), Some(2));
    assert_eq!(folder.read("to"), b"precious");
}

#[test]
fn reflink_always_fails_whole_where_blocks_cannot_be_shared() {
    let folder = Folder::with(5000);
    std::fs::write(folder.path("to"), b"precious").unwrap();
    let mut command = unrestricted();
    command.arg("copy").args([folder.path("from"), folder.path("to")]);
    let output = command.arg("--reflink=always").output().unwrap();
    if output.status.success() {
        assert_eq!(folder.read("to"), folder.bytes);
    } else {
        assert!(stderr(&output).contains("reflink"), "{}", stderr(&output));
        assert_eq!(folder.read("to"), b"precious");
    }
}

#[test]
fn standard_input_and_output_are_endpoints() {
    let folder = Folder::with(200_000);
    let mut child = fdflow()
        .args(["copy", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, bytes) = (child.stdin.take().unwrap(), folder.bytes.clone());
    let writer = spawn(move || stdin.write_all(&bytes).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    if worked(&output) {
        assert_eq!(output.stdout, folder.bytes);
    }
}

#[test]
fn the_position_of_an_inherited_descriptor_is_used_and_advanced() {
    let folder = Folder::with(1000);
    let mut stdin = File::open(folder.path("from")).unwrap();
    stdin.seek(std::io::SeekFrom::Start(100)).unwrap();
    let mut command = fdflow();
    command.args(["copy", "fd://0", "-", "--limit=50"]).stdin(stdin.try_clone().unwrap());
    let output = command.output().unwrap();
    if worked(&output) {
        assert_eq!(output.stdout, folder.bytes[100..150]);
        assert_eq!(stdin.stream_position().unwrap(), 150);
    }
}

#[test]
fn tcp_both_ways() {
    let folder = Folder::with(3_000_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let bytes = folder.bytes.clone();
    let peer = spawn(move || {
        let mut got = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        second.write_all(&bytes).ok();
        got
    });
    let output = fdflow().arg("copy").arg(folder.path("from")).arg(&address).output().unwrap();
    let sent = worked(&output);
    let output = fdflow().arg("copy").arg(&address).arg(folder.path("to")).output().unwrap();
    let received = worked(&output);
    let got = peer.join().unwrap();
    assert!(!sent || got == folder.bytes);
    assert!(!received || folder.read("to") == folder.bytes);
}

#[test]
fn a_slow_receiver_that_also_talks_gets_everything() {
    let folder = Folder::with(4_000_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let peer = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut got, mut block) = (Vec::new(), [0; 1000]);
        loop {
            // An answer that nobody reads would reset the connection under the rest.
            stream.write_all(b"and what is this?").ok();
            match stream.read(&mut block).unwrap() {
                0 => return got,
                n => got.extend_from_slice(&block[..n]),
            }
        }
    });
    let output = fdflow().arg("copy").arg(folder.path("from")).arg(&address).output().unwrap();
    let (sent, got) = (worked(&output), peer.join().unwrap());
    assert!(!sent || got == folder.bytes, "{} of {}", got.len(), folder.bytes.len());
}

#[test]
fn tcp_listen_and_unix_listen_accept_one() {
    let folder = Folder::with(100_000);
    let socket = folder.path("socket");
    let mut endpoint = std::ffi::OsString::from("unix-listen://");
    endpoint.push(&socket);
    let mut child = fdflow()
        .args(["copy", "tcp-listen://127.0.0.1:0"])
        .arg(&endpoint)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let address = line.trim().rsplit_once("tcp-listen://").unwrap().1.to_owned();
    let mut from = TcpStream::connect(address).unwrap();
    // The listener of the other end is bound before the first accept.
    let mut to = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let bytes = folder.bytes.clone();
    let writer = spawn(move || from.write_all(&bytes).is_ok());
    let mut got = Vec::new();
    to.read_to_end(&mut got).unwrap();
    let status = child.wait().unwrap();
    writer.join().unwrap();
    assert!(!socket.exists(), "the socket's path was left behind");
    assert!(got == folder.bytes || !status.success());
}

#[test]
fn unix_sockets_take_files() {
    let folder = Folder::with(700_000);
    let listener = UnixListener::bind(folder.path("socket")).unwrap();
    let peer = spawn(move || {
        let mut got = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
        got
    });
    let address = format!("unix://{}", folder.path("socket").display());
    let output = fdflow().arg("copy").arg(folder.path("from")).arg(address).output().unwrap();
    let (sent, got) = (worked(&output), peer.join().unwrap());
    assert!(!sent || got == folder.bytes);
}

#[test]
fn json_and_explain_tell_the_legs_and_the_refusals() {
    let folder = Folder::with(100_000);
    let mut command = unrestricted();
    command.arg("copy").args([folder.path("from"), folder.path("to")]).arg("--json");
    let told = stdout(&command.arg("--deny=reflink,copy_file_range").output().unwrap());
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["bytes"], 100_000);
    assert_eq!(told["legs"][0]["route"], "splice");
    assert_eq!(told["legs"][0]["bytes"], 100_000);
    assert_eq!(told["refused"][0]["route"], "reflink");
    assert!(told["refused"][0]["reason"].is_string() && told["seconds"].is_number());

    for stdout in ["-", "fd://1", "/dev/stdout"] {
        let mut command = unrestricted();
        let output = command.arg("copy").arg(folder.path("from")).args([stdout, "--json"]).output();
        let output = output.unwrap();
        assert!(output.stdout == folder.bytes, "{stdout}");
        let told: serde_json::Value = serde_json::from_str(&stderr(&output)).unwrap();
        assert_eq!(told["legs"][0]["route"], "splice");
    }

    let mut command = unrestricted();
    command.arg("copy").args([folder.path("from"), folder.path("to")]).arg("--explain");
    let told = stdout(&command.arg("--deny=copy_file_range").output().unwrap());
    assert!(told.contains("not copy_file_range: denied by policy"), "{told}");
}

#[test]
fn a_full_device_is_told_and_nothing_is_claimed() {
    let folder = Folder::with(5000);
    let output = fdflow().arg("copy").arg(folder.path("from")).arg("/dev/full").output().unwrap();
    if !stderr(&output).contains("no route") {
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(arrived(&stderr(&output)), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
    }
}

#[test]
fn a_file_size_limit_is_an_error_and_not_a_kill() {
    let folder = Folder::with(200_000);
    let script = "ulimit -f 100; exec \"$@\"";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_fdflow"), "copy"]);
    let output = command.args([folder.path("from"), folder.path("to")]).output().unwrap();
    if !stderr(&output).contains("no route") {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_eq!(arrived(&stderr(&output)), Some(102_400), "{}", stderr(&output));
        assert_eq!(folder.read("to"), folder.bytes[..102_400]);
    }
}

#[test]
fn a_reader_that_leaves_is_an_error_in_one_line() {
    let folder = Folder::with(4_000_000);
    let mut command = fdflow();
    command.arg("copy").arg(folder.path("from")).arg("-");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut head = vec![0; 1000];
    let reading = child.stdout.take().unwrap().read_exact(&mut head);
    let output = child.wait_with_output().unwrap();
    if reading.is_ok() {
        assert_eq!(head, folder.bytes[..1000]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("Broken pipe"), "{}", stderr(&output));
    }
}

#[test]
fn an_interrupt_says_how_much_arrived_and_the_file_has_it() {
    let folder = Folder::with(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let mut command = fdflow();
    command.arg("copy").arg(address).arg(folder.path("to")).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&support::pattern(10_000)).unwrap();
    let before = std::time::Instant::now();
    while std::fs::metadata(folder.path("to")).map_or(0, |file| file.len()) < 10_000
        && before.elapsed().as_secs() < 10
    {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    if !stderr(&output).contains("no route") {
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("interrupted; 10000 bytes arrived"));
        assert_eq!(folder.read("to"), support::pattern(10_000));
    }
}

#[test]
fn what_is_wrong_with_a_command_line_is_said_with_exit_code_2() {
    for wrong in [
        &["copy", "a"][..],
        &["copy", "a", "b", "--limit", "lots"],
        &["copy", "a", "b", "--deny", "teleport"],
        &["copy", "tcp://nowhere", "b"],
        &["copy", "fd://99", "b"],
        &["fly"],
        &[],
    ] {
        let output = fdflow().args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
    let output = unrestricted().env("FDFLOW_DENY", "teleport").args(["copy", "a", "b"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("teleport"));
}

#[test]
fn help_is_printed_without_a_subcommand_and_on_demand() {
    for args in [&["--help"][..], &["copy", "--help"], &["probe", "--help"]] {
        let output = fdflow().args(args).output().unwrap();
        assert!(output.status.success() && stdout(&output).contains("Usage:"), "{args:?}");
    }
    let bare = fdflow().output().unwrap();
    assert!(stderr(&bare).contains("copy") && stderr(&bare).contains("probe"));
}

#[test]
fn progress_is_drawn_only_where_it_is_wanted() {
    let folder = Folder::with(100_000);
    let copy = |when: &str| {
        let mut command = fdflow();
        command.arg("copy").args([folder.path("from"), folder.path("to")]);
        command.args(["--progress", when]).output().unwrap()
    };
    let (auto, never, always) = (copy("auto"), copy("never"), copy("always"));
    if worked(&auto) && worked(&never) && worked(&always) {
        assert!(auto.stderr.is_empty() && never.stderr.is_empty(), "a pipe is no terminal");
        assert!(stderr(&always).contains('%'), "{}", stderr(&always));
    }
}

#[test]
fn sparse_decides_what_becomes_of_holes() {
    let folder = Folder::with(0);
    let mut from = File::create(folder.path("from")).unwrap();
    from.write_all(&support::pattern(65_536)).unwrap();
    from.set_len(4 << 20).unwrap();
    from.seek(std::io::SeekFrom::End(0)).unwrap();
    from.write_all(&vec![0; 1 << 20]).unwrap();
    let blocks = |how: &str| {
        let mut command = unrestricted();
        command.arg("copy").args([folder.path("from"), folder.path("to")]);
        let output = command.args(["--sparse", how]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(folder.read("to"), folder.read("from"), "{how}");
        std::fs::metadata(folder.path("to")).unwrap().blocks()
    };
    let (auto, always, never) = (blocks("auto"), blocks("always"), blocks("never"));
    assert!(always < auto && auto < never, "{always} {auto} {never}");
    assert!(never * 512 >= 5 << 20, "{never}");
}
