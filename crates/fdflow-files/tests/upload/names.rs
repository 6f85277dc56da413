//! Names that are taken, and names that are not.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use fdflow_files::UploadOptions;

use crate::drop_box::DropBox;

#[test]
fn names_are_bytes() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    for (path, name) in [
        ("/a%20b", &b"a b"[..]),
        ("/%ff%fe", b"\xff\xfe"),
        ("/new%0Aline", b"new\nline"),
        ("/%25%23%3F%22%27", b"%#?\"'"),
        ("/%E2%82%AC", "€".as_bytes()),
    ] {
        assert_eq!(drop_box.ask(&format!("PUT {path}"), b"x").status, 201, "{path}");
        let file = drop_box.path.join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(std::fs::read(file).expect("the file"), b"x");
    }
    assert_eq!(drop_box.left().len(), 5);
}

#[test]
fn h67_what_the_root_hides_or_cannot_name_is_refused() {
    let mut drop_box = DropBox::new(UploadOptions::new().overwrite(true));
    std::fs::create_dir(drop_box.path.join("sub")).expect("a folder");
    for (path, status) in [
        ("/..%2fa", 400),
        ("/../a", 400),
        ("/%2e%2e/a", 400),
        ("/a%00b", 400),
        ("/a%5Cb", 400),
        ("/.hidden", 403),
        ("/sub/.hidden", 403),
        ("/.git/config", 403),
        ("/", 409),
        ("/sub/", 409),
        ("/sub", 409),
        ("/nowhere/a", 409),
    ] {
        assert_eq!(drop_box.ask(&format!("PUT {path}"), b"x").status, status, "{path}");
    }
    let long = "n".repeat(256);
    assert_eq!(drop_box.ask(&format!("PUT /{long}"), b"x").status, 400);
    assert_eq!(drop_box.left(), ["sub"]);
}

#[test]
fn h67_nothing_is_stored_through_a_link_that_leads_out() {
    let outside = tempfile::tempdir().expect("a folder");
    let mut drop_box = DropBox::new(UploadOptions::new().overwrite(true));
    std::fs::write(outside.path().join("theirs"), b"theirs").expect("a file");
    symlink(outside.path(), drop_box.path.join("out")).expect("a link");
    symlink(outside.path().join("theirs"), drop_box.path.join("link")).expect("a link");
    symlink("nowhere", drop_box.path.join("dangling")).expect("a link");
    assert_eq!(drop_box.ask("PUT /out/a", b"x").status, 403);
    assert_eq!(drop_box.ask("PUT /link", b"x").status, 409, "a link is never replaced");
    assert_eq!(drop_box.ask("PUT /dangling", b"x").status, 409, "nor followed");
    assert_eq!(std::fs::read(outside.path().join("theirs")).expect("a file"), b"theirs");
    assert_eq!(drop_box.left(), ["dangling", "link", "out"]);
}

#[test]
fn h28_special_files_are_never_replaced_or_waited_for() {
    let mut drop_box = DropBox::new(UploadOptions::new().overwrite(true));
    let fifo = drop_box.path.join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a fifo");
    assert_eq!(drop_box.ask("PUT /fifo", b"x").status, 409);
    assert_eq!(drop_box.ask("PUT /fifo/a", b"x").status, 403);
    assert_eq!(drop_box.left(), ["fifo"]);
}

#[test]
fn names_of_the_programs_own_are_refused() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let id = "0".repeat(32);
    for path in
        [".fdflow-draft-1", ".fdflow-", ".fdflow-upload-1", &format!(".fdflow-upload-{id}.state")]
    {
        assert_eq!(drop_box.ask(&format!("PUT /{path}"), b"x").status, 403, "{path}");
    }
    assert_eq!(drop_box.ask(&format!("PUT /.fdflow-upload-{id}"), b"x").status, 405);
    assert_eq!(drop_box.ask(&format!("HEAD /.fdflow-upload-{id}"), b"").status, 404);
    assert!(drop_box.left().is_empty());
}
