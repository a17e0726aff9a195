//! What of BGP is valid and kept, and yet is to be told.

use std::time::Duration;

use crate::model::bgp::{HOLD_TIME_S, KEEPALIVE_S};
use crate::model::{BgpTimers, Name};
use crate::{Notice, Reason, ValidConfig};

/// Timers that peers may not bear; they keep no connection closed.
pub(crate) fn routing_notices(config: &ValidConfig) -> Vec<Notice> {
    let mut notices = Vec::new();
    if let Some(bgp) = &config.gateway.bgp {
        notices.extend(short(bgp.timers, "/gateway/bgp"));
    }
    let sessions = config.connections.iter().filter_map(|(name, connection)| {
        let session = connection.bgp.as_ref()?;
        Some((path(name), session))
    });
    for (path, session) in sessions {
        let inherited = config.gateway.bgp.as_ref().map(|bgp| bgp.timers) == Some(session.timers);
        notices.extend(short(session.timers, &path).filter(|_| !inherited));
    }
    notices
}

fn path(name: &Name) -> String {
    format!("/connections/{name}/bgp")
}

/// Timers shorter than Azure's: its keepalives come every 60 seconds, whatever the peer asks for.
fn short(timers: BgpTimers, path: &str) -> Option<Notice> {
    let least = BgpTimers {
        hold_time: Duration::from_secs(HOLD_TIME_S),
        keepalive: Duration::from_secs(KEEPALIVE_S),
    };
    let is_short = timers.hold_time < least.hold_time || timers.keepalive < least.keepalive;
    is_short.then(|| Notice {
        path: format!("{path}/hold_time_s"),
        reason: Reason::BgpTimersShort,
        detail: format!(
            "a hold time of {} s with keepalives every {} s; Azure keeps {HOLD_TIME_S} and {KEEPALIVE_S}, and a peer that \
             does not send sooner loses the session",
            timers.hold_time.as_secs(),
            timers.keepalive.as_secs()
        ),
    })
}
