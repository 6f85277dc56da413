//! The programs: found, asked for their versions, and HAProxy and nginx configured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::find;
use crate::nginx::Nginx;

/// HAProxy's `maxconn`. Each connection counts with its pipes against the limit of descriptors.
const HAPROXY_CONNECTIONS: u32 = 5000;
/// Each connection has two in nginx, and more than there are in any part.
const NGINX_CONNECTIONS: u32 = 16_384;

/// The programs that take part, or why they do not.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) fdflow: Result<PathBuf, String>,
    pub(super) haproxy: Result<Haproxy, String>,
    pub(super) nginx: Result<Nginx, String>,
}

/// HAProxy.
#[derive(Debug)]
pub(super) struct Haproxy {
    pub(super) path: PathBuf,
    version: String,
}

impl Programs {
    pub(super) fn find(fdflow: &Path, haproxy: &Path, nginx: &Path) -> Self {
        Self {
            fdflow: find(fdflow).map_err(|why| format!("{why}; `cargo build --release` makes it")),
            haproxy: find(haproxy).and_then(Haproxy::ask),
            nginx: find(nginx).and_then(Nginx::ask),
        }
    }

    /// Who takes part in which version, for the record.
    pub(super) fn versions(&self) -> [(&'static str, String); 2] {
        let absent = |why: &String| format!("absent: {why}");
        let haproxy = self.haproxy.as_ref().map_or_else(absent, |one| one.version.clone());
        let nginx = self.nginx.as_ref().map_or_else(absent, |one| one.version().to_owned());
        [("haproxy", haproxy), ("nginx", nginx)]
    }
}

impl Haproxy {
    /// Asks the program at `path`.
    fn ask(path: PathBuf) -> Result<Self, String> {
        let said = Command::new(&path).arg("-v").output();
        let said = said.map_err(|cause| format!("{} cannot be run: {cause}", path.display()))?;
        let version = String::from_utf8_lossy(&said.stdout);
        let version = version.lines().next().unwrap_or_default().to_owned();
        Ok(Self { path, version })
    }
}

/// One thread that passes on what comes to `address`, with these options.
pub(super) fn haproxy_configuration(
    address: SocketAddr,
    upstream: SocketAddr,
    options: &[&str],
) -> String {
    let options: String = options.iter().map(|one| format!("  option {one}\n")).collect();
    format!(
        "global\n  nbthread 1\n  maxconn {HAPROXY_CONNECTIONS}\n\
         defaults\n  mode tcp\n{options}  timeout connect 5s\n  timeout client 1h\n  \
         timeout server 1h\n\
         listen proxy\n  bind {address}\n  server upstream {upstream}\n"
    )
}

/// One worker that does the same; where nginx can relay streams.
pub(super) fn nginx_configuration(
    nginx: &Nginx,
    home: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<String, String> {
    let module = stream_module(nginx)?;
    let home = home.display();
    // Started by root, workers would become a user who may not write here.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    Ok(format!(
        "{module}{user}daemon off;\nworker_processes 1;\n\
         worker_rlimit_nofile {NGINX_CONNECTIONS};\npid \"{home}/nginx.pid\";\n\
         error_log \"{home}/error.log\";\nevents {{ worker_connections {NGINX_CONNECTIONS}; }}\n\
         stream {{\n  proxy_timeout 1h;\n  server {{\n    listen {address};\n    \
         proxy_pass {upstream};\n  }}\n}}\n"
    ))
}

/// The line that loads the stream module; none where it is built in.
fn stream_module(nginx: &Nginx) -> Result<String, String> {
    if nginx.has("--with-stream") {
        return Ok(String::new());
    }
    if nginx.value("--with-stream") != Some("dynamic") {
        return Err("it is built without its module for streams".to_owned());
    }
    let folder = nginx.value("--modules-path").unwrap_or("modules");
    let module = Path::new(folder).join("ngx_stream_module.so");
    if module.is_absolute() && !module.is_file() {
        let module = module.display();
        return Err(format!("there is no {module}; the package libnginx-mod-stream has it"));
    }
    Ok(format!("load_module \"{}\";\n", module.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 81);

    #[test]
    fn haproxy_has_the_options_that_are_asked_for() {
        let of = |options: &[&str]| haproxy_configuration(HERE, HERE, options);
        assert!(of(&["one", "two"]).contains("tcp\n  option one\n  option two\n"));
        assert!(!of(&[]).contains("option"));
        assert!(of(&[]).contains("bind 127.0.0.1:81\n  server upstream 127.0.0.1:81\n"));
    }

    #[test]
    fn nginx_loads_its_module_where_that_is_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let with = format!("--modules-path={path} --with-stream=dynamic");
        let of = |with: &str| nginx_configuration(&Nginx::built(with), "/h".as_ref(), HERE, HERE);
        assert!(of(&with).unwrap_err().contains("libnginx-mod-stream"));
        std::fs::write(folder.path().join("ngx_stream_module.so"), "").unwrap();
        assert!(of(&with).unwrap().starts_with(&format!("load_module \"{path}/ngx_")));
        assert!(!of("--with-stream").unwrap().contains("load_module"));
        assert!(of("--with-stream_ssl_module").is_err());
    }
}
