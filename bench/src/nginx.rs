//! nginx: asked for its version and for how it was built.

use std::path::PathBuf;
use std::process::Command;

/// The program, and how it was built.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) path: PathBuf,
    /// What `nginx -V` says.
    built: String,
}

impl Nginx {
    /// Asks the program at `path`.
    pub(crate) fn ask(path: PathBuf) -> Result<Self, String> {
        let said = Command::new(&path).arg("-V").output();
        let said = said.map_err(|cause| format!("{} cannot be run: {cause}", path.display()))?;
        let built = String::from_utf8_lossy(&said.stderr).into_owned();
        if !said.status.success() {
            return Err(format!("{} -V failed: {}", path.display(), built.trim()));
        }
        Ok(Self { path, built })
    }

    pub(crate) fn version(&self) -> &str {
        self.built.lines().next().unwrap_or_default()
    }

    /// Whether it was built with this option of its `configure`.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options().any(|one| one == option)
    }

    /// What follows `option=` where it was built with that.
    pub(crate) fn value(&self, option: &str) -> Option<&str> {
        self.options().find_map(|one| one.strip_prefix(option)?.strip_prefix('='))
    }

    fn options(&self) -> impl Iterator<Item = &str> {
        self.built.split_ascii_whitespace()
    }

    /// As if it had been built with these options.
    #[cfg(test)]
    pub(crate) fn built(with: &str) -> Self {
        let built = format!("nginx version: nginx/1\nbuilt by\nconfigure arguments: {with}\n");
        Self { path: "nginx".into(), built }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_from_such_as_begin_like_them() {
        let nginx = Nginx::built("--with-stream=dynamic --with-stream_ssl_module");
        assert_eq!(nginx.version(), "nginx version: nginx/1");
        assert!(nginx.has("--with-stream_ssl_module") && !nginx.has("--with-stream"));
        assert_eq!(nginx.value("--with-stream"), Some("dynamic"));
        assert_eq!(nginx.value("--with-stream_ssl_module"), None);
    }
}
