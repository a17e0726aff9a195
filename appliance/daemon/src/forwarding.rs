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
        keep_advertised_routes(Path::new("/proc/sys/net/ipv6/conf"));
        switch_on(Path::new("/proc/sys/net/ipv6/conf/all/forwarding"));
    }
}

/// A forwarding host forgets the default route that a router advertised, which may be the admin's only way in, unless
/// `accept_ra` is 2 (ip-sysctl, accept_ra).
fn keep_advertised_routes(links: &Path) {
    for link in fs::read_dir(links).into_iter().flatten().flatten() {
        let accept = link.path().join("accept_ra");
        if fs::read_to_string(&accept).is_ok_and(|found| found.trim_end() == "1")
            && let Err(error) = fs::write(&accept, "2")
        {
            warn!(path = %accept.display(), %error, "advertised routes may be lost");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_listen_to_routers_go_on_and_others_stay_deaf() {
        let links = tempfile::tempdir().unwrap();
        for (link, found) in [("wan", "1\n"), ("lan", "0\n")] {
            fs::create_dir(links.path().join(link)).unwrap();
            fs::write(links.path().join(link).join("accept_ra"), found).unwrap();
        }
        keep_advertised_routes(links.path());
        let now = |link| fs::read_to_string(links.path().join(link).join("accept_ra")).unwrap();
        assert_eq!((now("wan").trim(), now("lan").trim()), ("2", "0"));
    }
}
