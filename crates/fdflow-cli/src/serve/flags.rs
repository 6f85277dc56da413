//! The flags, which are the keys of the configuration file too.

use std::path::PathBuf;

use serde::Deserialize;

use super::values::{Credential, Header, LogFormat, Symlinks, Value};
use crate::daemon::address::Address;
use crate::daemon::values::{Origin, Rate, Routing, Size, Span};

/// Serve a folder over HTTP, files by sendfile, and take uploads.
///
/// Without flags the current folder is served at http://127.0.0.1:8080/; the addresses are printed.
/// Sizes are written 4096, 64K, 1M or 2GiB, durations 500ms, 5s or 1m.
///
/// SIGTERM and SIGINT let running transfers end (see --drain), a second signal does not. SIGHUP
/// reads the configuration and the TLS files again and opens the access log anew; addresses,
/// --threads and --max-connections stay as they were.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Flags {
    /// The folder to serve [default: the current one]
    pub(super) dir: Option<PathBuf>,

    /// Listen here: PORT, HOST:PORT or unix://PATH; may be given again. Sockets that the service
    /// manager hands over (LISTEN_FDS) are used before the default [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    #[serde(default)]
    pub(super) listen: Vec<Address>,

    /// Threads that serve, each with its own event loop [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Read flags from this file: the names below as keys. What is on the command line goes
    /// before
    #[arg(long, value_name = "FILE.toml")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,

    /// Show and serve names that begin with a dot
    #[arg(long, help_heading = "Files", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) hidden: Option<bool>,

    /// Do not list folders that have no index file
    #[arg(long, help_heading = "Files", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) no_listing: Option<bool>,

    /// What stands for a folder, if it is there; may be given again [default: index.html]
    #[arg(long, help_heading = "Files", value_name = "NAME")]
    #[serde(default)]
    pub(super) index: Vec<String>,

    /// Symbolic links: never followed, followed inside the folder, or wherever they lead
    /// [default: inside]
    #[arg(long, help_heading = "Files", value_name = "never|inside|follow")]
    pub(super) symlinks: Option<Symlinks>,

    /// Answer what is not there with the folder's index, for single-page applications
    #[arg(long, help_heading = "Files", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) spa: Option<bool>,

    /// The page for what is not there, a path in the folder
    #[arg(long, help_heading = "Files", value_name = "FILE")]
    pub(super) not_found: Option<String>,

    /// Do not use this route: sendfile, splice, … (several by comma)
    #[arg(long, help_heading = "Files", value_name = "ROUTE")]
    #[serde(default)]
    pub(super) deny: Vec<Routing>,

    /// Add this header to every answer; may be given again
    #[arg(long, help_heading = "Answers", value_name = "N: V")]
    #[serde(default)]
    pub(super) header: Vec<Header>,

    /// The Cache-Control of files
    #[arg(long, help_heading = "Answers", value_name = "VALUE")]
    pub(super) cache_control: Option<Value>,

    /// Compress text on the way where no compressed file lies beside it
    #[arg(long, help_heading = "Answers", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) compress: Option<bool>,

    /// Let pages of this origin (or of all, `*`) read the answers; may be given again
    #[arg(long, help_heading = "Answers", value_name = "ORIGIN")]
    #[serde(default)]
    pub(super) cors: Vec<Origin>,

    /// Let in only this user (bcrypt, SHA-crypt or Argon2, as `htpasswd -nB USER` prints it); may
    /// be given again
    #[arg(long, help_heading = "Access", value_name = "USER:HASH")]
    #[serde(default)]
    pub(super) auth: Vec<Credential>,

    /// The certificate and its chain, PEM: serves HTTPS, HTTP/1.1 and HTTP/2
    #[arg(long, help_heading = "Access", value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,

    /// The certificate's key, PEM
    #[arg(long, help_heading = "Access", value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,

    /// Take uploads by PUT and POST
    #[arg(long, help_heading = "Uploads", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) upload: Option<bool>,

    /// Let uploads replace files
    #[arg(long, help_heading = "Uploads", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) overwrite: Option<bool>,

    /// The largest upload [default: no limit]
    #[arg(long, help_heading = "Uploads", value_name = "SIZE")]
    pub(super) max_upload: Option<Size>,

    /// Send at most so much to one connection (1M/s)
    #[arg(long, help_heading = "Limits", value_name = "SIZE/s")]
    pub(super) rate: Option<Rate>,

    /// Serve at most so many connections at once; more wait [default: what the limit of open
    /// files allows]
    #[arg(long, help_heading = "Limits", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_connections: Option<u32>,

    /// A request's head must be there within so long [default: 15s]
    #[arg(long, help_heading = "Limits", value_name = "DURATION")]
    pub(super) header_timeout: Option<Span>,

    /// A connection without a request is kept open for so long [default: 75s]
    #[arg(long, help_heading = "Limits", value_name = "DURATION")]
    pub(super) idle_timeout: Option<Span>,

    /// A client that takes nothing of its answer, or sends nothing of its upload, for so long is
    /// cut off [default: 60s]
    #[arg(long, help_heading = "Limits", value_name = "DURATION")]
    pub(super) write_timeout: Option<Span>,

    /// After SIGTERM, transfers have so long to end [default: 30s]
    #[arg(long, help_heading = "Limits", value_name = "DURATION")]
    pub(super) drain: Option<Span>,

    /// Serve /healthz and /metrics (Prometheus) here: PORT, HOST:PORT or unix://PATH
    #[arg(long, help_heading = "Operation", value_name = "ADDR")]
    pub(super) admin: Option<Address>,

    /// Write a line per request to standard output (`-`) or to the end of a file
    #[arg(long, help_heading = "Operation", value_name = "-|FILE")]
    pub(super) access_log: Option<PathBuf>,

    /// The form of those lines [default: combined]
    #[arg(long, help_heading = "Operation", value_name = "combined|json")]
    pub(super) log_format: Option<LogFormat>,

    /// Print a QR code of the address in the local network
    #[arg(long, help_heading = "Operation", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) qr: Option<bool>,

    /// Open the address in a browser
    #[arg(long, help_heading = "Operation", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) open: Option<bool>,
}

macro_rules! over {
    ($first:expr, $second:expr; one $($one:ident)*; many $($many:ident)*) => {
        Flags {
            $($one: $first.$one.or($second.$one),)*
            $($many: if $first.$many.is_empty() { $second.$many } else { $first.$many },)*
        }
    };
}

impl Flags {
    /// These, and from `other` what is not given here.
    pub(super) fn over(self, other: Self) -> Self {
        over!(self, other;
            one dir threads config hidden no_listing symlinks spa not_found cache_control compress
                tls_cert tls_key upload overwrite max_upload rate max_connections header_timeout
                idle_timeout write_timeout drain admin access_log log_format qr open;
            many listen index deny header cors auth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::toml_file::parse;

    #[test]
    fn keys_are_named_like_the_flags() {
        let text = "listen = [\"8080\"]\nmax-upload = \"2GiB\"\nhidden = true\nrate = 4096\n";
        let flags: Flags = parse(text).unwrap();
        assert_eq!((flags.listen.len(), flags.hidden), (1, Some(true)));
        assert_eq!(flags.max_upload.map(|size| size.0), Some(2 << 30));
        assert_eq!(flags.rate.map(|rate| rate.0), Some(4096));
        let message = parse::<Flags>("auth = [\n  \"bob:x\",\n]\n").unwrap_err();
        assert!(message.contains("auth:") && message.contains("htpasswd"), "{message}");
    }
}
