//! The flags, which are the keys of the configuration file too.

use std::path::PathBuf;

use serde::Deserialize;

use super::target::Target;
use super::values::{Balancing, From, Peers, SniRule, Speaks, TapPolicy};
use crate::daemon::address::Address;
use crate::daemon::log::LogFormat;
use crate::daemon::values::{Rate, Routing, Size, Span};

/// Of the whole program.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) struct ProgramFlags {
    /// Read this file, with any number of services, instead of the flags of one
    #[arg(long, value_name = "FILE.toml", help_heading = "Operation")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,

    /// Threads that relay, each with its own event loop [default: one per core]
    #[arg(long, help_heading = "Operation", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Serve /healthz, /readyz, /metrics (Prometheus) and /flows here, and take reloads and cuts:
    /// PORT, HOST:PORT or unix://PATH
    #[arg(long, help_heading = "Operation", value_name = "ADDR")]
    pub(super) admin: Option<Address>,

    /// After SIGTERM, flows have so long to end [default: 30s]
    #[arg(long, help_heading = "Operation", value_name = "DURATION")]
    pub(super) drain_timeout: Option<Span>,

    /// All flows together, both directions counted, take at most so much (10M/s)
    #[arg(long, help_heading = "Limits", value_name = "SIZE/s")]
    pub(super) total_rate: Option<Rate>,

    /// At most so many connections in all; more wait unaccepted [default: what the limit of open
    /// files allows]
    #[arg(long, help_heading = "Limits", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_connections: Option<u32>,

    /// Write a line per flow to standard output (`-`) or to the end of a file [default: -]
    #[arg(long, help_heading = "Operation", value_name = "-|FILE|none")]
    pub(super) log: Option<PathBuf>,

    /// The form of those lines [default: text]
    #[arg(long, help_heading = "Operation", value_name = "text|json")]
    pub(super) log_format: Option<LogFormat>,

    /// Add to each line by which routes the bytes went and why better ones were not taken
    #[arg(long, help_heading = "Operation", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) explain: Option<bool>,

    /// Ask this name server, not those of the system, for SRV records (127.0.0.1:53)
    #[arg(long, help_heading = "Upstreams", value_name = "ADDR")]
    pub(super) name_server: Option<std::net::SocketAddr>,
}

/// Of one service.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) struct ServiceFlags {
    /// What it is called in the log and in the figures [default: the first address]
    #[arg(skip)]
    pub(super) name: Option<String>,

    /// Accept connections here: PORT, HOST:PORT or unix://PATH; may be given again
    #[arg(long, value_name = "ADDR")]
    #[serde(default)]
    pub(super) listen: Vec<Address>,

    /// Pass them on to HOST:PORT, unix://PATH or srv://NAME (all its records); may be given again,
    /// with a share as in 10.0.0.1:80,weight=3
    #[arg(long, value_name = "ADDR")]
    #[serde(default)]
    pub(super) to: Vec<Target>,

    /// Pass them on to this one while none of the others is up; may be given again
    #[arg(long, help_heading = "Upstreams", value_name = "ADDR")]
    #[serde(default)]
    pub(super) backup: Vec<Target>,

    /// How one of several is chosen: round-robin, least-connections, source-hash or random-two
    /// [default: round-robin]
    #[arg(long, help_heading = "Upstreams", value_name = "HOW")]
    pub(super) balance: Option<Balancing>,

    /// Connections that begin with a TLS ClientHello for NAME (or *.NAME, or * for all others) go
    /// to ADDR; TLS itself is left alone. May be given again
    #[arg(long, help_heading = "Upstreams", value_name = "NAME=ADDR")]
    #[serde(default)]
    pub(super) sni: Vec<SniRule>,

    /// Connect to each upstream every so often, to know that it is up
    #[arg(long, help_heading = "Upstreams", value_name = "DURATION")]
    pub(super) check_interval: Option<Span>,

    /// Leave out an upstream after so many failures in a row, for a second at first and up to a
    /// minute; 0: never [default: 3]
    #[arg(long, help_heading = "Upstreams", value_name = "N")]
    pub(super) max_fails: Option<u32>,

    /// Look up the names of upstreams again every so often [default: 10s]
    #[arg(long, help_heading = "Upstreams", value_name = "DURATION")]
    pub(super) resolve_interval: Option<Span>,

    /// Connect to upstreams from this address
    #[arg(long, help_heading = "Upstreams", value_name = "IP")]
    pub(super) bind: Option<From>,

    /// Begin each upstream connection with a PROXY header, which names the client
    #[arg(long, help_heading = "PROXY protocol", value_name = "v1|v2")]
    pub(super) send_proxy: Option<Speaks>,

    /// Each client connection begins with a PROXY header; needs --trust
    #[arg(long, help_heading = "PROXY protocol", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) accept_proxy: Option<bool>,

    /// Whose PROXY headers are believed (10.0.0.0/8); other peers are refused. May be given again
    #[arg(long, help_heading = "PROXY protocol", value_name = "CIDR")]
    #[serde(default)]
    pub(super) trust: Vec<Peers>,

    /// Let in only clients from here; may be given again
    #[arg(long, help_heading = "Access", value_name = "CIDR")]
    #[serde(default)]
    pub(super) allow_from: Vec<Peers>,

    /// Let in no clients from here, not even those that are allowed; may be given again
    #[arg(long, help_heading = "Access", value_name = "CIDR")]
    #[serde(default)]
    pub(super) deny_from: Vec<Peers>,

    /// An upstream must have taken the connection within so long [default: 5s]
    #[arg(long, help_heading = "Timeouts", value_name = "DURATION")]
    pub(super) connect_timeout: Option<Span>,

    /// A PROXY header or a ClientHello must be there within so long [default: 5s]
    #[arg(long, help_heading = "Timeouts", value_name = "DURATION")]
    pub(super) header_timeout: Option<Span>,

    /// End a flow in which no byte has moved for so long [default: 1h]
    #[arg(long, help_heading = "Timeouts", value_name = "DURATION")]
    pub(super) idle_timeout: Option<Span>,

    /// As --idle-timeout, once one direction has ended [default: 5m]
    #[arg(long, help_heading = "Timeouts", value_name = "DURATION")]
    pub(super) half_closed_timeout: Option<Span>,

    /// End every flow after so long
    #[arg(long, help_heading = "Timeouts", value_name = "DURATION")]
    pub(super) lifetime: Option<Span>,

    /// Ask peers that say nothing for so long whether they are still there (SO_KEEPALIVE)
    #[arg(long, help_heading = "Timeouts", value_name = "DURATION")]
    pub(super) keepalive: Option<Span>,

    /// End a flow whose peer has not acknowledged what it was sent for so long (TCP_USER_TIMEOUT)
    #[arg(long, help_heading = "Timeouts", value_name = "DURATION")]
    pub(super) user_timeout: Option<Span>,

    /// At most so many connections of this service; more wait unaccepted
    #[arg(skip)]
    pub(super) max_connections: Option<u32>,

    /// At most so many connections from one address; more wait until one of them ends
    #[arg(long, help_heading = "Limits", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_per_source: Option<u32>,

    /// At most so much in each direction of a flow (1M/s)
    #[arg(long, help_heading = "Limits", value_name = "SIZE/s")]
    pub(super) rate: Option<Rate>,

    /// Let the system gather small pieces before it sends them
    #[arg(long, help_heading = "Limits", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub(super) delay: Option<bool>,

    /// Record both directions of each flow in this folder
    #[arg(long, help_heading = "Recording", value_name = "DIR")]
    pub(super) tap: Option<PathBuf>,

    /// Where the disk is slow: `block` holds the flow up, `detach` leaves the recording
    /// [default: detach]
    #[arg(long, help_heading = "Recording", value_name = "block|detach")]
    pub(super) tap_policy: Option<TapPolicy>,

    /// Begin another file after so much
    #[arg(long, help_heading = "Recording", value_name = "SIZE")]
    pub(super) tap_rotate: Option<Size>,

    /// Do not use this route: splice, … (several by comma)
    #[arg(long, help_heading = "Limits", value_name = "ROUTE")]
    #[serde(default)]
    pub(super) deny: Vec<Routing>,
}
