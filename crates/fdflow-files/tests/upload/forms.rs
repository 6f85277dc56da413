//! Forms, as pages and `curl -F` send them.

use std::io::Write;

use fdflow_files::UploadOptions;

use crate::drop_box::{Answer, DropBox, noise};

const FORM: &str = "Content-Type: multipart/form-data; boundary=XX";

/// A form of files.
fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        body.extend_from_slice(
            b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
        );
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\"\r\nContent-Type: application/octet-stream\r\n\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    body
}

fn send(drop_box: &DropBox, path: &str, files: &[(&str, &[u8])]) -> Answer {
    drop_box.ask(&format!("POST {path}\n{FORM}"), &form(files))
}

#[test]
fn all_files_of_a_form_are_stored() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    std::fs::create_dir(drop_box.path.join("sub")).expect("a folder");
    // Long enough for many frames, and with what looks like a boundary across them.
    let large: Vec<u8> =
        noise(700_000, 1).into_iter().chain(*b"\r\n--X\r\n--XY").cycle().take(2_000_001).collect();
    let answer = send(&drop_box, "/sub/", &[("a", b""), ("b c", b"text"), ("large", &large)]);
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (201, "a: stored\nb c: stored\nlarge: stored\n")
    );
    assert_eq!(drop_box.read("sub/a"), b"");
    assert_eq!(drop_box.read("sub/b c"), b"text");
    assert!(drop_box.read("sub/large") == large);
    assert_eq!(drop_box.left(), ["sub"]);
}

#[test]
fn fields_that_are_no_files_are_passed_over() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let mut body =
        b"--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n".to_vec();
    body.extend_from_slice(
        b"--XX\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\r\n\r\n",
    );
    let nothing = [body.clone(), form(&[])].concat();
    assert_eq!(drop_box.ask(&format!("POST /\n{FORM}"), &nothing).status, 400);
    body.extend_from_slice(&form(&[("a", b"a")]));
    assert_eq!(drop_box.ask(&format!("POST /\n{FORM}"), &body).status, 201);
    assert_eq!(drop_box.left(), ["a"]);
}

#[test]
fn a_browser_without_a_script_goes_back_to_the_folder() {
    let drop_box = DropBox::new(UploadOptions::new());
    let request = format!("POST /\n{FORM}\nAccept: text/html,*/*;q=0.8");
    let answer = drop_box.ask(&request, &form(&[("a", b"a")]));
    assert_eq!((answer.status, answer.field("location")), (303, Some("./")));
    assert_eq!(drop_box.ask(&request, &form(&[("a", b"a")])).status, 409);
}

#[test]
fn a_file_that_cannot_be_stored_is_told_and_the_others_are_stored() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    assert_eq!(drop_box.ask("PUT /there", b"old").status, 201);
    let large = noise(300_000, 1);
    let answer = send(&drop_box, "/", &[("there", &large), (".hidden", b"x"), ("new", b"new")]);
    assert_eq!(answer.status, 409);
    let lines: Vec<_> = answer.body.lines().collect();
    assert!(lines[0].starts_with("there: a file has this name"), "{lines:?}");
    assert_eq!(lines[1..], [".hidden: nothing may be stored there", "new: stored"]);
    assert_eq!(drop_box.read("there"), b"old");
    assert_eq!(drop_box.left(), ["new", "there"]);
}

#[test]
fn h67_names_in_forms_lead_nowhere_else() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    std::fs::create_dir(drop_box.path.join("sub")).expect("a folder");
    for (sent, status) in [("..", 400), ("a\0b", 400), (".fdflow-draft-x", 403), ("a/..", 400)] {
        assert_eq!(send(&drop_box, "/sub/", &[(sent, b"x")]).status, status, "{sent}");
    }
    assert!(crate::drop_box::names(&drop_box.path.join("sub")).is_empty());
    for (sent, name) in [
        ("../../a", "a"),
        ("C:\\\\dir\\\\b", "b"),
        ("q%22uote", "q\"uote"),
        ("p%41rt", "p%41rt"),
        ("é€", "é€"),
    ] {
        assert_eq!(send(&drop_box, "/sub/", &[(sent, b"x")]).status, 201, "{sent}");
        assert_eq!(drop_box.read(&format!("sub/{name}")), b"x");
    }
    assert_eq!(drop_box.left(), ["sub"]);
}

#[test]
fn a_form_that_breaks_off_leaves_what_was_whole() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let body = form(&[("whole", b"whole"), ("broken", &noise(500_000, 1))]);
    let mut client = drop_box.connect();
    client.request(&format!("POST /\n{FORM}"), Some(body.len()));
    client.send(&body[..400_000]);
    client.go();
    drop_box.wait_for_ends(1);
    assert_eq!(drop_box.left(), ["whole"]);
}

#[test]
fn a_form_without_an_end_is_broken() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let body = form(&[("a", b"a")]);
    let cut = &body[..body.len() - 8];
    assert_eq!(drop_box.ask(&format!("POST /\n{FORM}"), cut).status, 400);
    assert_eq!(drop_box.ask("POST /\nContent-Type: multipart/form-data", &body).status, 400);
    assert!(drop_box.left().is_empty());
}

#[test]
fn a_form_that_is_too_large_is_refused() {
    let mut drop_box = DropBox::new(UploadOptions::new().largest(Some(1000)));
    assert_eq!(send(&drop_box, "/", &[("a", &[1; 1000])]).status, 413);
    let mut client = drop_box.connect();
    client.request(&format!("POST /\n{FORM}\nTransfer-Encoding: chunked"), None);
    client.chunk(&form(&[("a", &[1; 1001])]));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
    assert!(drop_box.left().is_empty());
}

#[test]
fn h70_a_head_of_a_part_without_end_is_not_kept_in_memory() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let mut client = drop_box.connect();
    client.request(&format!("POST /\n{FORM}\nTransfer-Encoding: chunked"), None);
    client.chunk(b"--XX\r\nContent-Disposition: form-data; name=\"");
    let endless = vec![b'a'; 1 << 20];
    for _ in 0..5 {
        // The server may hang up before it has all.
        let chunk = [b"100000\r\n", &endless[..], b"\r\n"].concat();
        let _hung_up = client.stream.write_all(&chunk);
    }
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
    assert!(drop_box.left().is_empty());
}
