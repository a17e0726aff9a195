//! What an established session brings: routes, faults in them, their limit, and what is kept when it ends.

use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::negotiation::Agreed;
use crate::peer::Peer;
use crate::reason::Ending;
use crate::restart::SETTLING;
use crate::rib::{LimitExceeded, News};
use crate::timers::Timer;
use crate::turn::Turn;
use crate::wire::error::{Fault, Treatment};
use crate::wire::notification::Notification;
use crate::wire::update::Update;
use crate::{Action, ConnectionId, Event, Families, Family};

/// Between two reports of malformed updates from one neighbour.
const BETWEEN_REPORTS: Duration = Duration::from_secs(10);

/// What was told of a session, so that it is not told again and again.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// Families that are near their limit.
    near_limit: Families,
    malformed: Option<Instant>,
    /// Since then.
    unreported: u32,
    /// When prefixes were told that are translated in part.
    partly: Option<Instant>,
    /// Those that were not told since.
    partly_unreported: u32,
}

impl Peer {
    /// An UPDATE came (RFC 4271 §6.3 as RFC 7606 has it).
    pub(crate) fn update(
        &mut self,
        id: ConnectionId,
        mut update: Update,
        turn: &mut Turn,
    ) -> Result<(), Ending> {
        for fault in std::mem::take(&mut update.faults) {
            self.treat(id, fault, turn)?;
        }
        let announced = update
            .announced
            .iter()
            .flat_map(|(_, destinations)| destinations.first());
        let families: Families = announced.map(|first| Family::of_prefix(&first.prefix)).collect();
        let complete = update.end_of_rib;
        if turn.deferral.is_waiting() && self.running.due(Timer::Settling).is_some() {
            self.settles_later(turn.now);
        }
        if let Err(exceeded) = turn.rib.receive(self.index, update) {
            return Err(self.limit_exceeded(exceeded));
        }
        for family in families.iter() {
            self.watch_limit(family, turn);
        }
        self.tell_partly(turn);
        if let Some(family) = complete {
            self.heard_all(id, family, turn);
        }
        Ok(())
    }

    fn treat(&mut self, id: ConnectionId, fault: Fault, turn: &mut Turn) -> Result<(), Ending> {
        let done = match fault.treatment {
            Treatment::ResetSession(notification) => {
                return Err(Ending::refusing(notification, fault.words));
            }
            Treatment::DisableFamily(family) => {
                if let Some(session) = self.session(id) {
                    session.ignore(family);
                }
                turn.rib.forget(self.index, Families::NONE.with(family));
                turn.deferral.heard_all(&self.name, Families::NONE.with(family));
                format!("{family} is left alone in this session")
            }
            Treatment::WithdrawRoutes => "its routes are taken as withdrawn".to_owned(),
            Treatment::DiscardAttribute => "the attribute is left out".to_owned(),
        };
        let recent = |at: Instant| turn.now.saturating_duration_since(at) < BETWEEN_REPORTS;
        if self.complaints.malformed.is_some_and(recent) {
            self.complaints.unreported = self.complaints.unreported.saturating_add(1);
            return Ok(());
        }
        let more = match std::mem::take(&mut self.complaints.unreported) {
            0 => String::new(),
            count => format!(" ({count} more since the last report)"),
        };
        self.complaints.malformed = Some(turn.now);
        let words = format!("{}: {done}{more}", fault.words);
        turn.out
            .push(Action::Report(Event::Malformed(self.name.clone(), words)));
        Ok(())
    }

    /// Prefixes that NAT does not translate, or not all of, are told; as often as malformed updates.
    pub(crate) fn tell_partly(&mut self, turn: &mut Turn) {
        let News { first, more } = turn.rib.take_news(self.index);
        let Some(first) = first else {
            return;
        };
        let complaints = &mut self.complaints;
        let recent = |at: Instant| turn.now.saturating_duration_since(at) < BETWEEN_REPORTS;
        if complaints.partly.is_some_and(recent) {
            let unreported = complaints.partly_unreported.saturating_add(more);
            complaints.partly_unreported = unreported.saturating_add(1);
            return;
        }
        complaints.partly = Some(turn.now);
        let more = more.saturating_add(std::mem::take(&mut complaints.partly_unreported));
        let words = match more {
            0 => first.to_string(),
            more => format!("{first}; {more} more"),
        };
        turn.out
            .push(Action::Report(Event::PartlyTranslated(self.name.clone(), words)));
    }

    fn limit_exceeded(&self, exceeded: LimitExceeded) -> Ending {
        let LimitExceeded { family, received } = exceeded;
        let limit = self.settings.limits.prefixes;
        let words = format!("it sent {received} {family} prefixes; {limit} are allowed");
        Ending::refusing(Notification::too_many_prefixes(family, limit), words)
    }

    /// From three quarters of the limit on it is told, once; again after it fell below half.
    fn watch_limit(&mut self, family: Family, turn: &mut Turn) {
        let received = turn.rib.counts(self.index, family).received;
        let limit = self.settings.limits.prefixes;
        let near = u64::from(received) * 4 >= u64::from(limit) * 3;
        if near && !self.complaints.near_limit.contains(family) {
            self.complaints.near_limit = self.complaints.near_limit.with(family);
            turn.out.push(Action::Report(Event::PrefixesNearLimit {
                neighbour: self.name.clone(),
                family,
                received,
                limit,
            }));
        } else if u64::from(received) * 2 < u64::from(limit) {
            self.complaints.near_limit = self.complaints.near_limit.without(family);
        }
    }

    /// A limit was lowered while the session is there.
    pub(crate) fn keeps_to_limit(&self, turn: &Turn) -> Result<(), Ending> {
        for family in Family::ALL {
            let received = turn.rib.counts(self.index, family).received;
            if received > self.settings.limits.prefixes {
                return Err(self.limit_exceeded(LimitExceeded { family, received }));
            }
        }
        Ok(())
    }

    /// All routes of a family came: what is left from before its restart goes (RFC 4724 §4.2).
    fn heard_all(&mut self, id: ConnectionId, family: Family, turn: &mut Turn) {
        let set = Families::NONE.with(family);
        if let Some(session) = self.session(id) {
            session.heard_all = session.heard_all.with(family);
        }
        if self.kept.contains(family) {
            turn.rib.sweep_stale(self.index, set);
            self.kept = self.kept.without(family);
            if self.kept.is_empty() {
                self.running.stop(Timer::StaleTime);
            }
        }
        if turn.deferral.is_waiting() && turn.rib.counts(self.index, family).received == 0 {
            // FRR 8 says so a second before it sends its routes.
            return self.settles_later(turn.now);
        }
        turn.deferral.heard_all(&self.name, set);
    }

    /// Nothing says when a neighbour without graceful restart has sent all, nor when one that begins with End-of-RIB has;
    /// silence has to do.
    pub(crate) fn settles_later(&mut self, now: Instant) {
        self.running.start(Timer::Settling, now + SETTLING);
    }

    /// The session is gone: its routes are kept or not (RFC 4724 §4.2, RFC 8538 §4).
    pub(crate) fn session_lost(&mut self, agreed: &Agreed, ending: &Ending, turn: &mut Turn) {
        if turn.now.saturating_duration_since(self.since) >= self.settings.timers.hold_time {
            self.failures = 0;
        }
        self.since = turn.now;
        self.running.stop(Timer::Settling);
        self.running.stop(Timer::StaleTime);
        turn.rib.close(self.index);
        // RFC 4724 §4.2: what was stale already, from a restart before this one, does not get a second chance.
        turn.rib.sweep_stale(self.index, Families::ALL);
        let Some((families, time)) = agreed.kept_after(ending) else {
            self.kept = Families::NONE;
            return turn.rib.forget(self.index, Families::ALL);
        };
        turn.rib.mark_stale(self.index, families);
        let gone = families.iter().fold(Families::ALL, Families::without);
        if !gone.is_empty() {
            turn.rib.forget(self.index, gone);
        }
        self.kept = families;
        self.running.start(Timer::RestartTime, turn.now + time);
        turn.out
            .push(Action::Report(Event::Restarting(self.name.clone())));
    }

    /// It did not come back in time.
    pub(crate) fn forget_kept(&mut self, turn: &mut Turn) {
        self.running.stop(Timer::RestartTime);
        self.running.stop(Timer::StaleTime);
        let kept = std::mem::take(&mut self.kept);
        if !kept.is_empty() {
            turn.rib.forget(self.index, kept);
        }
    }

    /// It came back and did not tell all in time: what it did not tell again goes.
    pub(crate) fn forget_stale(&mut self, turn: &mut Turn) {
        let kept = std::mem::take(&mut self.kept);
        turn.rib.sweep_stale(self.index, kept);
    }

    fn session(&mut self, id: ConnectionId) -> Option<&mut crate::session::Session> {
        let mut connections = self.connections.iter_mut();
        connections
            .find(|connection| connection.id == id)
            .and_then(Connection::session)
    }
}
