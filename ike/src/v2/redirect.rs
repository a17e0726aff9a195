//! Going to another gateway where the peer says so, if the connection allows that (RFC 5685).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::payloads;
use super::state::Common;
use crate::engine::Engine;
use crate::wire::Payload;
use crate::wire::registry::notify;
use crate::{Connection, ConnectionName, Outage, Reason, Side, Stage};

/// So often at most a connection goes elsewhere (§10, MAX_REDIRECTS) …
const MOST: usize = 5;
/// … within this time (REDIRECT_LOOP_DETECT_PERIOD).
const PERIOD: Duration = Duration::from_secs(300);
const IKE_PORT: u16 = 500;

/// Where a connection was sent.
#[derive(Debug, Default)]
pub(crate) struct Redirection {
    /// The gateway to go to instead of the configured one, and the one that said so.
    to: Option<(IpAddr, IpAddr)>,
    /// When it went elsewhere last.
    times: Vec<Instant>,
}

impl Redirection {
    /// Where the next attempt goes, if not where the configuration says.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.to.map(|(to, _)| SocketAddr::new(to, IKE_PORT))
    }

    /// The attempt came to nothing: the next one goes where the configuration says.
    pub(crate) fn forget(&mut self) {
        self.to = None;
    }

    /// What the first message says about it (§3, §5). Nothing if the connection does not allow it.
    pub(crate) fn announcement(&self, settings: &Connection) -> Option<Payload> {
        settings.allow_redirect.then(|| match self.to {
            None => payloads::status(notify::REDIRECT_SUPPORTED, Vec::new()),
            Some((_, from)) => payloads::status(notify::REDIRECTED_FROM, identity(from)),
        })
    }

    fn go(&mut self, to: IpAddr, from: IpAddr, now: Instant) -> bool {
        self.times
            .retain(|time| now.saturating_duration_since(*time) < PERIOD);
        let allowed = self.times.len() < MOST;
        if allowed {
            self.times.push(now);
            self.to = Some((to, from));
        }
        allowed
    }
}

/// The data of REDIRECTED_FROM: kind, length, address (§9.2).
fn identity(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => [&[1, 4], address.octets().as_slice()].concat(),
        IpAddr::V6(address) => [&[2, 16], address.octets().as_slice()].concat(),
    }
}

/// The address that a REDIRECT names, and the nonce behind it (§9.1). A name is not followed: it is told in status.
pub(crate) fn target(data: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (&[kind, length], rest) = data.split_first_chunk::<2>()?;
    let (named, nonce) = rest.split_at_checked(length.into())?;
    let address = match kind {
        1 => IpAddr::from(<[u8; 4]>::try_from(named).ok()?),
        2 => IpAddr::from(<[u8; 16]>::try_from(named).ok()?),
        _ => return None,
    };
    Some((address, nonce))
}

/// Where an authenticated peer sends us, if we may go there.
pub(crate) fn wanted(payloads: &[Payload], common: &Common, settings: &Connection) -> Option<IpAddr> {
    let redirect = payloads::notify(payloads, notify::REDIRECT).filter(|_| settings.allow_redirect)?;
    let (to, _) = target(&redirect.data)?;
    let remote = common.path.remote.ip();
    (common.initiator && to != remote && to.is_ipv4() == remote.is_ipv4()).then_some(to)
}

impl Engine {
    /// What there was with the gateway that sends us elsewhere has ended: go there, unless that happened too often.
    pub(crate) fn redirect(&mut self, common: &Common, (to, stage): (IpAddr, Stage), now: Instant) {
        let from = common.path.remote.ip();
        let outage = Outage {
            offered: to.to_string(),
            expected: from.to_string(),
            ..Outage::plain(Reason::Redirected, Side::Peer, stage)
        };
        self.ended(common, Some(outage), now);
        let Some(name) = common.connection.clone() else {
            return;
        };
        let alone = self.current_sa(&name).is_none() && self.is_outside(to);
        let redirection = alone.then(|| self.redirection(&name)).flatten();
        if redirection.is_some_and(|redirection| redirection.go(to, from, now)) {
            self.connect(&name, now);
        }
    }

    /// What the first message of a connection says about going elsewhere.
    pub(crate) fn redirect_announcement(
        &mut self,
        name: &ConnectionName,
        settings: &Connection,
    ) -> Option<Payload> {
        self.redirection(name)?.announcement(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_nonce_are_read() {
        let data = [1, 4, 203, 0, 113, 1, 9, 9];
        assert_eq!(
            target(&data),
            Some((IpAddr::from([203, 0, 113, 1]), [9, 9].as_slice()))
        );
        for broken in [&data[..5], &[1, 3, 203, 0, 113], &[3, 2, b'g', b'w'], &[1]] {
            assert_eq!(target(broken), None, "{broken:?}");
        }
        assert_eq!(target(&identity("2001:db8::1".parse().unwrap())).unwrap().1, []);
    }
}
