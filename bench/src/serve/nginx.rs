//! What nginx is told when it serves files.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::nginx::Nginx;

/// More than there are connections in any part.
const CONNECTIONS: u32 = 16_384;

/// Whether it takes PUT.
pub(super) fn has_dav(nginx: &Nginx) -> bool {
    nginx.has("--with-http_dav_module")
}

/// A configuration of one worker that keeps all its files in `home`.
pub(super) fn configuration(
    nginx: &Nginx,
    root: &Path,
    home: &Path,
    address: SocketAddr,
    uploads: bool,
) -> String {
    let (root, home) = (root.display(), home.display());
    let mut temporary = String::new();
    for kind in ["proxy", "fastcgi", "uwsgi", "scgi"] {
        if !nginx.has(&format!("--without-http_{kind}_module")) {
            // Writing to a String cannot fail.
            let _written = writeln!(temporary, "  {kind}_temp_path \"{home}/{kind}\";").is_ok();
        }
    }
    // Started by root, workers would become a user who may not see the files.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let dav = if uploads { "dav_methods PUT; client_max_body_size 0;" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\nworker_rlimit_nofile {CONNECTIONS};\n\
         pid \"{home}/nginx.pid\";\nerror_log \"{home}/error.log\";\n\
         events {{ worker_connections {CONNECTIONS}; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  \
         open_file_cache max=1000;\n  keepalive_requests 1000000000;\n  \
         default_type application/octet-stream;\n  \
         client_body_temp_path \"{home}/body\";\n{temporary}  \
         server {{\n    listen {address};\n    root \"{root}\";\n    \
         location / {{ {dav} }}\n  }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(with: &str, uploads: bool) -> String {
        let address = "127.0.0.1:81".parse().unwrap();
        configuration(&Nginx::built(with), "/r".as_ref(), "/h".as_ref(), address, uploads)
    }

    #[test]
    fn uploads_are_taken_only_where_asked_for() {
        let with = "--with-http_dav_module";
        assert!(has_dav(&Nginx::built(with)) && !has_dav(&Nginx::built("")));
        let (taken, not) = (text(with, true), text(with, false));
        assert!(taken.contains("dav_methods PUT;") && !not.contains("dav_methods"));
        assert!(taken.contains("listen 127.0.0.1:81;") && taken.contains("root \"/r\";"));
    }

    #[test]
    fn modules_that_were_left_out_have_no_directive() {
        let text = text("--without-http_uwsgi_module", false);
        assert!(text.contains("  scgi_temp_path") && !text.contains("uwsgi"), "{text}");
    }
}
