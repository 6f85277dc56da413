//! Flows, recorded as they go by: a mirror of each direction, and a thread that writes what is in
//! their pipes to files.

mod figures;
mod file;
mod name;
mod recorder;
mod recording;
mod writer;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub(super) use figures::TapFigures;
pub(super) use recorder::Recorder;
pub(super) use writer::Unwritten;

use super::flags::ServiceFlags;
use super::service::Lasting;
use super::values::TapPolicy;
use writer::Writer;

/// Where a service's flows are recorded.
#[derive(Debug)]
pub(super) struct Tap {
    place: Arc<Place>,
    policy: TapPolicy,
    writer: Writer,
}

/// What the writing thread has to know.
#[derive(Debug)]
struct Place {
    dir: PathBuf,
    rotate: Option<u64>,
    /// Counts what was recorded and what was not.
    lasting: Arc<Lasting>,
    /// Files cannot be written, of which has been told.
    fails: AtomicBool,
}

impl Place {
    /// A file cannot be written: tells of the first since some could.
    fn fails(&self, name: &str, why: &io::Error) {
        if !self.fails.swap(true, Relaxed) {
            let dir = self.dir.display();
            eprintln!(
                "fdflow: proxy: cannot record in {dir}: {name}: {why}; flows go on, unrecorded, \
                 until it can be written to again"
            );
        }
    }

    /// One can be written again.
    fn works(&self) {
        self.fails.store(false, Relaxed);
    }
}

impl Tap {
    /// What the flags ask for. The folder has to be there.
    pub(super) fn open(
        flags: &ServiceFlags,
        lasting: &Arc<Lasting>,
        unwritten: &Arc<Unwritten>,
    ) -> Result<Option<Self>, String> {
        let Some(dir) = flags.tap.clone() else { return Ok(None) };
        let rotate = flags.tap_rotate.map(|size| size.0);
        if rotate == Some(0) {
            return Err("--tap-rotate 0: files of no bytes record nothing; write it as 1GiB".into());
        }
        try_out(&dir)?;
        let cannot = |error| format!("cannot start the thread of --tap: {error}");
        let (fails, lasting) = (false.into(), Arc::clone(lasting));
        let place = Arc::new(Place { dir, rotate, lasting, fails });
        let writer = Writer::start(Arc::clone(unwritten)).map_err(cannot)?;
        Ok(Some(Self { place, policy: flags.tap_policy.unwrap_or_default(), writer }))
    }
}

/// Whether files can be made there: better to know before there are flows.
fn try_out(dir: &Path) -> Result<(), String> {
    let trial = dir.join(format!(".fdflow-tap-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&trial);
    match made.and_then(|_| std::fs::remove_file(&trial)) {
        Ok(()) => Ok(()),
        Err(error) => Err(format!(
            "cannot record in {}: {error}; name a folder that is there and can be written to with --tap",
            dir.display()
        )),
    }
}
