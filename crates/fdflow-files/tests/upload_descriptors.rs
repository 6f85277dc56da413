//! Descriptors, in a process of its own: there are none to be had, and none is left over.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use std::fs::File;

use fdflow_files::UploadOptions;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[path = "upload/drop_box.rs"]
#[allow(dead_code, reason = "shared with the other tests of uploads")]
mod drop_box;
use drop_box::{DropBox, noise};

fn open() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

#[test]
fn h31_without_descriptors_uploads_are_put_off_and_none_is_left_over() {
    // What tokio keeps for the process, where anything built with it wants signals, stays open.
    drop(tokio::runtime::Builder::new_current_thread().enable_io().build());
    let before = open();
    let folder = tempfile::tempdir().expect("a folder");
    let options = UploadOptions::new().overwrite(true);
    let mut drop_box = DropBox::at(folder.path(), options.clone());
    let mut client = drop_box.connect();
    let mut put = |request: &str, body: &[u8]| {
        client.request(request, Some(body.len()));
        client.send(body);
        client.answer().status
    };
    assert_eq!(put("PUT /a", b"x"), 201);
    let whole = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(200), maximum: whole.maximum };
    setrlimit(Resource::Nofile, few).expect("a limit");
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    // With one to be had, the folder is opened and the file is not; and so on.
    for _ in 0..2 {
        assert_eq!(put("PUT /a", b"x"), 503);
        assert_eq!(put("PUT /a\nUpload-Complete: ?0", b"x"), 503);
        taken.pop();
    }
    drop(taken);
    setrlimit(Resource::Nofile, whole).expect("a limit");
    assert_eq!(put("PUT /a", b"y"), 204);
    assert_eq!(put("PUT /b\nUpload-Complete: ?0", &noise(100_000, 1)), 201);
    assert_eq!(put("POST /\nContent-Type: multipart/form-data; boundary=X", b"--X--\r\n"), 400);
    for request in ["PUT /gone", "PUT /gone\nUpload-Complete: ?0"] {
        let mut client = drop_box.connect();
        client.request(request, Some(1_000_000));
        client.send(&noise(500_000, 1));
        client.go();
        drop_box.wait_for_ends(1);
    }
    drop(client);
    drop_box.stop();
    drop(drop_box);
    assert_eq!(open(), before);
}
