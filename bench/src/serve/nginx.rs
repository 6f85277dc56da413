//! nginx: found, asked for its version and modules, and configured.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// More than there are connections in any part.
const CONNECTIONS: u32 = 16_384;

/// The program, and how it was built.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) path: PathBuf,
    /// What `nginx -V` says.
    built: String,
}

impl Nginx {
    /// Asks the program at `path`.
    pub(super) fn ask(path: PathBuf) -> Result<Self, String> {
        let said = Command::new(&path).arg("-V").output();
        let said = said.map_err(|cause| format!("{} cannot be run: {cause}", path.display()))?;
        let built = String::from_utf8_lossy(&said.stderr).into_owned();
        if !said.status.success() {
            return Err(format!("{} -V failed: {}", path.display(), built.trim()));
        }
        Ok(Self { path, built })
    }

    pub(super) fn version(&self) -> &str {
        self.built.lines().next().unwrap_or_default()
    }

    /// Whether it takes PUT.
    pub(super) fn has_dav(&self) -> bool {
        self.built.contains("--with-http_dav_module")
    }

    /// A configuration of one worker that keeps all its files in `home`.
    pub(super) fn configuration(
        &self,
        root: &Path,
        home: &Path,
        address: SocketAddr,
        uploads: bool,
    ) -> String {
        let (root, home) = (root.display(), home.display());
        let mut temporary = String::new();
        for kind in ["proxy", "fastcgi", "uwsgi", "scgi"] {
            if !self.built.contains(&format!("--without-http_{kind}_module")) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(with: &str) -> Nginx {
        Nginx { path: "nginx".into(), built: format!("nginx version: nginx/1\nbuilt by\n{with}\n") }
    }

    #[test]
    fn uploads_are_taken_only_where_asked_for() {
        let nginx = built("configure arguments: --with-http_dav_module");
        assert!(nginx.has_dav() && nginx.version() == "nginx version: nginx/1");
        let address = "127.0.0.1:81".parse().unwrap();
        let of = |uploads| nginx.configuration("/r".as_ref(), "/h".as_ref(), address, uploads);
        assert!(of(true).contains("dav_methods PUT;") && !of(false).contains("dav_methods"));
        assert!(of(true).contains("listen 127.0.0.1:81;") && of(true).contains("root \"/r\";"));
    }

    #[test]
    fn modules_that_were_left_out_have_no_directive() {
        let nginx = built("configure arguments: --without-http_uwsgi_module");
        assert!(!nginx.has_dav());
        let address = "127.0.0.1:81".parse().unwrap();
        let text = nginx.configuration("/r".as_ref(), "/h".as_ref(), address, false);
        assert!(text.contains("  scgi_temp_path") && !text.contains("uwsgi"), "{text}");
    }
}
