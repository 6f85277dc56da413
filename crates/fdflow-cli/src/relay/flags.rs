//! The flags.

use std::path::PathBuf;

use super::values::{Begin, Keep, LagPolicy, Rotate};
use crate::daemon::address::Address;
use crate::daemon::log::LogFormat;
use crate::daemon::values::{Origin, Routing, Size, Span};
use crate::endpoint::Endpoint;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Flags {
    /// Where the stream comes from: tcp://HOST:PORT or unix://PATH to connect to,
    /// tcp-listen://HOST:PORT or unix-listen://PATH for a producer that connects, a path, `-`
    #[arg(long, value_name = "ADDR", value_parser = Endpoint::parser())]
    pub(super) from: Endpoint,

    /// Send it to whoever connects here: PORT, HOST:PORT or unix://PATH; may be given again
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<Address>,

    /// Answer HTTP GET with it here: the stream from --start or `?start=` on as it comes, or with Range
    /// a part of the recording; may be given again
    #[arg(long, value_name = "ADDR")]
    pub(super) http: Vec<Address>,

    /// Record it in this file, behind what is in it
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    pub(super) record: Option<PathBuf>,

    /// Where readers begin: `live`, `beginning`, or so much back in the recording, as 64M-back or
    /// 10m-back [default: live]
    #[arg(long, value_name = "WHERE", help_heading = "Recording")]
    pub(super) start: Option<Begin>,

    /// Begin another file after so many bytes (1G) or so long (1h); FILE is then the newest, and
    /// those before it have numbers
    #[arg(long, value_name = "SIZE|DURATION", help_heading = "Recording")]
    pub(super) rotate: Option<Rotate>,

    /// Keep so many files (10), or as many as have so many bytes (10G)
    #[arg(long, value_name = "N|SIZE", help_heading = "Recording")]
    pub(super) keep: Option<Keep>,

    /// Put the recording on the disk so often [default: 1s]
    #[arg(long, value_name = "DURATION", help_heading = "Recording")]
    pub(super) sync: Option<Span>,

    /// Without a recording: so far may a reader be behind [default: 1M]. With one: so much is kept in
    /// memory while the disk takes nothing [default: 16M]
    #[arg(long, value_name = "SIZE", help_heading = "Readers")]
    pub(super) max_lag: Option<Size>,

    /// Where a reader cannot have its next bytes in time: `block` has the producer wait for it, `gap`
    /// leaves them out, `detach` ends the reader [default: detach]
    #[arg(long, value_name = "block|gap|detach", help_heading = "Readers")]
    pub(super) lag: Option<LagPolicy>,

    /// At most so many readers; more wait unaccepted [default: what the limit of open files allows]
    #[arg(long, value_name = "N", help_heading = "Readers", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_readers: Option<u32>,

    /// When the stream has ended, end a reader that takes nothing for so long [default: 30s]
    #[arg(long, value_name = "DURATION", help_heading = "Readers")]
    pub(super) linger: Option<Span>,

    /// What HTTP calls it [default: by the name of the recording]
    #[arg(long, value_name = "TYPE", help_heading = "Readers")]
    pub(super) content_type: Option<String>,

    /// Let pages of this origin (or of all, `*`) read it over HTTP; may be given again
    #[arg(long, value_name = "ORIGIN", help_heading = "Readers")]
    pub(super) cors: Vec<Origin>,

    /// When the producer has ended, failed or cannot be reached, try it again after so long
    #[arg(long, value_name = "DURATION", help_heading = "Producer")]
    pub(super) reconnect: Option<Span>,

    /// A producer that sends nothing for so long is taken for gone
    #[arg(long, value_name = "DURATION", help_heading = "Producer")]
    pub(super) idle_timeout: Option<Span>,

    /// Threads that send from a recording, each with its own event loop [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Operation", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Serve /healthz, /readyz (is there a producer?), /metrics (Prometheus) and /flows here, and take
    /// cuts (DELETE /flows/ID): PORT, HOST:PORT or unix://PATH
    #[arg(long, value_name = "ADDR", help_heading = "Operation")]
    pub(super) admin: Option<Address>,

    /// Write a line per reader to standard output (`-`) or to the end of a file [default: -]
    #[arg(long, value_name = "-|FILE|none", help_heading = "Operation")]
    pub(super) log: Option<PathBuf>,

    /// The form of those lines [default: text]
    #[arg(long, value_name = "text|json", help_heading = "Operation")]
    pub(super) log_format: Option<LogFormat>,

    /// Do not use this route: splice, … (several by comma)
    #[arg(long, value_name = "ROUTE", help_heading = "Operation")]
    pub(super) deny: Vec<Routing>,
}

impl Flags {
    /// What does not go together. `inherited`: listeners were handed over besides.
    pub(super) fn check(&self, inherited: bool) -> Result<(), String> {
        let has_readers = inherited || !self.listen.is_empty() || !self.http.is_empty();
        if !has_readers && self.record.is_none() {
            return Err("nobody would have it: add --listen, --http or --record".to_owned());
        }
        let needs_http =
            [("--content-type", self.content_type.is_some()), ("--cors", !self.cors.is_empty())];
        for (flag, is_given) in needs_http {
            if is_given && self.http.is_empty() {
                return Err(format!("{flag} is about HTTP: add --http ADDR"));
            }
        }
        let needs_recording = [
            ("--start", self.start.is_some_and(|start| start != Begin::Live)),
            ("--rotate", self.rotate.is_some()),
            ("--keep", self.keep.is_some()),
            ("--sync", self.sync.is_some()),
        ];
        for (flag, is_given) in needs_recording {
            if is_given && self.record.is_none() {
                return Err(format!("{flag} is about a recording: add --record FILE"));
            }
        }
        if self.keep.is_some() && self.rotate.is_none() {
            return Err(
                "--keep removes whole files: add --rotate SIZE or --rotate DURATION".to_owned()
            );
        }
        if self.reconnect.is_some() && matches!(self.from, Endpoint::Standard | Endpoint::Fd(_)) {
            return Err(format!(
                "--reconnect: {} comes once; name an address or a path with --from",
                self.from
            ));
        }
        Ok(())
    }
}
