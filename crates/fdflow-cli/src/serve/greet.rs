//! What is said at the start: the addresses, the QR code, the browser.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::flags::Flags;
use crate::daemon::listen::Listening;

/// Prints where the folder is served.
pub(super) fn print(flags: &Flags, listening: &[Listening], admin: &[Listening], tls: bool) {
    let scheme = if tls { "https" } else { "http" };
    let dir = flags.dir.as_deref().unwrap_or_else(|| std::path::Path::new("."));
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let mut text = String::new();
    for one in listening {
        text.push_str(&format!("serving {} at {}\n", dir.display(), one.url(scheme)));
    }
    let local = listening.iter().find_map(|one| local_address(one.address()?));
    if let Some(address) = local {
        let url = format!("{scheme}://{address}/");
        let known = listening.iter().any(|one| one.url(scheme) == url);
        if !known {
            text.push_str(&format!("in the local network: {url}\n"));
        }
    }
    for one in admin {
        text.push_str(&format!("health and metrics at {}\n", one.url("http")));
    }
    if flags.qr == Some(true) {
        match local.and_then(|address| qr(&format!("{scheme}://{address}/"))) {
            Some(code) => text.push_str(&code),
            None => text.push_str(
                "no QR code: no address of the local network is served; add --listen 0.0.0.0:8080\n",
            ),
        }
    }
    // Where nobody reads it, it is not needed.
    let mut out = io::stdout().lock();
    let _printed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok();
}

/// Opens the first address in a browser.
pub(super) fn open(listening: &[Listening], tls: bool) {
    let scheme = if tls { "https" } else { "http" };
    let Some(address) = listening.iter().find_map(Listening::address) else {
        eprintln!("fdflow: serve: --open needs a TCP address; add --listen 127.0.0.1:8080");
        return;
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        ip => ip,
    };
    let url = format!("{scheme}://{}/", SocketAddr::new(ip, address.port()));
    if let Err(error) = open::that_detached(&url) {
        eprintln!("fdflow: serve: cannot open a browser: {error}; open {url}");
    }
}

/// The address that others in the local network use for a listener at `address`; `None` where
/// it is this machine's alone.
fn local_address(address: SocketAddr) -> Option<SocketAddr> {
    if address.ip().is_loopback() {
        return None;
    }
    if !address.ip().is_unspecified() {
        return Some(address);
    }
    // Connecting a datagram socket sends nothing, but chooses the address that would be used.
    let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0)).ok()?;
    socket.connect((IpAddr::from([192, 0, 2, 1]), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then(|| SocketAddr::new(ip, address.port()))
}

fn qr(url: &str) -> Option<String> {
    let code = QrCode::new(url).ok()?;
    // Light on dark, as terminals mostly are, with the quiet zone that readers need.
    let image = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    Some(format!("{image}\n"))
}
