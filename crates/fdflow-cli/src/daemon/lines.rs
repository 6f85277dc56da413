//! A log: lines made where something ends, written by a thread of its own.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// So many lines may wait for the disk; what comes then is counted and left out, since nobody
/// who is served shall wait for a log.
const WAITING: usize = 16_384;

/// A log of the program.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: SyncSender<Message>,
    lost: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Line(String),
    /// The file may have been renamed: open it anew.
    Reopen,
    Lost(u64),
    End,
}

impl Lines {
    /// `-` is standard output. `what` it is, and by which `flag` it was asked for, is said where
    /// something is wrong with it.
    pub(crate) fn open(
        path: &Path,
        what: &'static str,
        flag: &'static str,
    ) -> Result<Self, String> {
        let mut file = Target::open(path, (what, flag))?;
        let (lines, messages) = sync_channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&mut file, &messages))
            .map_err(|error| format!("cannot start the thread of the {what}: {error}"))?;
        Ok(Self { lines, lost: AtomicU64::new(0), writer: Mutex::new(Some(writer)) })
    }

    /// Puts a line in the queue.
    pub(crate) fn write(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Message::Line(line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else if self.lost.load(Ordering::Relaxed) > 0 {
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if self.lines.try_send(Message::Lost(lost)).is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
    }

    /// Opens the file anew, after what is in the queue.
    pub(crate) fn reopen(&self) {
        // An error means that the thread is gone, and with it the log.
        let _told = self.lines.send(Message::Reopen).is_ok();
    }

    /// Waits until all is written.
    pub(crate) fn end(&self) {
        let writer = self.writer.lock().ok().and_then(|mut writer| writer.take());
        if let (Ok(()), Some(writer)) = (self.lines.send(Message::End), writer) {
            // A panic in it has been printed.
            let _ended = writer.join().is_ok();
        }
    }
}

/// Where the lines go.
struct Target {
    path: PathBuf,
    called: (&'static str, &'static str),
    out: BufWriter<Box<dyn Write + Send>>,
}

impl Target {
    fn open(path: &Path, called: (&'static str, &'static str)) -> Result<Self, String> {
        let raw: Box<dyn Write + Send> = if path.as_os_str() == "-" {
            Box::new(io::stdout())
        } else {
            let file = OpenOptions::new().append(true).create(true).open(path);
            Box::new(file.map_err(|error| {
                let (what, flag) = called;
                format!(
                    "cannot write the {what} {}: {error}; name another file with {flag}",
                    path.display()
                )
            })?)
        };
        Ok(Self { path: path.to_owned(), called, out: BufWriter::with_capacity(64 << 10, raw) })
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.out.flush().map_err(|error| error.to_string())?;
        *self = Self::open(&self.path, self.called)?;
        Ok(())
    }
}

/// Writes what comes, and flushes whenever nothing more waits.
fn write(target: &mut Target, messages: &Receiver<Message>) {
    let mut failed = false;
    while let Ok(first) = messages.recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            let written = match message {
                Message::Line(line) => {
                    target.out.write_all(line.as_bytes()).map_err(|e| e.to_string())
                }
                Message::Lost(n) => {
                    let what = target.called.0;
                    eprintln!("fdflow: the {what} was too slow: {n} lines left out");
                    Ok(())
                }
                Message::Reopen => target.reopen(),
                Message::End => {
                    tell(&mut failed, target.out.flush().map_err(|e| e.to_string()), target);
                    return;
                }
            };
            tell(&mut failed, written, target);
            next = messages.try_recv().ok();
        }
        tell(&mut failed, target.out.flush().map_err(|e| e.to_string()), target);
    }
}

/// Says once that the log cannot be written, until it can again.
fn tell(failed: &mut bool, result: Result<(), String>, target: &Target) {
    match result {
        Ok(()) => {}
        Err(error) if !*failed => {
            *failed = true;
            eprintln!("fdflow: {} {}: {error}", target.called.0, target.path.display());
        }
        Err(_) => {}
    }
}
