//! Graceful restart (RFC 4724, RFC 8538), both roles: what is kept for a neighbour that starts again, and whom we wait
//! for when we have.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::negotiation::Agreed;
use crate::reason::{Ending, Reason};
use crate::wire::capability::GracefulRestart;
use crate::{Families, NeighbourName, Side};

/// How long a neighbour that came back may take to send its routes; RFC 4724 §4.2 asks for a bound.
pub(crate) const STALE_TIME: Duration = Duration::from_secs(360);
/// A neighbour without graceful restart never says that it has sent all, and one may say so before it has sent anything; so
/// long after its last UPDATE it has.
pub(crate) const SETTLING: Duration = Duration::from_secs(2);

impl Agreed {
    /// Both sides keep routes over a NOTIFICATION, too (RFC 8538 §2); we always say so.
    pub(crate) fn keeps_after_notification(&self) -> bool {
        self.restart.as_ref().is_some_and(|restart| restart.notification)
    }

    /// Whether its End-of-RIB can be waited for: it says it, and does not wait for ours in turn (RFC 4724 §4.1).
    pub(crate) fn says_when_it_is_done(&self) -> bool {
        self.restart.as_ref().is_some_and(|restart| !restart.restarted)
    }

    /// The families whose routes are kept for the neighbour after this end, and for how long.
    pub(crate) fn kept_after(&self, ending: &Ending) -> Option<(Families, Duration)> {
        let restart = self.restart.as_ref()?;
        let kept = match (ending.reason, ending.side) {
            // RFC 4724 §4.2: TCP just ended.
            (Reason::ConnectionLost | Reason::ConnectionClosed, _) => true,
            // RFC 5882 §4.3: nothing passes there any more.
            (Reason::PathLost, _) => false,
            // RFC 8538 §4: everything else but a hard reset, if both sides say so.
            (_, Side::We | Side::Peer) => restart.notification && !ending.hard,
        };
        let listed = restart.families.iter().map(|(family, _)| *family);
        let families = listed.collect::<Families>().common(self.negotiated.families);
        (kept && !families.is_empty() && !restart.time.is_zero()).then_some((families, restart.time))
    }
}

/// Of the families that are kept, those that the neighbour's new OPEN says it forwarded all the time (RFC 4724 §4.2).
pub(crate) fn still_kept(kept: Families, restart: Option<&GracefulRestart>) -> Families {
    let Some(restart) = restart else {
        return Families::NONE;
    };
    let forwarded = restart.families.iter().filter(|(_, forwarding)| *forwarding);
    forwarded
        .map(|(family, _)| *family)
        .collect::<Families>()
        .common(kept)
}

/// After our own start: nobody is told what is best before everybody has told us what there is (RFC 4724 §4.1).
#[derive(Debug, Default)]
pub(crate) struct Deferral {
    /// From whom which End-of-RIB is missing; not told yet which before its session is there.
    missing: BTreeMap<NeighbourName, Families>,
    waiting: bool,
}

impl Deferral {
    /// It begins; the end is [`Deferral::is_over`] or a timer.
    pub(crate) fn begin(&mut self, neighbours: impl Iterator<Item = NeighbourName>) {
        self.missing = neighbours.map(|name| (name, Families::ALL)).collect();
        self.waiting = true;
    }

    /// Nobody is waited for any more.
    pub(crate) fn end(&mut self) {
        self.missing.clear();
        self.waiting = false;
    }

    /// While this is so, no route is chosen.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Everything came that was waited for.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting && self.missing.is_empty()
    }

    /// A session is there: its families will be complete.
    pub(crate) fn established(&mut self, name: &NeighbourName, agreed: &Agreed) {
        if let Some(missing) = self.missing.get_mut(name) {
            *missing = agreed.negotiated.families;
        }
    }

    /// All routes of a family came.
    pub(crate) fn heard_all(&mut self, name: &NeighbourName, families: Families) {
        if let Some(missing) = self.missing.get_mut(name) {
            *missing = families.iter().fold(*missing, Families::without);
            if missing.is_empty() {
                self.missing.remove(name);
            }
        }
    }

    /// This neighbour is not waited for: it is gone, or held down.
    pub(crate) fn leave_out(&mut self, name: &NeighbourName) {
        self.missing.remove(name);
    }
}
