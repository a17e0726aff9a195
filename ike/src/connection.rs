//! Where each configured connection stands, and when it is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Task};
use crate::standing::Standing;
use crate::v2::child::Child;
use crate::v2::nat::Path;
use crate::v2::redirect::Redirection;
use crate::v2::state::{Common, IkeSa, State};
use crate::weak;
use crate::{
    Action, Connection, ConnectionName, ConnectionSnapshot, ConnectionState, Event, LineSnapshot,
    LineStanding, Outage, PeerCertificate, Reason, ReauthenticationSnapshot, Settings, Side, Stage, Version,
};

/// The wait after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Between two refusals of strangers that are told at least this long passes.
const BETWEEN_NOTES: Duration = Duration::from_secs(1);
/// It doubles so often at most: to 64 seconds.
const DOUBLINGS: u32 = 6;

/// How long to wait after so many failures: longer after each, and not as long as all others do.
pub(crate) fn wait(failures: u32, drawn: u8) -> Duration {
    let wait = FIRST_RETRY * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS));
    wait + wait / 4 * drawn.into() / 256
}

impl Engine {
    /// Runs what is configured from now on; connections that did not change are not touched.
    pub(crate) fn configure(&mut self, settings: Settings, now: Instant) {
        self.limits = settings.limits;
        self.inside = settings.inside;
        self.carries_on = settings.carries_on;
        let kept = |name: &ConnectionName, standing: &Standing| {
            let still_believed = |expected: &PeerCertificate| {
                let shown = standing.sa.and_then(|spi| self.shown(spi));
                shown.is_some_and(|shown| matches!(self.judge(expected, shown, now), Some(Ok(()))))
            };
            let wanted = settings.connections.get(name);
            wanted.is_some_and(|wanted| {
                let wanted = wanted.clone().in_pairs();
                wanted.is_served_by(&standing.settings, still_believed)
            })
        };
        let standings = self.connections.standings.iter();
        let gone: Vec<_> = standings
            .filter(|(name, standing)| !kept(name, standing))
            .map(|(name, _)| name.clone())
            .collect();
        self.end_trials(|name| !gone.contains(name));
        for name in gone {
            self.unschedule(&name);
            let Some(mut standing) = self.connections.remove(&name) else {
                continue;
            };
            self.out.extend(standing.watch.end(&name));
            if standing.state == ConnectionState::Up {
                let outage = Outage::plain(Reason::Configuration, Side::We, Stage::Established);
                self.out.push(Action::Report(Event::Down(name.clone(), outage)));
            }
            self.close_connection(&name, standing.sa, now);
            self.retire(standing.renewal.sa, false, now);
        }
        for (name, wanted) in settings.connections {
            let wanted = wanted.in_pairs();
            match self.connections.get(&name) {
                None => {
                    self.connections.insert(name.clone(), Standing::new(wanted, now));
                    self.connect(&name, now);
                }
                Some(standing) if *standing.settings != wanted => self.adapt(&name, wanted, now),
                Some(_) => {}
            }
        }
        self.connections.settle();
    }

    /// Changes what only we act on, and what may be up stays.
    fn adapt(&mut self, name: &ConnectionName, wanted: Connection, now: Instant) {
        let Some(mut standing) = self.connections.remove(name) else {
            return;
        };
        let (sa, dpd_timeout) = (standing.sa, wanted.dpd_timeout);
        let before = std::mem::replace(&mut standing.settings, Arc::new(wanted));
        standing.revive();
        self.connections.insert(name.clone(), standing);
        self.adapt_v1(name, dpd_timeout);
        match sa.and_then(|spi| self.take(spi)) {
            Some(IkeSa { common, mut state }) => {
                if let State::Established(state) = &mut state {
                    state.dpd_timeout = dpd_timeout;
                }
                self.keep(common, state);
                self.adapt_proofs(name, &before, now);
            }
            None => self.connect(name, now),
        }
    }

    /// Starts a connection now if it has no IKE SA and may be started.
    pub(crate) fn connect(&mut self, name: &ConnectionName, now: Instant) {
        self.unschedule(name);
        if !self.stopping
            && self.connections.get(name).is_some_and(Standing::may_initiate)
            && let Some(remote) = self.destination(name, now)
            && let Some(settings) = self.settings_of(name)
        {
            if self.is_v1(name) {
                self.begin_phase(name, remote, now);
            } else {
                let local = settings.local;
                self.initiate(name, Path { local, remote }, false, now);
            }
        }
    }

    /// Closes everything with a Delete and starts nothing any more.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.stopping = true;
        self.end_trials(|_| false);
        let names: Vec<_> = self.connections.standings.keys().cloned().collect();
        for name in names {
            self.unschedule(&name);
            let standing = self.connections.standings.get_mut(&name);
            let Some(standing) = standing else { continue };
            let (sa, renewing) = (standing.sa.take(), std::mem::take(&mut standing.renewal).sa);
            self.retire(renewing, false, now);
            if sa.is_some() {
                let outage = Outage::plain(Reason::Configuration, Side::We, Stage::Established);
                self.lost(&name, Some(outage), now);
                self.close_connection(&name, sa, now);
            }
        }
        let replaced = |sa: &IkeSa| matches!(sa.state, State::Established(_) | State::Closing(_));
        let left: Vec<_> = self
            .sas
            .iter()
            .filter(|(_, sa)| replaced(sa))
            .map(|(spi, _)| *spi)
            .collect();
        for spi in left {
            self.retire(Some(spi), false, now);
        }
        self.drop_half_open();
        self.drop_half_open_v1();
    }

    /// What a connection is configured to be.
    pub(crate) fn settings_of(&self, name: &ConnectionName) -> Option<Arc<Connection>> {
        self.connections
            .get(name)
            .map(|standing| Arc::clone(&standing.settings))
    }

    /// An attempt of ours is under way, or one to replace what there is (`renews`).
    pub(crate) fn attempted(&mut self, name: &ConnectionName, (spi, renews): (u64, bool), now: Instant) {
        if let Some(standing) = self.connections.standings.get_mut(name) {
            if renews {
                standing.renewal.sa = Some(spi);
                return;
            }
            standing.sa = Some(spi);
            standing.enter(ConnectionState::Connecting, now);
        }
    }

    /// Somebody said no to our attempt; it goes on, for anyone may have said so (RFC 7296 §2.21.1).
    pub(crate) fn warned(&mut self, common: &Common, outage: &Outage) {
        let name = common.connection.as_ref();
        let standing = name.and_then(|name| self.connections.standings.get_mut(name));
        if let Some(standing) = standing.filter(|standing| standing.sa == Some(common.spi)) {
            standing.outage = Some(outage.clone());
        }
    }

    /// We refused somebody who may have been the peer of this connection. Anyone can be refused as often as they
    /// like, so this is told once a second at most, and only to a certain length.
    pub(crate) fn noted(&mut self, name: &ConnectionName, outage: &Outage, now: Instant) {
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return;
        };
        let outage = outage.abridged();
        let recent = |noted: Instant| now.saturating_duration_since(noted) < BETWEEN_NOTES;
        let told = standing.outage.as_ref() == Some(&outage) || standing.noted.is_some_and(recent);
        if standing.state != ConnectionState::Up && !told {
            standing.noted = Some(now);
            standing.outage = Some(outage.clone());
            self.out
                .push(Action::Report(Event::AttemptFailed(name.clone(), outage)));
        }
    }

    /// The connection is up, but this does not work.
    pub(crate) fn degraded(&mut self, common: &Common, outage: &Outage) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        if let Some(standing) = self.connections.standings.get_mut(&name)
            && standing.state == ConnectionState::Up
        {
            let outage = outage.abridged();
            standing.outage = Some(outage.clone());
            self.out.push(Action::Report(Event::Degraded(name, outage)));
        }
    }

    /// A line works that did not.
    pub(crate) fn mended(&mut self, common: &Common) {
        let name = common.connection.as_ref();
        let standing = name.and_then(|name| self.connections.standings.get_mut(name));
        if let Some(standing) = standing.filter(|standing| standing.state == ConnectionState::Up) {
            standing.outage.clone_from(&standing.renewal.outage);
        }
    }

    /// What is known to be wrong with a connection.
    pub(crate) fn amiss(&self, name: &ConnectionName) -> Option<&Outage> {
        self.connections.get(name)?.outage.as_ref()
    }

    /// An SA was replaced in time, so that nothing is amiss any more.
    pub(crate) fn rekeyed(&mut self, common: &Common, event: impl FnOnce(ConnectionName) -> Event) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        if let Some(standing) = self.connections.standings.get_mut(&name)
            && standing.state == ConnectionState::Up
        {
            standing.outage.clone_from(&standing.renewal.outage);
            self.out.push(Action::Report(event(name)));
        }
    }

    /// An IKE SA is no more. Without an outage the one that is known stands.
    pub(crate) fn ended(&mut self, common: &Common, outage: Option<Outage>, now: Instant) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        let Some(standing) = self.connections.standings.get_mut(&name) else {
            return;
        };
        if standing.sa == Some(common.spi) {
            standing.sa = None;
            match standing.renewal.sa.take() {
                Some(heir) => self.succeeded_by(&name, heir, outage, now),
                None => self.lost(&name, outage, now),
            }
        } else if standing.renewal.sa.take_if(|spi| *spi == common.spi).is_some() {
            self.not_renewed((&name, common.initiator), outage, now);
        }
    }

    /// The datapath carries no child of a new IKE SA of the peer.
    pub(crate) fn lost_child(&mut self, common: &Common, outage: Outage, now: Instant) {
        if let Some(name) = common.connection.clone().filter(|_| !self.renews(common)) {
            self.lost(&name, Some(outage), now);
        }
    }

    /// The IKE SA of a connection stands, but no child of it carries traffic.
    pub(crate) fn without_child(&mut self, common: &Common, outage: &Outage, now: Instant) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        let standing = self.connections.standings.get_mut(&name);
        let Some(standing) = standing.filter(|standing| standing.sa == Some(common.spi)) else {
            return;
        };
        let outage = outage.abridged();
        let was_up = standing.state == ConnectionState::Up;
        standing.enter(ConnectionState::Down, now);
        if was_up || standing.outage.as_ref() != Some(&outage) {
            standing.outage = Some(outage.clone());
            let event = if was_up { Event::Down } else { Event::AttemptFailed };
            self.out.push(Action::Report(event(name, outage)));
        }
    }

    /// Where the peer of a connection sent us.
    pub(crate) fn redirection(&mut self, name: &ConnectionName) -> Option<&mut Redirection> {
        let standing = self.connections.standings.get_mut(name)?;
        Some(&mut standing.redirection)
    }

    /// The datapath is to tell about packets of lines on demand, if this IKE SA can make a child for them.
    pub(crate) fn watch(&mut self, common: &Common) {
        let Some(name) = &common.connection else { return };
        let standing = self.connections.standings.get_mut(name);
        if let Some(standing) = standing.filter(|standing| standing.sa == Some(common.spi)) {
            let watch = standing.watch.begin(name, &standing.settings, common.path);
            self.out.extend(watch);
        }
    }

    /// A connection is down; it is tried again later.
    pub(crate) fn lost(&mut self, name: &ConnectionName, outage: Option<Outage>, now: Instant) {
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return;
        };
        self.out.extend(standing.watch.end(name));
        standing.redirection.forget();
        let was_up = standing.state == ConnectionState::Up;
        standing.enter(ConnectionState::Down, now);
        standing.failures = standing.failures.saturating_add(1);
        let failures = standing.failures;
        if let Some(outage) = outage.as_ref().map(Outage::abridged) {
            standing.outage = Some(outage.clone());
            let event = if was_up { Event::Down } else { Event::AttemptFailed };
            self.out.push(Action::Report(event(name.clone(), outage)));
        }
        let again = !self.stopping && !standing.disconnected && standing.settings.may_start();
        if again && !self.rests(name, outage.map(|outage| outage.reason)) {
            self.schedule(name, failures, now);
        }
    }

    /// The datapath carries a child of the connection.
    pub(crate) fn up(&mut self, name: &ConnectionName, now: Instant) {
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return;
        };
        if standing.state == ConnectionState::Up {
            return;
        }
        standing.enter(ConnectionState::Up, now);
        standing.outage = None;
        standing.failures = 0;
        self.out.push(Action::Report(Event::Up(name.clone())));
        let sa = standing.sa.and_then(|spi| self.sas.get(&spi));
        let amiss = sa.and_then(|sa| sa.established()?.lines.first_outage());
        if let Some(outage) = amiss.cloned() {
            self.out
                .push(Action::Report(Event::Degraded(name.clone(), outage)));
        }
        self.unschedule(name);
    }

    /// A new IKE SA of the peer takes the place of what the connection has.
    pub(crate) fn replace(&mut self, name: &ConnectionName, spi: u64, now: Instant) -> Option<u64> {
        self.unschedule(name);
        let renewal = self.connections.standings.get_mut(name)?;
        let renewing = std::mem::take(&mut renewal.renewal).sa;
        self.retire(renewing, false, now);
        let standing = self.connections.standings.get_mut(name)?;
        if standing.state == ConnectionState::Up {
            self.out.push(Action::Report(Event::Replaced(name.clone())));
        }
        standing.enter(ConnectionState::Connecting, now);
        standing.sa.replace(spi)
    }

    /// The IKE SA that a connection runs on.
    pub(crate) fn current_sa(&self, name: &ConnectionName) -> Option<u64> {
        self.connections.get(name)?.sa
    }

    /// An IKE SA took the place of another of the same connection by a rekey.
    pub(crate) fn succeeded(&mut self, name: &ConnectionName, from: u64, to: u64) {
        if let Some(standing) = self.connections.standings.get_mut(name) {
            let sas = standing.sa.iter_mut().chain(&mut standing.renewal.sa);
            sas.filter(|sa| **sa == from).for_each(|sa| *sa = to);
        }
    }

    /// Whether an IKE SA that we started stays, although the peer now authenticates another one.
    ///
    /// Where both started at once, the SA whose initiator drew the larger nonce stays; the other's responder
    /// refuses it with TEMPORARY_FAILURE, or its initiator abandons it. In every other case the newer stays.
    pub(crate) fn rival_wins(&self, name: &ConnectionName, newer: &Common, nonce: &[u8]) -> bool {
        let standing = self.connections.get(name);
        let sas = standing
            .into_iter()
            .flat_map(|standing| [standing.sa, standing.renewal.sa]);
        let rivals = sas.filter_map(|spi| self.sas.get(&spi?));
        let mut rivals = rivals.filter(|rival| rival.common.initiator);
        rivals.any(|rival| match &rival.state {
            State::AuthSigning(state) => state.agreement.initiator_nonce.as_slice() > nonce,
            State::AuthSent(state) => state.agreement.initiator_nonce.as_slice() > nonce,
            State::Established(state) => newer.begun <= state.since && *state.initiator_nonce > *nonce,
            State::InitSent(_)
            | State::IntermediateSent(_)
            | State::InitAnswered(_)
            | State::AnswerSigning(_)
            | State::Answering(_)
            | State::Refused(_)
            | State::Closing(_) => false,
        })
    }

    /// One connection, for status.
    pub(crate) fn standings(&self) -> BTreeMap<ConnectionName, ConnectionSnapshot> {
        let view = |(name, standing): (&ConnectionName, &Standing)| {
            if standing.settings.version == Version::V1 {
                return self.view_v1(name, standing);
            }
            let sa = standing.sa.and_then(|spi| self.sas.get(&spi));
            let established = sa.and_then(IkeSa::established);
            let carried = || established.into_iter().flat_map(|sa| sa.children.iter());
            let suites = carried().map(|child| child.agreed.suite);
            let amiss = established.and_then(|sa| sa.lines.first_outage());
            let absent = |line| LineSnapshot::new(line, LineStanding::Pending);
            let lines = match established {
                Some(sa) => sa.line_snapshots(&standing.settings),
                None => standing.settings.lines.iter().map(absent).collect(),
            };
            ConnectionSnapshot {
                weak: weak::of(
                    &standing.settings,
                    (established.map(|sa| sa.suite), false),
                    suites,
                ),
                state: standing.state,
                since: standing.since,
                outage: standing.outage.clone().or_else(|| amiss.cloned()),
                ike: sa.map(IkeSa::snapshot),
                reauthentication: ReauthenticationSnapshot {
                    due: established.and_then(|sa| sa.proofs.due),
                    under_way: standing.renewal.sa.is_some(),
                    outage: standing.renewal.outage.clone(),
                },
                version_2: None,
                children: carried().filter_map(Child::snapshot).collect(),
                lines,
            }
        };
        self.connections
            .standings
            .iter()
            .map(|(name, standing)| (name.clone(), view((name, standing))))
            .collect()
    }

    /// Waits longer after each failure, and not as long as all others do.
    fn schedule(&mut self, name: &ConnectionName, failures: u32, now: Instant) {
        self.unschedule(name);
        let drawn = self.drawn(1).first().copied().unwrap_or_default();
        self.retry_at(name, now + wait(failures, drawn));
    }

    /// Tries again then.
    pub(crate) fn retry_at(&mut self, name: &ConnectionName, at: Instant) {
        if let Some(standing) = self.connections.standings.get_mut(name) {
            standing.retry = Some(at);
            self.agenda.insert((at, Task::Retry(name.clone())));
        }
    }

    /// Does not try again by itself.
    pub(crate) fn unschedule(&mut self, name: &ConnectionName) {
        let retry = self
            .connections
            .standings
            .get_mut(name)
            .and_then(|standing| standing.retry.take());
        if let Some(at) = retry {
            self.agenda.remove(&(at, Task::Retry(name.clone())));
        }
    }
}
