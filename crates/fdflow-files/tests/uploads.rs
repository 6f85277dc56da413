//! Uploads beside downloads: which requests go where.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read as _, Write as _};

use fdflow_files::{Options, UploadOptions};
use support::{Answer, Site};

fn put(site: &Site, path: &str, lines: &[&str], body: &str) -> Answer {
    let mut request = format!("PUT {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for line in lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let mut stream = site.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Answer::read(&bytes)
}

#[test]
fn what_is_uploaded_is_there_for_the_very_next_request() {
    let site = Site::with(Options::default().uploads(UploadOptions::new().overwrite(true)));
    for i in 0..20 {
        let text = format!("version {i}");
        let answer = put(&site, "/a.txt", &[], &text);
        assert!([201, 204].contains(&answer.status), "{answer:?}");
        assert_eq!(site.get("/a.txt", &[]).text(), text);
    }
}

#[test]
fn the_methods_that_are_allowed_say_whether_uploads_are_on() {
    let site = Site::with(Options::default().uploads(UploadOptions::new()));
    site.old("a.txt", "a");
    let allow = Some("GET, HEAD, OPTIONS, POST, PUT");
    let options = site.ask("OPTIONS", "/a.txt", &[]);
    assert_eq!((options.status, options.header("allow")), (204, allow));
    assert!(options.header("upload-limit").is_some());
    for method in ["DELETE", "PATCH", "BREW"] {
        let answer = site.ask(method, "/a.txt", &["Content-Length: 0"]);
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{method}");
    }
    assert_eq!(put(&site, "/a.txt", &[], "b").status, 409);
    assert_eq!(site.get("/a.txt", &[]).text(), "a");
    assert_eq!(put(&Site::new(), "/b.txt", &[], "b").status, 405);
}

#[test]
fn an_upload_in_parts_is_asked_about_and_goes_on_and_nobody_can_read_it_meanwhile() {
    let options = Options::default().hidden(true).uploads(UploadOptions::new());
    let site = Site::with(options);
    let begun = put(&site, "/a.txt", &["Upload-Complete: ?0"], "begin");
    let place = begun.header("location").unwrap_or_else(|| panic!("{begun:?}")).to_owned();
    assert!(!place.contains('/'), "relative to what was asked for");
    let path = &format!("/{place}");
    let asked = site.ask("HEAD", path, &[]);
    assert_eq!((asked.status, asked.header("upload-offset")), (204, Some("5")));
    // As it is where a file cannot be without a name.
    site.young(".fdflow-draft-1", "begin");
    assert!(!site.get("/?format=json", &[]).text().contains(".fdflow-"));
    assert_eq!(site.get("/.fdflow-draft-1", &[]).status, 404);
    for entry in std::fs::read_dir(site.folder.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let answer = site.get(&format!("/{name}"), &[]);
        assert!(!answer.text().contains("begin"), "{name}: {answer:?}");
    }
    assert_eq!(site.ask("DELETE", path, &[]).status, 204);
    assert_eq!(site.ask("HEAD", path, &[]).status, 404);
}

#[test]
fn names_of_uploads_are_nobodys_even_where_hidden_ones_are_shown() {
    let options = Options::default().hidden(true).uploads(UploadOptions::new().overwrite(true));
    let site = Site::with(options);
    site.old(".shown", "shown");
    // Not drafts: those that nobody holds are cleaned away at the start.
    for name in [".fdflow-x", "sub/.fdflow-y", ".fdflow-dir/inside"] {
        site.young(name, "draft");
        let path = &format!("/{name}");
        for method in ["GET", "HEAD"] {
            assert_eq!(site.ask(method, path, &[]).status, 404, "{method} {name}");
        }
        assert_eq!(put(&site, path, &[], "mine").status, 403, "{name}");
        assert_eq!(put(&site, path, &["Upload-Complete: ?0"], "mine").status, 403, "{name}");
        assert_eq!(std::fs::read(site.path(name)).unwrap(), b"draft", "{name}");
    }
    for folder in ["/", "/sub/"] {
        for query in ["", "?format=json"] {
            let page = site.get(&format!("{folder}{query}"), &[]);
            assert_eq!(page.status, 200);
            assert!(!page.text().contains(".fdflow-"), "{folder}{query}: {}", page.text());
        }
    }
    assert_eq!(site.get("/.fdflow-dir/", &[]).status, 404);
    let form = "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\".fdflow-form\"\r\n\r\n\
                mine\r\n--X--\r\n";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary=X\r\n\r\n{form}",
        form.len()
    );
    let mut stream = site.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(Answer::read(&bytes).status, 403);
    assert!(!site.path(".fdflow-form").exists());
    // What is hidden for another reason is as any other name.
    assert_eq!(site.get("/.shown", &[]).text(), "shown");
    assert!(site.get("/?format=json", &[]).text().contains(".shown"));
    assert_eq!(put(&site, "/.mine", &[], "mine").status, 201);
}

#[test]
fn a_page_has_a_place_for_uploads_only_where_they_are_on() {
    let on = Site::with(Options::default().uploads(UploadOptions::new()));
    assert!(on.get("/", &[]).text().contains("type=\"file\""));
    assert!(!Site::new().get("/", &[]).text().contains("type=\"file\""));
}
