//! The listing for people: one page that needs nothing else.
//!
//! Links are relative, so that the page works wherever a proxy puts it. Without script it is
//! sorted by name and uploads by a form.

use bytes::Bytes;

use super::Entry;
use super::said::{self, Moment};
use crate::name::{Name, escape};
use crate::root::FileOrFolder;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The `Content-Security-Policy` that the page lives with: its own style and script by their
/// hashes, uploads to where it came from, and nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str = concat!(
    "default-src 'none'; img-src data:; ",
    "style-src 'sha256-FURkTCR2jV+FqEBT394Svo4GzreLghKgdSQZrYje6dQ='; ",
    "script-src 'sha256-8XcDnViI+kSFBH/75rUWpbWcvS4wCWzAVzyBLuTldnA='; ",
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
);

/// The page. `prefix` is where an app has nested the service, as it stands in a URI and without a
/// slash at its end; `""` where it has not. `uploads` shows the place to drop files on.
///
/// Entries stay in their order. Ten thousand take some milliseconds: nothing for a runtime's
/// thread that has others to serve.
pub(crate) fn page(dir: &Name, prefix: &str, entries: &[Entry], uploads: bool) -> Bytes {
    let mut page = String::with_capacity(STYLE.len() + SCRIPT.len() + 2048 + entries.len() * 256);
    head(&mut page, dir, prefix);
    crumbs(&mut page, dir);
    counted(&mut page, entries);
    page.push_str("</header>\n<main>\n");
    if uploads {
        page.push_str(UPLOAD);
    }
    table(&mut page, dir, entries);
    page.push_str("</main>\n<footer><a href=\"?format=json\">JSON</a></footer>\n<script>");
    page.push_str(SCRIPT);
    page.push_str("</script>\n</body>\n</html>\n");
    page.into()
}

const UPLOAD: &str = "<form id=\"upload\" method=\"post\" enctype=\"multipart/form-data\">
<label><span class=\"call\">Upload files</span> <span class=\"how\">– choose them, or drop them anywhere on this page</span>
<input type=\"file\" name=\"file\" multiple required></label>
<button>Upload</button>
<ul aria-live=\"polite\"></ul>
</form>
";

fn head(page: &mut String, dir: &Name, prefix: &str) {
    page.push_str(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>",
    );
    said::html(page, prefix);
    page.push('/');
    for component in dir.components() {
        said::html(page, &said::name(component));
        page.push('/');
    }
    page.push_str("</title>\n<style>");
    page.push_str(STYLE);
    page.push_str("</style>\n</head>\n<body>\n<header>\n");
}

/// The folders above, each a link, and this one.
fn crumbs(page: &mut String, dir: &Name) {
    let depth = dir.components().count();
    page.push_str("<nav aria-label=\"Folders above\"><ol>\n<li><a class=\"home\" href=\"");
    page.push_str(if depth == 0 { "./" } else { "" });
    page.push_str(&"../".repeat(depth));
    page.push_str("\" aria-label=\"Top folder\"");
    page.push_str("></a></li>\n");
    if depth == 0 {
        page.push_str("<li><h1 id=\"top\" aria-current=\"page\">Files</h1></li>\n");
    }
    for (above, component) in (0..depth).rev().zip(dir.components()) {
        page.push_str("<li>");
        if above == 0 {
            page.push_str("<h1 aria-current=\"page\">");
            said::html(page, &said::name(component));
            page.push_str("</h1>");
        } else {
            said::put(page, format_args!("<a href=\"{}\">", "../".repeat(above)));
            said::html(page, &said::name(component));
            page.push_str("</a>");
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ol></nav>\n");
}

/// How much there is.
fn counted(page: &mut String, entries: &[Entry]) {
    let files = || entries.iter().filter(|entry| entry.kind == FileOrFolder::File);
    let folders = entries.len() - files().count();
    let mut parts = Vec::new();
    for (count, one, many) in [(folders, "folder", "folders"), (files().count(), "file", "files")] {
        match count {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            _ => parts.push(format!("{count} {many}")),
        }
    }
    if files().next().is_some() {
        let mut total = String::new();
        said::size(&mut total, files().fold(0, |sum: u64, file| sum.saturating_add(file.length)));
        parts.push(total);
    }
    said::put(page, format_args!("<p>{}</p>\n", parts.join(" · ")));
}

fn table(page: &mut String, dir: &Name, entries: &[Entry]) {
    page.push_str(
        "<table>\n<thead><tr><th scope=\"col\" aria-sort=\"ascending\">Name</th>\
         <th scope=\"col\">Size</th><th scope=\"col\">Modified <small>(UTC)</small></th></tr></thead>\n",
    );
    if !dir.is_root() {
        page.push_str("<tbody><tr class=\"up\"><td colspan=\"3\"><a href=\"../\">Parent folder</a></td></tr></tbody>\n");
    }
    page.push_str("<tbody id=\"entries\">\n");
    for entry in entries {
        row(page, entry);
    }
    if entries.is_empty() {
        page.push_str("<tr class=\"empty\"><td colspan=\"3\">This folder is empty.</td></tr>\n");
    }
    page.push_str("</tbody>\n</table>\n");
}

fn row(page: &mut String, entry: &Entry) {
    let file = entry.kind == FileOrFolder::File;
    page.push_str(if file { "<tr><td><a href=\"./" } else { "<tr class=\"d\"><td><a href=\"./" });
    page.extend(escape(&entry.name));
    page.push_str(if file { "\">" } else { "/\">" });
    said::html(page, &said::name(&entry.name));
    page.push_str("</a></td>");
    if file {
        said::put(page, format_args!("<td data-v=\"{}\" title=\"", entry.length));
        said::grouped(page, entry.length);
        page.push_str(if entry.length == 1 { " byte\">" } else { " bytes\">" });
        said::size(page, entry.length);
    } else {
        page.push_str("<td data-v=\"-1\">");
    }
    let moment = Moment::of(entry.modified.0);
    said::put(page, format_args!("</td><td data-v=\"{}\"><time datetime=\"", entry.modified.0));
    moment.exact(page, None);
    page.push_str("\">");
    moment.short(page);
    page.push_str("</time></td></tr>\n");
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use sha2::{Digest, Sha256};

    use super::*;

    fn shown(names: &[(&[u8], FileOrFolder)], dir: &str, uploads: bool) -> String {
        let entry = |(name, kind): &(&[u8], FileOrFolder)| Entry {
            name: name.to_vec(),
            kind: *kind,
            length: 1_468_006,
            modified: (1_795_356_309, 5),
        };
        let entries: Vec<_> = names.iter().map(entry).collect();
        let page = page(&Name::from_uri(dir).unwrap(), "/app", &entries, uploads);
        String::from_utf8(page.to_vec()).unwrap()
    }

    fn hash(text: &str) -> String {
        format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_that_the_page_has() {
        let (style, script) = (hash(STYLE), hash(SCRIPT));
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("style-src {style};")), "{style}");
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("script-src {script};")), "{script}");
        let page = shown(&[], "/", true);
        assert_eq!(page.matches("<style").count() + page.matches("<script").count(), 2);
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
        assert!(page.contains(&format!("<script>{SCRIPT}</script>")));
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
    }

    #[test]
    fn no_name_is_anything_but_text() {
        let evil = br#""><script>alert(1)</script><a href='x' onclick="&amp;"#;
        let page = shown(&[(evil, FileOrFolder::File)], "/%3Cscript%3E/%22%27", true);
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("<h1 aria-current=\"page\">&quot;&#39;</h1>"));
        assert!(page.contains("href=\"./%22%3E%3Cscript%3Ealert%281%29%3C/script%3E"));
        assert!(page.contains("&amp;amp;"));
    }

    #[test]
    fn links_are_relative_and_folders_end_with_a_slash() {
        let names = [(&b"javascript:x"[..], FileOrFolder::File), (b"a b", FileOrFolder::Folder)];
        let page = shown(&names, "/one/two/", false);
        for link in ["\"./javascript%3Ax\"", "\"./a%20b/\"", "\"../../\"", "\"../\""] {
            assert!(page.contains(&format!("href={link}")), "{link}");
        }
        assert!(page.contains("<title>/app/one/two/</title>"));
        assert!(!page.contains("<form"));
    }

    #[test]
    fn sizes_and_times_are_readable_with_the_exact_ones_beside_them() {
        let page = shown(&[(b"f", FileOrFolder::File), (b"d", FileOrFolder::Folder)], "/", false);
        assert!(page.contains("<td data-v=\"1468006\" title=\"1,468,006 bytes\">1.4 MiB</td>"));
        let time = "<time datetime=\"2026-11-22T14:05:09Z\">2026-11-22 14:05</time>";
        assert_eq!(page.matches(time).count(), 2);
        assert!(page.contains("<p>1 folder · 1 file · 1.4 MiB</p>"));
        assert!(page.contains("<td data-v=\"-1\"></td>"));
    }

    #[test]
    fn the_root_has_no_parent_and_an_empty_folder_says_so() {
        let root = shown(&[], "/", false);
        assert!(!root.contains("\"../\"") && root.contains("This folder is empty."));
        assert!(shown(&[], "/sub/", false).contains("<a href=\"../\">Parent folder</a>"));
    }
}
