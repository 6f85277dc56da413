//! Files of every name, listed and fetched by the links of the listing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::curl::{STATUS, curl};
use super::site::{Site, succeeded};

const NAMES: [&[u8]; 14] = [
    b"plain.txt",
    b"two words",
    b" spaces around ",
    b"a\nnew line",
    b"not \xff\xfe UTF-8",
    b"100%",
    b"%41 is not A",
    b"a#fragment",
    b"a?query=b&c;d",
    b"\"quotes\" and 'single ones'",
    b"<b>&amp;",
    b"a+b",
    b"-o",
    "größe [1] {a,b}".as_bytes(),
];

/// The paths that a listing as JSON names.
fn paths(site: &Site) -> Option<Vec<String>> {
    let json = succeeded(curl(site)?.arg("--fail").arg(site.url("/?format=json"))).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let entries = json["entries"].as_array().unwrap();
    Some(entries.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn curl_fetches_names_of_all_bytes_by_the_paths_of_the_listing() {
    let site = Site::serve(&[]);
    for name in NAMES {
        site.put(OsStr::from_bytes(name), name);
    }
    let Some(paths) = paths(&site) else { return };
    let fetch =
        |path: &String| succeeded(curl(&site).unwrap().arg("--fail").arg(site.url(path))).stdout;
    let mut got: Vec<_> = paths.iter().map(fetch).collect();
    let mut wanted = NAMES.map(<[u8]>::to_vec);
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

#[test]
fn curl_fetches_names_of_all_bytes_by_the_links_of_the_page() {
    let site = Site::serve(&[]);
    for name in NAMES {
        site.put(OsStr::from_bytes(&[b"in a#b/", name].concat()), name);
    }
    let Some(mut page) = curl(&site) else { return };
    let page = succeeded(page.arg("--fail").arg(site.url("/in%20a%23b/"))).stdout;
    let page = String::from_utf8(page).unwrap();
    let links: Vec<_> = page
        .split("<td><a href=\"./")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let fetch = |link: &&str| {
        let url = site.url("/in%20a%23b/") + link;
        succeeded(curl(&site).unwrap().arg("--fail").arg(url)).stdout
    };
    let mut got: Vec<_> = links.iter().map(fetch).collect();
    let mut wanted = NAMES.map(<[u8]>::to_vec);
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

#[test]
fn curl_puts_names_of_all_bytes() {
    let from = Site::serve(&[]);
    let to = Site::serve(&["--upload"]);
    for name in NAMES {
        from.put(OsStr::from_bytes(name), name);
    }
    let Some(paths) = paths(&from) else { return };
    std::fs::write(to.own("content"), "content").unwrap();
    for path in paths {
        let mut put = curl(&to).unwrap();
        put.args(["-T", "content"]).args(STATUS).arg(to.url(&path));
        assert!(succeeded(&mut put).stdout.ends_with(b"201"), "{path}");
    }
    for name in NAMES {
        assert_eq!(std::fs::read(to.served(OsStr::from_bytes(name))).unwrap(), b"content");
    }
}
