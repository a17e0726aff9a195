//! The switch of the network stack that makes a host a gateway.

use std::fs;
use std::path::Path;

use ipnet::IpNet;
use tracing::{info, warn};

/// Lets packets pass from one link to another, for the families of these prefixes.
pub(crate) fn enable<'p>(prefixes: impl Iterator<Item = &'p IpNet>) {
    let (v6, v4): (Vec<&IpNet>, Vec<_>) = prefixes.partition(|prefix| prefix.addr().is_ipv6());
    if !v4.is_empty() {
        switch_on(Path::new("/proc/sys/net/ipv4/ip_forward"));
    }
    if !v6.is_empty() {
        switch_on(Path::new("/proc/sys/net/ipv6/conf/all/forwarding"));
    }
}

fn switch_on(path: &Path) {
    let found = fs::read_to_string(path).unwrap_or_default();
    if found.trim_end() == "1" {
        return;
    }
    match fs::write(path, "1") {
        Ok(()) => info!(path = %path.display(), "forwarding switched on: this host is a gateway"),
        Err(error) => {
            warn!(path = %path.display(), %error, "forwarding not switched on: no packet will pass")
        }
    }
}
