//! Upstreams by DNS SRV records, as Consul and headless services of Kubernetes publish them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData};
use tokio::task::JoinSet;

use super::resolve::{Found, Looked};
use super::upstream::Address;

/// The records of a name and the addresses of their targets. Those of the lowest priority come
/// first, all others are backups. A target whose addresses cannot be had just now keeps those it
/// had `before`; one that has none is left out.
pub(super) async fn look_up(name: &str, server: Option<SocketAddr>, before: &[Found]) -> Looked {
    let looked = async {
        let resolver = resolver(server)?;
        let answer = resolver.srv_lookup(name).await.map_err(|error| words(&error))?;
        let records: Vec<SRV> = answer.answers().iter().filter_map(|r| srv(&r.data)).collect();
        let Some(lowest) = records.iter().map(|record| record.priority).min() else {
            return Err("it has no SRV records".to_owned());
        };
        let addresses = addresses(&resolver, &records).await;
        Ok(together(&records, lowest, &addresses, before))
    };
    looked.await.unwrap_or_else(Looked::failed)
}

/// A new one each time, so that a changed `/etc/resolv.conf` is heeded.
fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, String> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()
            .map_err(|error| format!("/etc/resolv.conf: {error}; or give --name-server"))?,
        Some(server) => {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            let config = ResolverConfig::from_name_servers(vec![config]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    // Each look-up is a new one; when, the interval says.
    builder.options_mut().cache_size = 0;
    builder.build().map_err(|error| error.to_string())
}

/// Records with a target; `.` says that there is none.
fn srv(data: &RData) -> Option<SRV> {
    match data {
        RData::SRV(record) if !record.target.is_root() => Some(record.clone()),
        _ => None,
    }
}

type Addresses = HashMap<Name, Result<Vec<IpAddr>, NetError>>;

/// Those of all targets, asked for at once.
async fn addresses(resolver: &TokioResolver, records: &[SRV]) -> Addresses {
    let mut asked = JoinSet::new();
    for record in records {
        let (resolver, target) = (resolver.clone(), record.target.clone());
        asked.spawn(async move {
            let found = ips(&resolver, &target).await;
            (target, found)
        });
    }
    let mut all = Addresses::new();
    while let Some(one) = asked.join_next().await {
        // Who panicked has no addresses.
        all.extend(one.ok());
    }
    all
}

/// Of one family: a replica that has both is still one, with one share. IPv6 is asked for only
/// where there is surely no IPv4, not where that cannot be said just now.
async fn ips(resolver: &TokioResolver, target: &Name) -> Result<Vec<IpAddr>, NetError> {
    let found = match resolver.ipv4_lookup(target.clone()).await {
        Err(error) if error.is_no_records_found() => resolver.ipv6_lookup(target.clone()).await,
        found => found,
    }?;
    Ok(found.answers().iter().filter_map(|record| record.data.ip_addr()).collect())
}

fn together(records: &[SRV], lowest: u16, addresses: &Addresses, before: &[Found]) -> Looked {
    let mut looked = Looked::default();
    for record in records {
        let found = |address| Found {
            is_backup: record.priority > lowest,
            address,
            weight: u32::from(record.weight.max(1)),
            host: record.target.to_string(),
        };
        let error = match addresses.get(&record.target) {
            Some(Ok(ips)) => {
                let address = |ip: &IpAddr| Address::Tcp(SocketAddr::new(*ip, record.port));
                looked.found.extend(ips.iter().map(|ip| found(address(ip))));
                continue;
            }
            Some(Err(error)) => error,
            None => continue,
        };
        let mut what_then = "it is left out";
        if !error.is_no_records_found() {
            let host = record.target.to_string();
            let is_its = |f: &&Found| f.host == host && f.address.port() == Some(record.port);
            let kept: Vec<Found> = before.iter().filter(is_its).cloned().collect();
            if !kept.is_empty() {
                what_then = "it stays what it was";
            }
            looked.found.extend(kept.into_iter().map(|kept| found(kept.address)));
        }
        looked
            .trouble
            .get_or_insert_with(|| format!("{}: {}; {what_then}", record.target, words(error)));
    }
    looked
}

/// What went wrong.
fn words(error: &NetError) -> String {
    match error {
        _ if error.is_nx_domain() => "there is no such name".to_owned(),
        _ if error.is_no_records_found() => "it has no such records".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server says: {code}"),
        NetError::Timeout => "no name server answers".to_owned(),
        _ => error.to_string(),
    }
}
