//! Peers that are known by name: where the name leads is asked before an attempt, and never while a tunnel is up.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::{Action, Connection, ConnectionName, Outage, Reason, Remote, Side, Stage};

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of where a peer's name leads.
#[derive(Default)]
pub(crate) struct Resolution {
    /// An answer is waited for.
    asked: bool,
    /// The address in use, and since when.
    found: Option<(IpAddr, Instant)>,
}

impl Resolution {
    /// Where the peer is, as far as it is known.
    pub(crate) fn address(&self, settings: &Connection) -> Option<IpAddr> {
        match &settings.remote {
            Remote::Address(address) => Some(address.ip()),
            Remote::Name { .. } => self.found.map(|(address, _)| address),
            Remote::Any => None,
        }
    }

    /// The name leads there, since then.
    pub(crate) fn found(&mut self, found: (IpAddr, Instant)) {
        self.found = Some(found);
    }
}

impl Engine {
    /// Where an attempt is to go. A name is asked for where its address is not known or too old; the attempt then
    /// begins with the answer.
    pub(crate) fn destination(&mut self, name: &ConnectionName, now: Instant) -> Option<SocketAddr> {
        if let Some(elsewhere) = self
            .redirection(name)
            .and_then(|elsewhere| elsewhere.destination())
        {
            return Some(elsewhere);
        }
        let (settings, resolution) = self.connections.resolution(name)?;
        let (host, port) = match &settings.remote {
            Remote::Address(address) => return Some(*address),
            Remote::Name { host, port } => (host.clone(), *port),
            Remote::Any => return None,
        };
        let fresh = |since: &Instant| now.saturating_duration_since(*since) < GOOD_FOR;
        if let Some((address, _)) = resolution.found.filter(|(_, since)| fresh(since)) {
            return Some(SocketAddr::new(address, port));
        }
        if std::mem::replace(&mut resolution.asked, true) {
            resolution.asked = false;
            let silence = format!("no answer within {} s", PATIENCE.as_secs());
            self.lost(name, Some(unresolved(host, silence)), now);
        } else {
            self.out.push(Action::Resolve(name.clone(), host));
            self.retry_at(name, now + PATIENCE);
        }
        None
    }

    /// Starts a connection now, and asks where its name leads however fresh the last answer is.
    pub(crate) fn connect_anew(&mut self, name: &ConnectionName, now: Instant) {
        if let Some((_, resolution)) = self.connections.resolution(name) {
            resolution.asked = false;
            resolution.found = resolution
                .found
                .and_then(|(address, _)| Some((address, now.checked_sub(GOOD_FOR)?)));
        }
        self.connect(name, now);
    }

    /// The answer to what was asked of a name. The first address of our IP version is used, and no other.
    pub(crate) fn resolved(
        &mut self,
        name: &ConnectionName,
        host: &str,
        found: Result<Vec<IpAddr>, String>,
        now: Instant,
    ) {
        let Some((settings, resolution)) = self.connections.resolution(name) else {
            return;
        };
        let same = |remote: &Remote| matches!(remote, Remote::Name { host: asked, .. } if asked == host);
        if !same(&settings.remote) || !std::mem::replace(&mut resolution.asked, false) {
            return;
        }
        match found.and_then(|all| usable(&all, settings.local.ip())) {
            Ok(address) => {
                self.connections.found_at(name, (address, now));
                self.connect(name, now);
            }
            // The peer may have come by itself meanwhile.
            Err(why) if self.current_sa(name).is_none() => {
                self.lost(name, Some(unresolved(host.to_owned(), why)), now);
            }
            Err(_) => {}
        }
    }
}

fn usable(all: &[IpAddr], local: IpAddr) -> Result<IpAddr, String> {
    let fits = |address: &&IpAddr| {
        let strange = address.is_unspecified() || address.is_multicast() || **address == local;
        address.is_ipv4() == local.is_ipv4() && !strange
    };
    all.iter().find(fits).copied().ok_or_else(|| {
        let version = if local.is_ipv4() { "IPv4" } else { "IPv6" };
        let all: Vec<_> = all.iter().map(ToString::to_string).collect();
        format!("no {version} address of a peer among [{}]", all.join(", "))
    })
}

fn unresolved(host: String, why: String) -> Outage {
    Outage {
        offered: host,
        expected: why,
        ..Outage::plain(Reason::NameDoesNotResolve, Side::We, Stage::Idle)
    }
}
