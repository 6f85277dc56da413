//! A file is replaced while a client has half of it: old or new, never a mix.

use std::process::{Command, Stdio};

use super::curl::{STATUS, curl};
use super::site::{LARGE, Site, age, succeeded};
use super::support::server::eventually;
use super::wget::wget;

/// Another file of the same length and time under the same name: only its inode and its time of
/// change tell.
fn replace(site: &Site, bytes: &[u8]) -> Vec<u8> {
    let new: Vec<_> = bytes.iter().map(|byte| !byte).collect();
    let path = site.put("large.new", &new);
    let old = std::fs::metadata(site.served("large")).unwrap().modified().unwrap();
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(old).unwrap();
    std::fs::rename(path, site.served("large")).unwrap();
    new
}

/// A resumed download by curl as browsers do it: with the ETag of the first half.
fn second_half(site: &Site, condition: &str) -> (Vec<u8>, String) {
    let etag = std::fs::read_to_string(site.own("etag")).unwrap();
    let mut curl = curl(site).unwrap();
    curl.args(["-r", "1000000-", "-H", &format!("{condition}: {}", etag.trim())]);
    curl.args(STATUS).args(["-o", "rest"]).arg(site.url("/large"));
    let status = String::from_utf8(succeeded(&mut curl).stdout).unwrap();
    (std::fs::read(site.own("rest")).unwrap(), status)
}

fn first_half(curl: &mut Command, site: &Site) {
    curl.args(["-r", "0-999999", "--etag-save", "etag", "-o", "half"]).arg(site.url("/large"));
    succeeded(curl);
}

#[test]
fn a_resumed_download_of_a_replaced_file_is_the_new_one_whole() {
    let site = Site::serve(&[]);
    let Some(mut curl) = curl(&site) else { return };
    let old = site.put_pattern("large", LARGE);
    first_half(&mut curl, &site);
    let (rest, status) = second_half(&site, "If-Range");
    assert!(status == "206" && rest == old[1_000_000..], "{status}");
    let new = replace(&site, &old);
    let (rest, status) = second_half(&site, "If-Range");
    assert!(status == "200" && rest == new, "{status}");
}

#[test]
fn a_file_written_over_in_place_is_the_new_one_whole_too() {
    let site = Site::serve(&[]);
    let Some(mut curl) = curl(&site) else { return };
    let old = site.put_pattern("large", LARGE);
    first_half(&mut curl, &site);
    let new: Vec<_> = old.iter().map(|byte| !byte).collect();
    std::fs::write(site.served("large"), &new).unwrap();
    let (rest, status) = second_half(&site, "If-Range");
    assert!(status == "200" && rest == new, "{status}");
    // Grown old, its tag is a strong one, and still another.
    age(&site.served("large"));
    let (rest, status) = second_half(&site, "If-Range");
    assert!(status == "200" && rest == new, "{status}");
}

#[test]
fn who_insists_on_the_old_file_gets_none_of_the_new_one() {
    let site = Site::serve(&[]);
    let Some(mut curl) = curl(&site) else { return };
    let old = site.put_pattern("large", LARGE);
    first_half(&mut curl, &site);
    let (rest, status) = second_half(&site, "If-Match");
    assert!(status == "206" && rest == old[1_000_000..], "{status}");
    replace(&site, &old);
    let (rest, status) = second_half(&site, "If-Match");
    assert!(status == "412" && rest.len() < 1000, "{status}");
}

#[test]
fn a_download_that_runs_while_its_file_is_replaced_is_the_old_one_whole() {
    let site = Site::serve(&[]);
    let Some(mut slow) = wget(&site) else { return };
    let old = site.put_pattern("large", 4 * LARGE);
    slow.args(["--limit-rate=6m"]).arg(site.url("/large"));
    let mut child = slow.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let length = || std::fs::metadata(site.own("large")).map_or(0, |facts| facts.len());
    eventually(|| length() > 0, "the first bytes");
    let new = replace(&site, &old);
    assert!(length() < old.len() as u64, "it was done already");
    assert!(child.wait().unwrap().success());
    assert!(std::fs::read(site.own("large")).unwrap() == old);
    succeeded(wget(&site).unwrap().args(["-O", "again"]).arg(site.url("/large")));
    assert!(std::fs::read(site.own("again")).unwrap() == new);
}
