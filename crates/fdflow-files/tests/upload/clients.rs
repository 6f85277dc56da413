//! curl, as people use it.

use std::path::Path;
use std::process::{Command, Output};

use fdflow_files::UploadOptions;

use crate::drop_box::{DropBox, noise};

/// Runs curl; `None`, and said so, where there is none.
fn curl(arguments: &[&str]) -> Option<Output> {
    match Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30"])
        .args(arguments)
        .output()
    {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: curl cannot be run: {error}");
            None
        }
    }
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[test]
fn curl_puts_a_file_with_a_length_and_in_chunks() {
    let drop_box = DropBox::new(UploadOptions::new());
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = noise(5_000_000, 1);
    let sent = file(folder.path(), "sent", &bytes);
    for (name, fields) in [("length", "X-Nothing: 1"), ("chunked", "Transfer-Encoding: chunked")] {
        let url = drop_box.url(&format!("/{name}"));
        let status = ["-w", "%{http_code}", "-o", "/dev/null"];
        let Some(output) = curl(&[&["-T", &sent, "-H", fields, &url], &status[..]].concat()) else {
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout), "201", "{output:?}");
        assert!(drop_box.read(name) == bytes);
    }
}

#[test]
fn curl_sends_a_form_of_files() {
    let drop_box = DropBox::new(UploadOptions::new());
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (noise(3_000_000, 1), noise(10, 2));
    let first = format!("file=@{}", file(folder.path(), "one file", &one));
    let second = format!("file=@{};filename=other", file(folder.path(), "two", &two));
    let Some(output) = curl(&["-F", &first, "-F", &second, "-F", "note=hello", &drop_box.url("/")])
    else {
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one file: stored\nother: stored\n");
    assert!(drop_box.read("one file") == one && drop_box.read("other") == two);
}

#[test]
fn curl_reads_why_a_large_file_is_refused() {
    let mut drop_box = DropBox::new(UploadOptions::new().largest(Some(1000)));
    let folder = tempfile::tempdir().expect("a folder");
    let sent = file(folder.path(), "sent", &noise(30_000_000, 1));
    // A client that sends without asking first may see a reset instead, unless the connection is
    // read on for a while, which is its owner's to do.
    let fields = ["-H", "Expect: 100-continue"];
    let url = drop_box.url("/a");
    let all = [&["-T", &sent, &url], &fields[..]].concat();
    let Some(output) = curl(&all) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "files of more than 1000 bytes are not taken\n", "{output:?}");
    assert!(drop_box.left().is_empty());
}
