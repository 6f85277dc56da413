//! A process of its own that records: this test binary again, with its one ignored test.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fdflow_tokio::Recording;
use tokio::net::unix::pipe;

use super::current_thread;

const PATH: &str = "FDFLOW_TEST_RECORDS_TO";

/// Records standard input; does nothing in the process that runs the tests.
pub fn run() {
    let Some(path) = std::env::var_os(PATH) else { return };
    current_thread().block_on(async {
        let input: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        let input = pipe::Receiver::from_owned_fd(input).unwrap();
        let short = Duration::from_millis(5);
        let options = Recording::options().rotate_size(40_000).sync_every(short).retry_every(short);
        let (_, writer) = options.open(path).unwrap();
        let mut writer = writer.observe(|event| eprintln!("{event:?}"));
        writer.record(&input).await.unwrap();
        writer.finish().await.unwrap();
    });
}

/// One that records to `path`, under `strace` with these arguments if there are some.
pub fn child(path: &Path, traced: Option<&[&OsStr]>) -> Child {
    let this = std::env::current_exe().unwrap();
    let mut command = match traced {
        Some(arguments) => {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq"]).args(arguments).arg(this);
            command
        }
        None => Command::new(this),
    };
    command.args(["--exact", "--ignored", "--nocapture", "records_its_standard_input"]);
    command.env(PATH, path).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// How many bytes the files of the recording have.
pub fn length(dir: &Path) -> u64 {
    // Some may change names meanwhile.
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let files = entries.filter(|entry| !entry.file_name().to_str().unwrap().ends_with(".index"));
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Waits until there are more than these.
pub fn until_longer(dir: &Path, than: u64) {
    until(|| length(dir) > than);
}

/// Waits until something is so.
pub fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it is never so");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Writes until everything is written or the other end is gone.
pub fn feeding(child: &mut Child, bytes: Vec<u8>) -> JoinHandle<()> {
    let mut input: File = OwnedFd::from(child.stdin.take().unwrap()).into();
    std::thread::spawn(move || {
        for piece in bytes.chunks(3_001) {
            if input.write_all(piece).is_err() {
                return;
            }
        }
    })
}
