//! Downloads by curl.

use std::process::Command;

use super::site::{LARGE, Site, succeeded, went_by_sendfile};

/// curl, silent but for errors; it gives up in the end.
pub fn curl(site: &Site) -> Option<Command> {
    let mut command = site.client("curl")?;
    command.args(["-q", "-sS", "--globoff", "--max-time", "120"]);
    Some(command)
}

/// What curl prints for a status, after a transfer.
pub const STATUS: [&str; 2] = ["-w", "%{http_code}"];

#[test]
fn curl_gets_a_large_file_whole_and_by_sendfile() {
    let mut site = Site::serve(&[]);
    let Some(mut curl) = curl(&site) else { return };
    let bytes = site.put_pattern("large", LARGE);
    let got = succeeded(curl.arg("--fail").arg(site.url("/large"))).stdout;
    assert!(got == bytes, "{} bytes came", got.len());
    let line = site.line();
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &LARGE.into()));
    went_by_sendfile(&line);
}

#[test]
fn curl_gets_ranges_from_the_front_the_end_and_the_middle() {
    let mut site = Site::serve(&[]);
    let bytes = site.put_pattern("large", LARGE);
    for (range, wanted) in [
        ("1000-1999999", &bytes[1000..2_000_000]),
        ("-1500000", &bytes[LARGE - 1_500_000..]),
        ("1000000-", &bytes[1_000_000..]),
        ("0-0", &bytes[..1]),
    ] {
        let Some(mut curl) = curl(&site) else { return };
        let got = succeeded(curl.args(["-r", range]).arg(site.url("/large"))).stdout;
        assert!(got == wanted, "{range}: {} bytes came", got.len());
        let line = site.line();
        assert_eq!((&line["status"], &line["bytes"]), (&206.into(), &wanted.len().into()));
        if wanted.len() > 1 {
            went_by_sendfile(&line);
        }
    }
}

#[test]
fn curl_gets_two_ranges_as_parts_whose_bytes_went_by_sendfile() {
    let mut site = Site::serve(&[]);
    let Some(mut curl) = curl(&site) else { return };
    let bytes = site.put_pattern("large", LARGE);
    curl.args(["-r", "0-999999,2000000-2999999"]).arg(site.url("/large"));
    let got = succeeded(&mut curl).stdout;
    let parts = [&bytes[..1_000_000], &bytes[2_000_000..]];
    for part in parts {
        assert_eq!(got.windows(part.len()).filter(|window| window == &part).count(), 1);
    }
    let heads = String::from_utf8_lossy(&got[..200]).into_owned();
    assert!(heads.contains("ontent-Range: bytes 0-999999/3000000\r\n"), "{heads}");
    let line = site.line();
    assert_eq!((&line["status"], &line["bytes"]), (&206.into(), &got.len().into()));
    let of_the_file = if super::site::denied("sendfile") { "copied" } else { "sendfile" };
    assert_eq!(line[of_the_file], 2_000_000, "{line}");
}

#[test]
fn curl_resumes_at_the_end_of_what_it_has() {
    let mut site = Site::serve(&[]);
    let bytes = site.put_pattern("large", LARGE);
    std::fs::write(site.own("large"), &bytes[..1_234_567]).unwrap();
    for more in [LARGE - 1_234_567, 0] {
        let Some(mut curl) = curl(&site) else { return };
        succeeded(curl.args(["-O", "-C", "-"]).arg(site.url("/large")));
        assert!(std::fs::read(site.own("large")).unwrap() == bytes);
        let line = site.line();
        if more > 0 {
            assert_eq!((&line["status"], &line["bytes"]), (&206.into(), &more.into()));
            went_by_sendfile(&line);
        } else {
            assert_eq!(line["status"], 416, "{line}");
        }
    }
}

#[test]
fn curl_asks_for_a_head_and_gets_what_a_get_would_say_without_the_body() {
    let mut site = Site::serve(&[]);
    site.put_pattern("large.bin", LARGE);
    let ask = |arguments: &[&str]| {
        let mut curl = curl(&site)?;
        curl.args(arguments).arg(site.url("/large.bin"));
        Some(String::from_utf8(succeeded(&mut curl).stdout).unwrap())
    };
    let Some(head) = ask(&["--head"]) else { return };
    let get = ask(&["-D", "-", "-o", "body"]).unwrap();
    let without_date = |head: &str| {
        head.lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("date:"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(without_date(&head), without_date(&get));
    assert!(head.to_ascii_lowercase().contains("content-length: 3000000\r\n"), "{head}");
    let line = site.line();
    assert_eq!(
        (&line["method"], &line["bytes"], &line["route"]),
        (&"HEAD".into(), &0.into(), &"-".into())
    );
}

#[test]
fn curl_that_has_it_already_is_told_so_by_etag_and_by_time() {
    let mut site = Site::serve(&[]);
    let bytes = site.put_pattern("large", LARGE);
    let ask = |site: &Site, arguments: &[&str]| {
        let mut curl = curl(site)?;
        curl.args(arguments).args(STATUS).args(["-R", "-o", "got"]).arg(site.url("/large"));
        Some(String::from_utf8(succeeded(&mut curl).stdout).unwrap())
    };
    let Some(first) = ask(&site, &["--etag-save", "etag"]) else { return };
    assert_eq!(first, "200");
    assert!(std::fs::read(site.own("got")).unwrap() == bytes);
    assert_eq!(ask(&site, &["--etag-compare", "etag"]).unwrap(), "304");
    assert_eq!(ask(&site, &["-z", "got"]).unwrap(), "304");
    assert_eq!(
        site.lines().iter().map(|line| line["bytes"].clone()).collect::<Vec<_>>(),
        [LARGE, 0, 0]
    );
    // Touched: other content for all that can be known.
    let file = std::fs::File::options().append(true).open(site.served("large")).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(ask(&site, &["-z", "got"]).unwrap(), "200");
    assert_eq!(ask(&site, &["--etag-compare", "etag"]).unwrap(), "200");
}

#[test]
fn curl_decodes_what_is_compressed_on_the_way() {
    let mut site = Site::serve(&["--compress"]);
    let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    site.put("text.txt", text.as_bytes());
    let ask = |site: &Site, arguments: &[&str]| {
        let mut curl = curl(site)?;
        curl.args(arguments).args(["-D", "head"]).arg(site.url("/text.txt"));
        let got = succeeded(&mut curl).stdout;
        let head = std::fs::read_to_string(site.own("head")).unwrap().to_ascii_lowercase();
        Some((got, head))
    };
    let Some((got, head)) = ask(&site, &["--compressed"]) else { return };
    assert!(got == text.as_bytes(), "{} bytes came", got.len());
    assert!(head.contains("content-encoding: ") && head.contains("vary: "), "{head}");
    let line = site.line();
    assert!(line["bytes"].as_u64().unwrap() < text.len() as u64 / 2, "{line}");
    let (got, head) = ask(&site, &[]).unwrap();
    assert!(got == text.as_bytes() && !head.contains("content-encoding"), "{head}");
    went_by_sendfile(&site.line());
}
