//! Uploads in parts: draft-ietf-httpbis-resumable-upload.

use std::time::Duration;

use fdflow_files::UploadOptions;

use crate::drop_box::{Answer, Client, DropBox, noise};

/// Begins an upload, and tells where it is.
fn begin(drop_box: &DropBox, request: &str, body: &[u8]) -> String {
    let answer = drop_box.ask(&format!("{request}\nUpload-Complete: ?0"), body);
    assert_eq!((answer.status, answer.field("upload-complete")), (201, Some("?0")), "{answer:?}");
    assert!(answer.field("upload-limit").is_some());
    let place = answer.field("location").expect("a place");
    assert!(!place.contains('/'), "relative to the file: {place}");
    let path = request.split(' ').nth(1).expect("a path");
    format!("{}/{place}", path.rsplit_once('/').expect("a path").0)
}

fn part(at: &str, offset: usize, complete: bool) -> String {
    let complete = u8::from(complete);
    format!(
        "PATCH {at}\nContent-Type: application/partial-upload\nUpload-Offset: {offset}\n\
         Upload-Complete: ?{complete}"
    )
}

/// What HEAD tells: the offset, and whether it is complete.
fn state(drop_box: &DropBox, at: &str) -> (u64, bool) {
    let answer = drop_box.ask(&format!("HEAD {at}"), b"");
    assert_eq!((answer.status, answer.field("cache-control")), (204, Some("no-store")));
    assert!(answer.field("upload-limit").is_some());
    let offset = answer.field("upload-offset").and_then(|offset| offset.parse().ok());
    (offset.expect("an offset"), answer.field("upload-complete") == Some("?1"))
}

fn problem(answer: &Answer) -> serde_json::Value {
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    serde_json::from_str(&answer.body).expect("json")
}

#[test]
fn an_upload_is_begun_continued_and_completed() {
    for method in ["PUT", "POST"] {
        let mut drop_box = DropBox::new(UploadOptions::new());
        let bytes = noise(2_500_000, 1);
        let at = begin(&drop_box, &format!("{method} /a%20b"), &bytes[..1_000_000]);
        assert_eq!(state(&drop_box, &at), (1_000_000, false));
        let answer = drop_box.ask(&part(&at, 1_000_000, false), &bytes[1_000_000..1_000_001]);
        assert_eq!((answer.status, answer.field("upload-complete")), (204, Some("?0")));
        assert_eq!(answer.field("upload-offset"), Some("1000001"));
        let answer = drop_box.ask(&part(&at, 1_000_001, true), &bytes[1_000_001..]);
        assert_eq!((answer.status, answer.field("upload-complete")), (201, Some("?1")));
        assert_eq!(answer.field("location"), Some("a%20b"));
        assert!(drop_box.read("a b") == bytes);
        assert_eq!(state(&drop_box, &at), (2_500_000, true));
        assert_eq!(drop_box.left().len(), 2, "the file, and the state for who has missed it");
    }
}

#[test]
fn an_upload_may_begin_and_end_without_bytes() {
    let drop_box = DropBox::new(UploadOptions::new());
    let at = begin(&drop_box, "PUT /a", b"");
    assert_eq!(state(&drop_box, &at), (0, false));
    assert_eq!(drop_box.ask(&part(&at, 0, false), b"abc").status, 204);
    assert_eq!(drop_box.ask(&part(&at, 3, true), b"").status, 201);
    assert_eq!(drop_box.read("a"), b"abc");
}

#[test]
fn an_upload_in_one_request_is_told_complete() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let answer = drop_box.ask("PUT /a\nUpload-Complete: ?1", b"abc");
    assert_eq!((answer.status, answer.field("upload-complete")), (201, Some("?1")));
    let answer = drop_box.ask("PUT /b\nUpload-Complete: ?1\nUpload-Length: 4", b"abc");
    assert_eq!(answer.status, 400);
    let problem = problem(&answer);
    assert!(problem["type"].as_str().expect("a type").ends_with("#inconsistent-upload-length"));
    let mut client = drop_box.connect();
    client
        .request("PUT /c\nUpload-Complete: ?1\nUpload-Length: 4\nTransfer-Encoding: chunked", None);
    client.chunk(b"abc");
    client.chunk(b"");
    assert_eq!(client.answer().status, 400, "shorter than was told");
    assert_eq!(drop_box.left(), ["a"]);
}

#[test]
fn a_field_that_is_no_boolean_makes_no_upload_in_parts() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let answer = drop_box.ask("PUT /a\nUpload-Complete: no", b"abc");
    assert_eq!((answer.status, answer.field("location")), (201, None));
    assert_eq!(drop_box.left(), ["a"]);
}

#[test]
fn a_wrong_offset_is_told_the_right_one() {
    let drop_box = DropBox::new(UploadOptions::new());
    let at = begin(&drop_box, "PUT /a", b"abc");
    for wrong in [0, 2, 4, 1_000_000] {
        let answer = drop_box.ask(&part(&at, wrong, true), b"def");
        assert_eq!((answer.status, answer.field("upload-offset")), (409, Some("3")));
        let problem = problem(&answer);
        assert_eq!(
            problem["type"],
            "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
        );
        assert_eq!(
            (&problem["expected-offset"], &problem["provided-offset"]),
            (&3.into(), &wrong.into())
        );
    }
    assert_eq!(state(&drop_box, &at), (3, false));
    assert_eq!(drop_box.ask(&part(&at, 3, true), b"def").status, 201);
    assert_eq!(drop_box.read("a"), b"abcdef");
}

#[test]
fn a_part_that_does_not_say_what_it_is_is_refused() {
    let drop_box = DropBox::new(UploadOptions::new());
    let at = begin(&drop_box, "PUT /a", b"");
    let kind = "Content-Type: application/partial-upload";
    for (request, status) in [
        (format!("PATCH {at}\nUpload-Offset: 0\nUpload-Complete: ?0"), 415),
        (format!("PATCH {at}\n{kind}\nUpload-Complete: ?0"), 400),
        (format!("PATCH {at}\n{kind}\nUpload-Offset: -1\nUpload-Complete: ?0"), 400),
        (format!("PATCH {at}\n{kind}\nUpload-Offset: 0"), 400),
        (format!("PATCH {at}\n{kind}\nUpload-Offset: 0\nUpload-Complete: 1"), 400),
        (format!("PUT {at}"), 405),
        (format!("GET {at}"), 405),
    ] {
        assert_eq!(drop_box.ask(&request, b"x").status, status, "{request}");
    }
    assert_eq!(drop_box.ask("PATCH /a", b"x").status, 405);
    let answer = drop_box.ask(&format!("OPTIONS {at}"), b"");
    assert_eq!(answer.field("allow"), Some("DELETE, HEAD, OPTIONS, PATCH"));
    assert_eq!(state(&drop_box, &at), (0, false));
}

#[test]
fn a_client_that_goes_midway_goes_on_where_it_was() {
    let drop_box = DropBox::new(UploadOptions::new());
    let bytes = noise(3_000_000, 1);
    let at = begin(&drop_box, "PUT /a", b"");
    let mut client = drop_box.connect();
    client.request(&part(&at, 0, true), Some(bytes.len()));
    client.send(&bytes[..1_234_567]);
    client.stream.shutdown(std::net::Shutdown::Write).expect("a shutdown");
    // One for the beginning, one for this.
    drop_box.wait_for_ends(2);
    let (offset, complete) = state(&drop_box, &at);
    assert_eq!((offset, complete), (1_234_567, false), "what came is there, and no more");
    let answer = drop_box.ask(&part(&at, 1_234_567, true), &bytes[1_234_567..]);
    assert_eq!(answer.status, 201);
    assert!(drop_box.read("a") == bytes);
}

#[test]
fn a_beginning_that_breaks_off_leaves_nothing() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let mut client = drop_box.connect();
    client.request("PUT /a\nUpload-Complete: ?0", Some(2_000_000));
    client.send(&noise(1_500_000, 1));
    client.go();
    drop_box.wait_for_ends(1);
    assert!(drop_box.left().is_empty(), "nobody knows where it is");
}

#[test]
fn an_upload_outlives_the_server() {
    let mut first = DropBox::new(UploadOptions::new());
    let at = begin(&first, "PUT /a\nIf-None-Match: *\nUpload-Length: 6", b"abc");
    first.stop();
    let second = DropBox::at(&first.path, UploadOptions::new());
    assert_eq!(state(&second, &at), (3, false));
    let answer = second.ask(&format!("HEAD {at}"), b"");
    assert_eq!(answer.field("upload-length"), Some("6"));
    assert_eq!(second.ask(&part(&at, 3, true), b"def").status, 201);
    assert_eq!(second.read("a"), b"abcdef");
}

#[test]
fn the_terms_of_the_beginning_hold_in_the_end() {
    let drop_box = DropBox::new(UploadOptions::new().overwrite(true));
    let at = begin(&drop_box, "PUT /a\nIf-None-Match: *", b"abc");
    assert_eq!(drop_box.ask("PUT /a", b"another").status, 201);
    let answer = drop_box.ask(&part(&at, 3, true), b"def");
    assert_eq!((answer.status, answer.field("upload-complete")), (412, Some("?1")));
    assert_eq!(drop_box.read("a"), b"another");
    assert_eq!(drop_box.ask(&format!("HEAD {at}"), b"").status, 404, "nothing can become of it");
    let keeps = DropBox::new(UploadOptions::new());
    let at = begin(&keeps, "PUT /a", b"abc");
    assert_eq!(keeps.ask("PUT /a", b"another").status, 201);
    assert_eq!(keeps.ask(&part(&at, 3, true), b"").status, 409);
    assert_eq!(
        keeps.ask("PUT /a\nUpload-Complete: ?0", b"abc").status,
        409,
        "at the beginning too"
    );
    assert_eq!(keeps.read("a"), b"another");
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let at = begin(&drop_box, "PUT /a", b"abc");
    assert_eq!(drop_box.ask(&format!("DELETE {at}"), b"").status, 204);
    for request in [format!("HEAD {at}"), format!("DELETE {at}"), part(&at, 3, true)] {
        assert_eq!(drop_box.ask(&request, b"").status, 404);
    }
    assert!(drop_box.left().is_empty());
}

#[test]
fn a_complete_upload_takes_no_more() {
    let drop_box = DropBox::new(UploadOptions::new());
    let at = begin(&drop_box, "PUT /a", b"abc");
    assert_eq!(drop_box.ask(&part(&at, 3, true), b"").status, 201);
    let answer = drop_box.ask(&part(&at, 3, true), b"");
    assert_eq!((answer.status, answer.field("location")), (410, Some("a")));
    assert!(problem(&answer)["type"].as_str().expect("a type").ends_with("#completed-upload"));
    let answer = drop_box.ask(&part(&at, 3, true), b"more");
    assert_eq!(answer.status, 400);
    assert_eq!(drop_box.read("a"), b"abc");
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let at = begin(&drop_box, "PUT /a\nUpload-Length: 10", b"0123");
    for (fields, body, complete) in
        [("\nUpload-Length: 11", &b"4"[..], false), ("", b"45678", true), ("", b"4567890", false)]
    {
        let answer = drop_box.ask(&format!("{}{fields}", part(&at, 4, complete)), body);
        assert_eq!(answer.status, 400, "{fields} {body:?}");
        let problem = problem(&answer);
        assert!(problem["type"].as_str().expect("a type").ends_with("#inconsistent-upload-length"));
    }
    assert_eq!(state(&drop_box, &at), (4, false));
    // Without an announced length it shows only when it is too late.
    let mut client = drop_box.connect();
    client.request(&format!("{}\nTransfer-Encoding: chunked", part(&at, 4, false)), None);
    client.chunk(b"4567890");
    assert_eq!(client.answer().status, 400);
    assert_eq!(drop_box.ask(&format!("HEAD {at}"), b"").status, 404);
    assert!(drop_box.left().is_empty());
}

#[test]
fn an_upload_is_no_larger_than_a_file_may_be() {
    let mut drop_box = DropBox::new(UploadOptions::new().largest(Some(10)));
    assert_eq!(drop_box.ask("PUT /a\nUpload-Complete: ?0\nUpload-Length: 11", b"").status, 413);
    let at = begin(&drop_box, "PUT /a", b"012345");
    let answer = drop_box.ask(&part(&at, 6, false), b"67890");
    assert_eq!(answer.status, 413);
    assert_eq!(answer.field("upload-limit"), Some("max-size=10, max-age=86400"));
    let mut client = drop_box.connect();
    client.request(&format!("{}\nTransfer-Encoding: chunked", part(&at, 6, false)), None);
    client.chunk(b"67890");
    assert_eq!(client.answer().status, 413);
    assert!(drop_box.left().is_empty());
}

#[test]
fn a_later_request_stops_the_earlier_one_and_finds_the_offset_at_rest() {
    let drop_box = DropBox::new(UploadOptions::new());
    let bytes = noise(2_000_000, 1);
    let at = begin(&drop_box, "PUT /a", b"");
    let mut earlier = drop_box.connect();
    earlier.request(&format!("{}\nExpect: 100-continue", part(&at, 0, true)), Some(bytes.len()));
    assert_eq!(earlier.answer().status, 100);
    earlier.send(&bytes[..1_000_000]);
    let (offset, _) = state(&drop_box, &at);
    let answer = earlier.answer();
    assert_eq!((answer.status, answer.field("connection")), (409, Some("close")));
    // What the earlier one may still have sent is lost, and the offset holds.
    let offset = usize::try_from(offset).expect("an offset");
    assert_eq!(drop_box.ask(&part(&at, offset, true), &bytes[offset..]).status, 201);
    assert!(drop_box.read("a") == bytes);
}

#[test]
fn requests_at_the_same_time_never_mix() {
    let drop_box = DropBox::new(UploadOptions::new());
    let bytes = noise(6_000_000, 1);
    let at = begin(&drop_box, "PUT /a", b"");
    // Each sends the same file from where the server says that it is; whoever is stopped asks again.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let (offset, complete) = state(&drop_box, &at);
                    if complete {
                        return;
                    }
                    let offset = usize::try_from(offset).expect("an offset");
                    let end = (offset + 777_777).min(bytes.len());
                    let mut client = drop_box.connect();
                    let request = part(&at, offset, end == bytes.len());
                    client.request(&request, Some(end - offset));
                    try_send(&mut client, &bytes[offset..end]);
                }
            });
        }
    });
    assert!(drop_box.read("a") == bytes);
}

/// Sends what the server takes, and waits until it has answered or hung up.
fn try_send(client: &mut Client, bytes: &[u8]) {
    use std::io::{Read, Write};
    if client.stream.write_all(bytes).is_ok() {
        let _answered = client.stream.read(&mut [0; 512]);
    }
}

#[test]
fn a_request_that_gives_up_stops_one_that_appends() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let at = begin(&drop_box, "PUT /a", b"");
    let mut earlier = drop_box.connect();
    earlier.request(&format!("{}\nExpect: 100-continue", part(&at, 0, true)), Some(10));
    assert_eq!(earlier.answer().status, 100);
    earlier.send(b"01234");
    assert_eq!(drop_box.ask(&format!("DELETE {at}"), b"").status, 204);
    assert_eq!(earlier.answer().status, 409);
    assert!(drop_box.left().is_empty());
}

#[test]
fn a_folder_has_so_many_unfinished_uploads_and_no_more() {
    let drop_box = DropBox::new(UploadOptions::new().most_unfinished(2));
    std::fs::create_dir(drop_box.path.join("sub")).expect("a folder");
    let at = begin(&drop_box, "PUT /a", b"");
    begin(&drop_box, "PUT /b", b"");
    let answer = drop_box.ask("PUT /c\nUpload-Complete: ?0", b"");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("5")));
    begin(&drop_box, "PUT /sub/c", b"");
    assert_eq!(drop_box.ask(&format!("DELETE {at}"), b"").status, 204);
    begin(&drop_box, "PUT /c", b"");
}

#[test]
fn an_upload_that_nobody_resumes_is_removed() {
    let options = || UploadOptions::new().keep_unfinished(Duration::from_secs(100));
    let mut drop_box = DropBox::new(options().most_unfinished(1));
    let at = begin(&drop_box, "PUT /a", b"abc");
    age(&drop_box, 90);
    assert_eq!(state(&drop_box, &at), (3, false));
    age(&drop_box, 200);
    assert_eq!(drop_box.ask(&format!("HEAD {at}"), b"").status, 404);
    assert!(drop_box.names().is_empty());
    begin(&drop_box, "PUT /b", b"abc");
    age(&drop_box, 200);
    begin(&drop_box, "PUT /c", b"abc");
    age(&drop_box, 200);
    let again = DropBox::at(&drop_box.path, options());
    let begun = std::time::Instant::now();
    while !again.names().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "left: {:?}", again.names());
        std::thread::yield_now();
    }
    assert!(drop_box.left().is_empty());
}

/// Makes all files so many seconds old.
fn age(drop_box: &DropBox, seconds: u64) {
    let then = std::time::SystemTime::now() - Duration::from_secs(seconds);
    for name in drop_box.names() {
        let file = std::fs::File::open(drop_box.path.join(name)).expect("a file");
        file.set_modified(then).expect("a time");
    }
}

#[test]
fn a_state_that_somebody_has_forged_leads_nowhere() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let inner = drop_box.path.join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    for target in ["../out", "", "..", ".fdflow-x"] {
        let at = begin(&drop_box, "PUT /inner/a", b"abc");
        let id = at.rsplit('/').next().expect("a name");
        let path = inner.join(format!("{id}.state"));
        let text = std::fs::read_to_string(&path).expect("a state");
        let forged = text.replace("[97]", &format!("{:?}", target.as_bytes()));
        assert_ne!(text, forged);
        std::fs::write(path, forged).expect("a state");
        assert_eq!(drop_box.ask(&part(&at, 3, true), b"").status, 404, "{target}");
    }
    assert_eq!(drop_box.left(), ["inner"]);
}

#[test]
fn without_uploads_in_parts_a_beginning_is_not_mistaken_for_the_whole() {
    let mut drop_box = DropBox::new(UploadOptions::new().resumable(false));
    assert_eq!(drop_box.ask("PUT /a\nUpload-Complete: ?0", b"abc").status, 501);
    let answer = drop_box.ask("PUT /b\nUpload-Complete: ?1", b"abc");
    assert_eq!((answer.status, answer.field("upload-complete")), (201, None));
    let answer = drop_box.ask("OPTIONS /b", b"");
    assert_eq!(answer.field("accept-patch"), None);
    assert_eq!(drop_box.left(), ["b"]);
}
