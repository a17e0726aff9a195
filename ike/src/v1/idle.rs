//! Connections that are closed while nothing passes, and come back with the next packet, as policy-based Azure gateways have it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::phases::Session;
use crate::engine::Engine;
use crate::v2::nat::Path;
use crate::{Action, ChildId, Connection, ConnectionName, Outage, Reason, Remote, Side, Stage, Version};

/// It is asked so often within the time after which a connection is idle.
const LOOKS: u32 = 10;

/// What is known of what a connection carries.
#[derive(Debug)]
pub(crate) struct Idle {
    /// When the datapath is asked next.
    pub(super) due: Instant,
    /// When something was carried last, as far as is known.
    moved: Instant,
    /// How many packets each child had carried by then.
    known: BTreeMap<ChildId, u64>,
}

/// After how long we close a connection that carries nothing: none where only the peer could bring it back.
fn patience(settings: &Connection) -> Option<Duration> {
    settings.idle_timeout.filter(|_| settings.may_start())
}

impl Idle {
    /// A connection came up; `None` where it may be up for ever.
    pub(super) fn begin(settings: Option<&Connection>, now: Instant) -> Option<Self> {
        let patience = settings.and_then(patience)?;
        Some(Self {
            due: now + patience / LOOKS,
            moved: now,
            known: BTreeMap::new(),
        })
    }

    /// Takes what was carried until now; whether that is more than was known.
    fn take(&mut self, counts: &[(ChildId, u64)], now: Instant) {
        for (child, packets) in counts {
            let before = self.known.insert(*child, *packets).unwrap_or_default();
            if *packets > before {
                self.moved = now;
            }
        }
        self.known
            .retain(|child, _| counts.iter().any(|(counted, _)| counted == child));
    }
}

impl Engine {
    /// Asks what a connection carries, if it is time.
    pub(super) fn look_for_traffic(&mut self, session: &mut Session, now: Instant) {
        let settings = self.settings_of(&session.name);
        let patience = settings.as_deref().and_then(patience);
        let children = session.tunnel.children.iter();
        let carried = children.filter(|child| child.installed.is_some());
        let carried: Vec<ChildId> = carried.map(|child| child.id).collect();
        match (&mut session.tunnel.idle, patience) {
            (Some(idle), Some(patience)) if idle.due <= now => {
                idle.due = now + patience / LOOKS;
                self.out.push(Action::AskCarried(carried));
            }
            (Some(_), Some(_)) => {}
            (None, _) | (_, None) => session.tunnel.idle = Idle::begin(settings.as_deref(), now),
        }
    }

    /// What was carried until now. A connection that has carried nothing for long is closed.
    pub(crate) fn carried_v1(&mut self, counts: &[(ChildId, u64)], now: Instant) {
        let owner = counts.iter().find_map(|(child, _)| self.v1.owners.get(child));
        let Some(name) = owner.cloned() else { return };
        let patience = self.settings_of(&name).as_deref().and_then(patience);
        let mut tunnel = self.take_tunnel(&name);
        let over = tunnel.idle.as_mut().is_some_and(|idle| {
            idle.take(counts, now);
            patience.is_some_and(|patience| now.saturating_duration_since(idle.moved) >= patience)
        });
        self.keep_tunnel(&name, tunnel);
        if over {
            let expected = patience.map(|patience| format!("a packet within {} s", patience.as_secs()));
            let outage = Outage {
                expected: expected.unwrap_or_default(),
                ..Outage::plain(Reason::Idle, Side::We, Stage::Established)
            };
            self.close_with(&name, outage, now);
        }
    }

    /// A connection was lost for this reason: whether it waits for a packet, and is not tried again before. A peer that closes one that
    /// may be idle does so for the same reason.
    pub(crate) fn rests(&mut self, name: &ConnectionName, reason: Option<Reason>) -> bool {
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return false;
        };
        let idle = matches!(reason, Some(Reason::Idle | Reason::DeletedByPeer));
        let settings = &standing.settings;
        let may = settings.version == Version::V1 && patience(settings).is_some();
        let port = match &settings.remote {
            Remote::Address(address) => address.port(),
            Remote::Name { port, .. } => *port,
            Remote::Any => return false,
        };
        let Some(remote) = standing.resolution.address(settings).filter(|_| idle && may) else {
            return false;
        };
        let path = Path {
            local: settings.local,
            remote: (remote, port).into(),
        };
        let watch = standing.watch.rest(name, settings, path);
        self.out.push(watch);
        true
    }
}
