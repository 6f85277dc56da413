//! Whole files by PUT and POST.

use std::os::unix::fs::PermissionsExt;

use fdflow_files::UploadOptions;

use crate::drop_box::{DropBox, noise};

#[test]
fn a_file_is_stored_as_it_was_sent() {
    let drop_box = DropBox::new(UploadOptions::new());
    // Around what is gathered, copied and written together.
    for (number, length) in
        [0, 1, 1023, 16 << 10, 65_536, 65_537, (1 << 20) - 1, 1 << 20, 5_000_001].iter().enumerate()
    {
        let bytes = noise(*length, number as u64);
        let name = format!("file-{length}");
        assert_eq!(drop_box.ask(&format!("PUT /{name}"), &bytes).status, 201);
        assert!(drop_box.read(&name) == bytes, "{length} bytes");
    }
}

#[test]
fn a_chunked_file_is_stored_as_it_was_sent() {
    let drop_box = DropBox::new(UploadOptions::new());
    let mut client = drop_box.connect();
    client.request("PUT /chunked\nTransfer-Encoding: chunked", None);
    let mut sent = Vec::new();
    for (number, length) in [1, 3, 700_000, 17, 1, 65_536, 2, 300_000].iter().enumerate() {
        let chunk = noise(*length, number as u64);
        client.chunk(&chunk);
        sent.extend_from_slice(&chunk);
    }
    client.chunk(b"");
    assert_eq!(client.answer().status, 201);
    assert!(drop_box.read("chunked") == sent);
    // The connection goes on.
    client.request("PUT /next", Some(2));
    client.send(b"ok");
    assert_eq!(client.answer().status, 201);
}

#[test]
fn bytes_that_came_with_the_head_are_first() {
    let drop_box = DropBox::new(UploadOptions::new());
    let mut client = drop_box.connect();
    client.send(b"PUT /a HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n01234");
    client.send(b"56789PUT /b HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nb");
    assert_eq!((client.answer().status, client.answer().status), (201, 201));
    assert_eq!((drop_box.read("a"), drop_box.read("b")), (b"0123456789".to_vec(), b"b".to_vec()));
}

#[test]
fn a_client_that_goes_midway_leaves_nothing() {
    for unnamed in [true, false] {
        let mut drop_box = DropBox::new(UploadOptions::new().unnamed(unnamed));
        let part = noise(3 << 20, 1);
        let mut client = drop_box.connect();
        client.request("PUT /length", Some(4 << 20));
        client.send(&part);
        client.go();
        let mut client = drop_box.connect();
        client.request("PUT /chunked\nTransfer-Encoding: chunked", None);
        client.chunk(&part);
        client.go();
        drop_box.wait_for_ends(2);
        assert!(drop_box.left().is_empty(), "unnamed: {unnamed}");
    }
}

#[test]
fn a_file_has_the_mode_that_the_umask_leaves() {
    let drop_box = DropBox::new(UploadOptions::new());
    std::fs::write(drop_box.path.join("like"), b"").expect("a file");
    let mode =
        |name: &str| drop_box.path.join(name).metadata().expect("a file").permissions().mode();
    for (name, unnamed) in [("unnamed", true), ("named", false)] {
        let other = DropBox::at(&drop_box.path, UploadOptions::new().unnamed(unnamed));
        assert_eq!(other.ask(&format!("PUT /{name}"), b"x").status, 201);
        assert_eq!(mode(name), mode("like"), "{name}");
    }
}

#[test]
fn an_existing_file_is_kept_unless_it_may_be_replaced() {
    for unnamed in [true, false] {
        let options = UploadOptions::new().unnamed(unnamed);
        let keeps = DropBox::new(options.clone());
        assert_eq!(keeps.ask("PUT /a", b"old").status, 201);
        assert_eq!(keeps.ask("PUT /a", b"new").status, 409);
        assert_eq!(keeps.read("a"), b"old");
        let mut replaces = DropBox::at(&keeps.path, options.overwrite(true));
        assert_eq!(replaces.ask("PUT /a", b"new").status, 204);
        assert_eq!(replaces.ask("PUT /b", b"b").status, 201);
        assert_eq!(replaces.read("a"), b"new");
        assert_eq!(replaces.left(), ["a", "b"]);
    }
}

#[test]
fn of_two_uploads_of_a_name_one_is_stored_and_one_is_told_so() {
    for unnamed in [true, false] {
        let mut drop_box = DropBox::new(UploadOptions::new().unnamed(unnamed));
        let bodies = [noise(300_000, 1), noise(300_000, 2)];
        // Both are under way before either is whole.
        let mut clients: Vec<_> = bodies
            .iter()
            .map(|body| {
                let mut client = drop_box.connect();
                client.request("PUT /a\nExpect: 100-continue", Some(body.len()));
                assert_eq!(client.answer().status, 100);
                client.send(&body[..200_000]);
                client
            })
            .collect();
        for (client, body) in clients.iter_mut().zip(&bodies) {
            client.send(&body[200_000..]);
        }
        let mut statuses: Vec<_> =
            clients.iter_mut().map(|client| client.answer().status).collect();
        let first = statuses.iter().position(|status| *status == 201).expect("one is stored");
        assert!(drop_box.read("a") == bodies[first]);
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        assert_eq!(drop_box.left(), ["a"]);
    }
}

#[test]
fn of_two_uploads_that_may_replace_the_last_is_there_whole() {
    for unnamed in [true, false] {
        let mut drop_box = DropBox::new(UploadOptions::new().overwrite(true).unnamed(unnamed));
        let bodies = [noise(300_000, 1), noise(300_000, 2)];
        let mut clients: Vec<_> = bodies
            .iter()
            .map(|body| {
                let mut client = drop_box.connect();
                client.request("PUT /a\nExpect: 100-continue", Some(body.len()));
                assert_eq!(client.answer().status, 100);
                client.send(&body[..200_000]);
                client
            })
            .collect();
        clients[1].send(&bodies[1][200_000..]);
        assert_eq!(clients[1].answer().status, 201);
        assert!(drop_box.read("a") == bodies[1]);
        clients[0].send(&bodies[0][200_000..]);
        assert_eq!(clients[0].answer().status, 204);
        assert!(drop_box.read("a") == bodies[0]);
        assert_eq!(drop_box.left(), ["a"]);
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let mut drop_box = DropBox::new(UploadOptions::new().largest(Some(1000)));
    let mut client = drop_box.connect();
    client.request("PUT /a\nExpect: 100-continue", Some(1001));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
    assert_eq!(answer.field("upload-limit"), Some("max-size=1000, max-age=86400"));
    assert!(client.is_closed());
    assert_eq!(drop_box.ask("PUT /b", &[7; 1000]).status, 201);
    assert_eq!(drop_box.left(), ["b"]);
}

#[test]
fn a_length_that_is_too_large_is_refused_although_its_bytes_do_not_come() {
    let mut drop_box = DropBox::new(UploadOptions::new().largest(Some(5)));
    for head in [
        "PUT /a",
        "POST /a",
        "PUT /a\nUpload-Complete: ?0",
        "PUT /a\nUpload-Complete: ?1",
        "POST /\nContent-Type: multipart/form-data; boundary=X",
    ] {
        let mut client = drop_box.connect();
        client.request(head, Some(100));
        client.send(b"some");
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (413, Some("close")), "{head}");
        assert!(client.is_closed());
    }
    assert!(drop_box.left().is_empty());
}

#[test]
fn a_chunked_file_that_is_too_large_is_refused_in_the_middle() {
    for unnamed in [true, false] {
        let options = UploadOptions::new().largest(Some(1_000_000)).unnamed(unnamed);
        let mut drop_box = DropBox::new(options);
        let mut client = drop_box.connect();
        client.request("PUT /a\nTransfer-Encoding: chunked", None);
        client.chunk(&noise(999_999, 1));
        client.chunk(b"12");
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
        assert!(client.is_closed());
        assert!(drop_box.left().is_empty());
    }
}

#[test]
fn a_short_body_of_a_refused_request_is_read_and_the_connection_goes_on() {
    let drop_box = DropBox::new(UploadOptions::new());
    let mut client = drop_box.connect();
    for status in [201, 409, 409] {
        client.request("PUT /a", Some(50_000));
        client.send(&[1; 50_000]);
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (status, None));
    }
}

#[test]
fn a_client_that_waits_to_go_on_is_refused_without_its_body() {
    let drop_box = DropBox::new(UploadOptions::new());
    assert_eq!(drop_box.ask("PUT /a", b"a").status, 201);
    let mut client = drop_box.connect();
    client.request("PUT /a\nExpect: 100-continue", Some(10));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (409, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn preconditions_decide_before_the_body_is_read() {
    let drop_box = DropBox::new(UploadOptions::new().overwrite(true));
    let ask = |fields: &str| {
        let mut client = drop_box.connect();
        client.request(&format!("PUT /a\nExpect: 100-continue\n{fields}"), Some(1));
        let status = client.answer().status;
        if status != 100 {
            return status;
        }
        client.send(b"x");
        client.answer().status
    };
    assert_eq!(ask("If-Match: *"), 412);
    assert_eq!(ask("If-Match: \"abc\""), 412);
    assert_eq!(ask("If-None-Match: *"), 201);
    assert_eq!(ask("If-None-Match: *"), 412);
    assert_eq!(ask("If-Match: \"abc\""), 412);
    assert_eq!(ask("If-Match: *"), 204);
    assert_eq!(ask("If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT"), 412);
}

#[test]
fn a_precondition_is_asked_again_when_the_file_is_whole() {
    let drop_box = DropBox::new(UploadOptions::new().overwrite(true));
    let mut client = drop_box.connect();
    client.request("PUT /a\nIf-None-Match: *\nExpect: 100-continue", Some(2));
    assert_eq!(client.answer().status, 100);
    assert_eq!(drop_box.ask("PUT /a", b"first").status, 201);
    client.send(b"no");
    assert_eq!(client.answer().status, 412);
    assert_eq!(drop_box.read("a"), b"first");
}

#[test]
fn what_is_not_the_whole_is_not_stored_as_the_whole() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    assert_eq!(drop_box.ask("PUT /a\nContent-Range: bytes 5-9/10", b"56789").status, 400);
    assert_eq!(drop_box.ask("PUT /a\nContent-Encoding: gzip", b"\x1f\x8b").status, 415);
    assert_eq!(drop_box.ask("POST /", b"x").status, 415);
    assert!(drop_box.left().is_empty());
}

#[test]
fn a_body_that_breaks_off_or_is_no_body_leaves_nothing() {
    let mut drop_box = DropBox::new(UploadOptions::new());
    let mut client = drop_box.connect();
    client.request("PUT /a\nTransfer-Encoding: chunked", None);
    client.chunk(b"good");
    client.send(b"zz\r\nbad");
    let _whatever_it_says = client.is_closed();
    let mut client = drop_box.connect();
    client.request("PUT /b", Some(10));
    client.send(b"short");
    client.stream.shutdown(std::net::Shutdown::Write).expect("a shutdown");
    drop_box.wait_for_ends(2);
    assert!(drop_box.left().is_empty());
}

#[test]
fn options_tell_what_can_be_done() {
    let drop_box = DropBox::new(UploadOptions::new().largest(Some(5)));
    let answer = drop_box.ask("OPTIONS /a", b"");
    assert_eq!((answer.status, answer.field("allow")), (204, Some("OPTIONS, POST, PUT")));
    assert_eq!(answer.field("accept-patch"), Some("application/partial-upload"));
    assert_eq!(answer.field("upload-limit"), Some("max-size=5, max-age=86400"));
    let answer = drop_box.ask("GET /a", b"");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("OPTIONS, POST, PUT")));
}
