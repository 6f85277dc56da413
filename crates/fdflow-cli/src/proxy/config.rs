//! What is to be done: from flags, or from a file with many services.

use serde::Deserialize;

use super::flags::{ProgramFlags, ServiceFlags};
use crate::daemon::toml_file;

/// A service without a name and without an address.
pub(super) const NAMELESS: &str = "inherited";

/// Everything that is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    pub(super) program: ProgramFlags,
    pub(super) services: Vec<ServiceFlags>,
}

/// The file: the program's keys, then the services'.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct File {
    threads: Option<u16>,
    admin: Option<crate::daemon::address::Address>,
    drain_timeout: Option<crate::daemon::values::Span>,
    total_rate: Option<crate::daemon::values::Rate>,
    max_connections: Option<u32>,
    log: Option<std::path::PathBuf>,
    log_format: Option<crate::daemon::log::LogFormat>,
    explain: Option<bool>,
    name_server: Option<std::net::SocketAddr>,
    #[serde(default)]
    service: Vec<ServiceFlags>,
}

/// Reads what flags, or the file that they name, ask for. Flags of the program go before the file.
pub(super) fn read(program: &ProgramFlags, service: &ServiceFlags) -> Result<Config, String> {
    let config = match &program.config {
        None => Config { program: program.clone(), services: vec![service.clone()] },
        Some(path) => {
            if !service.listen.is_empty() || !service.to.is_empty() {
                return Err("--listen and --to are for one service without --config; \
                            write them into the file, below [[service]]"
                    .to_owned());
            }
            let file: File = toml_file::read(path)?;
            let shown = path.display();
            let config = from_file(program, file);
            if config.services.is_empty() {
                return Err(format!(
                    "{shown}: there is no [[service]]; write one with listen and to"
                ));
            }
            config
        }
    };
    named(config)
}

fn from_file(flags: &ProgramFlags, file: File) -> Config {
    let flags = flags.clone();
    let program = ProgramFlags {
        config: flags.config,
        threads: flags.threads.or(file.threads),
        admin: flags.admin.or(file.admin),
        drain_timeout: flags.drain_timeout.or(file.drain_timeout),
        total_rate: flags.total_rate.or(file.total_rate),
        max_connections: flags.max_connections.or(file.max_connections),
        log: flags.log.or(file.log),
        log_format: flags.log_format.or(file.log_format),
        explain: flags.explain.or(file.explain),
        name_server: flags.name_server.or(file.name_server),
    };
    Config { program, services: file.service }
}

/// Every service has a name of its own, somewhere to listen and somewhere to go.
fn named(mut config: Config) -> Result<Config, String> {
    let mut names = std::collections::HashSet::new();
    let mut addresses = Vec::new();
    for service in &mut config.services {
        let name = match (&service.name, service.listen.first()) {
            (Some(name), _) => name.clone(),
            (None, Some(address)) => address.to_string(),
            (None, None) => NAMELESS.to_owned(),
        };
        if service.to.is_empty() && service.sni.is_empty() {
            return Err(format!(
                "service {name}: nowhere to pass connections on to; add --to HOST:PORT"
            ));
        }
        if service.accept_proxy == Some(true) && service.trust.is_empty() {
            return Err(format!(
                "service {name}: --accept-proxy believes nobody; say whom with --trust 127.0.0.0/8"
            ));
        }
        for address in service.listen.iter().filter(|address| !address.is_any()) {
            if addresses.contains(address) {
                return Err(format!(
                    "service {name}: cannot listen on {address} twice; leave one out"
                ));
            }
            addresses.push(address.clone());
        }
        if !names.insert(name.clone()) {
            return Err(format!("two services are called {name}; give one another name"));
        }
        service.name = Some(name);
    }
    Ok(config)
}
