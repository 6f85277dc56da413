//! What the commands that stay up share: listeners, limits, signals, logs, figures, configuration
//! files.

pub(crate) mod accepting;
pub(crate) mod address;
pub(crate) mod admin;
pub(crate) mod by_route;
pub(crate) mod conn;
pub(crate) mod exhausted;
pub(crate) mod fields;
pub(crate) mod gate;
pub(crate) mod limits;
pub(crate) mod lines;
pub(crate) mod listen;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod lot;
pub(crate) mod metrics;
pub(crate) mod rates;
pub(crate) mod reminder;
pub(crate) mod reserve;
pub(crate) mod signals;
mod socket_path;
pub(crate) mod toml_file;
pub(crate) mod values;
