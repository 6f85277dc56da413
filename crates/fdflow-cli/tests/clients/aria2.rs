//! Downloads by aria2 over many connections.

use super::site::{Site, succeeded, went_by_sendfile};

#[test]
fn aria2_fetches_one_file_in_sixteen_ranges_all_by_sendfile() {
    let mut site = Site::serve(&[]);
    let Some(mut aria2) = site.client("aria2c") else { return };
    let bytes = site.put_pattern("large", 32 << 20);
    aria2.args(["--no-conf", "-q", "-x16", "-s16", "-k1M", "--max-tries=1"]);
    succeeded(aria2.arg(site.url("/large")));
    assert!(std::fs::read(site.own("large")).unwrap() == bytes);
    let lines = site.lines();
    let parts: Vec<_> = lines.iter().filter(|line| line["status"] == 206).collect();
    assert!(parts.len() >= 15, "{lines:#?}");
    for line in lines {
        went_by_sendfile(&line);
    }
}
