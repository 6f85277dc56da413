//! The root on real folders, by each way that it resolves names.

#[path = "../../../../fdflow/tests/support/confine.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of another crate")]
mod confine;
mod confinement;
mod limits;
mod listed;
mod race;
mod slow;
mod special;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::resolve::{LOOKING, Way};
use super::{FileOrFolder, OpenError, Opened, Root, Symlinks};
use crate::name::Name;

const WAYS: [Way; 3] = [Way::Kernel { cached: true }, Way::Kernel { cached: false }, Way::Stepwise];

/// A folder to serve, `inside`, and one beside it, `outside`, with a file each.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        for folder in ["inside", "inside/sub", "inside/sub/deep", "outside"] {
            fs::create_dir(scene.dir.path().join(folder)).unwrap();
        }
        fs::write(scene.inside("file"), "ours").unwrap();
        fs::write(scene.inside("sub/file"), "ours below").unwrap();
        fs::write(scene.outside("file"), "secret").unwrap();
        scene
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.dir.path().join("inside").join(path)
    }

    fn outside(&self, path: &str) -> PathBuf {
        self.dir.path().join("outside").join(path)
    }

    fn link(&self, to: impl AsRef<Path>, at: &str) {
        symlink(to, self.inside(at)).unwrap();
    }

    fn root(&self, way: Way, symlinks: Symlinks) -> Root {
        root_at(&self.inside(""), way, symlinks)
    }

    /// Checks what a URI's path is answered with, by each way.
    fn expect(&self, symlinks: Symlinks, uri: &str, answer: &str) {
        for way in WAYS {
            let root = self.root(way, symlinks);
            assert_eq!(answer_of(&root, uri), answer, "{uri} with links {symlinks} by {way:?}");
        }
    }

    /// The same with links that stay inside.
    fn answers(&self, uri: &str, answer: &str) {
        self.expect(Symlinks::Inside, uri, answer);
    }
}

fn root_at(dir: &Path, way: Way, symlinks: Symlinks) -> Root {
    let folder = rustix::fs::open(dir, LOOKING, rustix::fs::Mode::empty()).unwrap();
    Root::by(way, folder, symlinks, false).unwrap()
}

/// What comes of opening it: at once, waiting and on a runtime, which must all say the same.
fn answer_of(root: &Root, uri: &str) -> String {
    let name = match Name::from_uri(uri) {
        Ok(name) => name,
        Err(bad) => return format!("{bad:?}"),
    };
    let waited = said(root.open_patiently(&name));
    assert_eq!(said(runtime().block_on(root.open(&name))), waited);
    let looked = runtime().block_on(root.look(&name)).map(|facts| facts.kind);
    assert_eq!(looked.is_ok(), waited.starts_with("holds") || waited == "folder");
    if let Some(at_once) = root.try_open(&name) {
        assert_eq!(said(at_once), waited);
    }
    waited
}

fn said(answer: Result<Opened, OpenError>) -> String {
    match answer {
        Ok(opened) if opened.facts.kind == FileOrFolder::Folder => "folder".into(),
        Ok(opened) => {
            let mut text = String::new();
            File::from(opened.fd).read_to_string(&mut text).unwrap();
            assert_eq!(u64::try_from(text.len()).unwrap(), opened.facts.length);
            format!("holds {text}")
        }
        Err(error) => format!("{error:?}"),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn name(uri: &str) -> Name {
    Name::from_uri(uri).unwrap()
}

/// Says loudly that a test did not run, and why.
fn skipped(test: &str, reason: &str) {
    // Not by a macro, whose output the test harness keeps to itself.
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `true` in a process of the test's own, for what changes or counts a whole process's things;
/// elsewhere runs the test there and checks that it passed.
fn alone(test: &str) -> bool {
    const CHILD: &str = "FDFLOW_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("root::tests::{test}");
    command.args([&*test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let output = command.output().unwrap();
    let listed = String::from_utf8_lossy(&output.stdout);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && listed.contains("1 passed"), "{listed}");
    false
}
