//! Whether the peer of a connection of IKEv1 answers IKEv2, tried when an operator asks: one IKE_SA_INIT (RFC 7296 §1.2), whose
//! answers change nothing but what is told of that.

use std::time::Instant;

use super::init::{Answer, InitSent, malformed};
use super::nat::Path;
use super::payloads::{self, Datagram};
use super::state::Common;
use super::window::Overdue;
use crate::engine::{Engine, Task};
use crate::proposal;
use crate::rejection::Rejection;
use crate::wire::Message;
use crate::wire::registry::{exchange, notify};
use crate::{
    Action, Connection, ConnectionName, Event, Outage, Reason, Remote, Side, Version, Version2Answer,
    Version2Trial,
};

/// A request that waits for its answer. Its key exchange is forgotten with it.
pub(crate) struct Trial {
    name: ConnectionName,
    common: Common,
    sent: InitSent,
}

impl Trial {
    /// Whether this is an answer: anything under our SPI from where the request went, but not the request itself. An older version
    /// answers under its own (RFC 2408 §5.2).
    fn is_answered_by(&self, datagram: &Datagram) -> bool {
        let header = &datagram.header;
        let answers = header.exchange_type == exchange::IKE_SA_INIT
            && header.is_response()
            && !header.is_initiator()
            && header.message_id == 0;
        let fits = match header.major_version() {
            1 => true,
            2 => answers,
            _ => false,
        };
        fits && datagram.path() == self.common.path
    }
}

impl Engine {
    /// Tries it, unless that is under way.
    pub(crate) fn try_version_2(&mut self, name: &ConnectionName, now: Instant) {
        let settings = self.settings_of(name);
        let Some(settings) = settings.filter(|settings| settings.version == Version::V1) else {
            return;
        };
        if self.stopping || self.trials.values().any(|trial| trial.name == *name) {
            return;
        }
        let Some(path) = self.way_to(name, &settings) else {
            return self.tried(name, (Version2Answer::NoAddress, String::new()), now);
        };
        let mut common = Common::new((self.fresh_spi(), 0), path, now);
        (common.initiator, common.connection) = (true, Some(name.clone()));
        let started = InitSent::start(&common, (&settings, None), self.random.as_mut(), now);
        // A connection of IKEv1 has groups of IKEv2 alone.
        let Some(sent) = started else { return };
        self.told_of_trial(name, (Version2Answer::Awaited, String::new()), now);
        self.wrote_init(&common, &sent.request.bytes);
        self.send(path, sent.request.bytes.clone());
        let name = name.clone();
        self.keep_trial(Trial { name, common, sent });
    }

    /// Where the connection itself would begin; if only the peer can, where that is now.
    fn way_to(&self, name: &ConnectionName, settings: &Connection) -> Option<Path> {
        let standing = self.connections.get(name)?;
        let local = settings.local;
        let remote = match &settings.remote {
            Remote::Address(address) => *address,
            Remote::Name { port, .. } => (standing.resolution.address(settings)?, *port).into(),
            Remote::Any => return Some(self.v1.sas.get(&standing.sa?)?.common.path),
        };
        Some(Path { local, remote })
    }

    /// Takes a message if it answers a trial.
    pub(crate) fn is_trial(&mut self, datagram: &Datagram, now: Instant) -> bool {
        let spi = datagram.header.initiator_spi;
        let answered = self.trials.get(&spi);
        if !answered.is_some_and(|trial| trial.is_answered_by(datagram)) {
            return false;
        }
        if let Some(trial) = self.take_trial(spi) {
            self.trial_answered(trial, datagram, now);
        }
        true
    }

    fn trial_answered(&mut self, mut trial: Trial, datagram: &Datagram, now: Instant) {
        let Some(settings) = self.settings_of(&trial.name) else {
            return;
        };
        if datagram.header.major_version() == 1 {
            return self.tried(&trial.name, (Version2Answer::Version1, String::new()), now);
        }
        let Ok(message) = Message::decode(&datagram.bytes) else {
            return self.unheeded(trial, datagram, malformed());
        };
        self.read(&trial.common, &message.header, &message.payloads);
        if payloads::notify(&message.payloads, notify::INVALID_MAJOR_VERSION).is_some() {
            return self.tried(&trial.name, (Version2Answer::Version1, String::new()), now);
        }
        let asked = match trial.sent.check(&trial.common, &message, &settings) {
            Ok(Answer::Agreed(agreed)) => {
                let said = (Version2Answer::Accepted, agreed.suite.to_string());
                return self.tried(&trial.name, said, now);
            }
            Ok(Answer::Elsewhere(to)) => {
                let said = (Version2Answer::Refused, format!("redirect to {to}"));
                return self.tried(&trial.name, said, now);
            }
            Ok(Answer::Cookie(cookie)) => (Some(cookie), None),
            Ok(Answer::Group(group)) => (None, Some(group)),
            Err(rejection) => return self.trial_refused(trial, datagram, rejection, now),
        };
        let parts = (&trial.common, &*settings);
        if !trial.sent.again(parts, asked, self.random.as_mut(), now) {
            let said = "a cookie or another group, over and over".to_owned();
            return self.tried(&trial.name, (Version2Answer::Refused, said), now);
        }
        self.wrote_init(&trial.common, &trial.sent.request.bytes);
        self.send(trial.common.path, trial.sent.request.bytes.clone());
        self.keep_trial(trial);
    }

    fn trial_refused(&mut self, trial: Trial, datagram: &Datagram, rejection: Rejection, now: Instant) {
        let Some(outage) = rejection.outage else {
            return self.unheeded(trial, datagram, rejection);
        };
        let Outage {
            reason,
            offered,
            expected,
            ..
        } = outage.abridged();
        let said = if reason == Reason::IkeProposalMismatch {
            (Version2Answer::NoProposal, expected)
        } else if reason == Reason::KeyExchangeGroupRefused {
            (Version2Answer::OtherGroup, expected)
        } else if reason == Reason::Redirected {
            (Version2Answer::Refused, format!("redirect to {offered}"))
        } else {
            (Version2Answer::Refused, expected)
        };
        self.tried(&trial.name, said, now);
    }

    /// What is no answer is counted, and another one waited for.
    fn unheeded(&mut self, trial: Trial, datagram: &Datagram, rejection: Rejection) {
        self.dropped(datagram.remote, rejection.cause);
        self.keep_trial(trial);
    }

    /// Time passed for a trial.
    pub(crate) fn trial_is_due(&mut self, spi: u64, now: Instant) {
        let Some(mut trial) = self.trials.remove(&spi) else {
            return;
        };
        match trial.sent.request.tick(now) {
            Overdue::Wait => {}
            Overdue::Again(bytes) => {
                let repeat = trial.sent.request.tries().saturating_sub(1);
                self.repeated(&trial.common, Side::We, &bytes, repeat);
                self.send(trial.common.path, bytes);
            }
            Overdue::GiveUp => {
                return self.tried(&trial.name, (Version2Answer::NoAnswer, String::new()), now);
            }
        }
        self.keep_trial(trial);
    }

    /// No trial goes on whose connection is gone or changed (`kept` says which are not), or any if we stop.
    pub(crate) fn end_trials(&mut self, kept: impl Fn(&ConnectionName) -> bool) {
        let ended = self.trials.iter().filter(|(_, trial)| !kept(&trial.name));
        let ended: Vec<u64> = ended.map(|(spi, _)| *spi).collect();
        for spi in ended {
            self.take_trial(spi);
        }
    }

    fn keep_trial(&mut self, trial: Trial) {
        let spi = trial.common.spi;
        self.agenda.insert((trial.sent.request.due(), Task::Trial(spi)));
        self.trials.insert(spi, trial);
    }

    fn take_trial(&mut self, spi: u64) -> Option<Trial> {
        let trial = self.trials.remove(&spi)?;
        self.agenda.remove(&(trial.sent.request.due(), Task::Trial(spi)));
        Some(trial)
    }

    /// This came of it.
    fn tried(&mut self, name: &ConnectionName, said: (Version2Answer, String), now: Instant) {
        if let Some(told) = self.told_of_trial(name, said, now) {
            self.out
                .push(Action::Report(Event::Version2Tried(name.clone(), told)));
        }
    }

    /// For status.
    fn told_of_trial(
        &mut self,
        name: &ConnectionName,
        (answer, said): (Version2Answer, String),
        now: Instant,
    ) -> Option<Version2Trial> {
        let standing = self.connections.standings.get_mut(name)?;
        let told = Version2Trial {
            at: now,
            answer,
            offered: proposal::words(&proposal::offer_ike(&standing.settings.ike_proposals)),
            said,
        };
        standing.trial = Some(told.clone());
        Some(told)
    }
}
