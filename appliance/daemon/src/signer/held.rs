//! One private key and what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance_keys::KeyError;
use ike::SignerFault;
use tokio::sync::oneshot;

use super::fault::fault;
use super::open::Opened;
use super::owner::Refreshed;
use super::snapshot::{KeySnapshot, KeyState};
use super::spec::KeySpec;

/// How long after a failure a key is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// How often it is looked for a newer version.
const NEWER: Duration = Duration::from_secs(600);

/// Somebody who waits, and which version there was when they asked.
type Waiting = (Option<String>, oneshot::Sender<Option<Refreshed>>);

/// One key.
pub(super) struct Held {
    pub(super) spec: KeySpec,
    pub(super) opened: Option<Opened>,
    /// It is being opened, or looked for a newer version.
    pub(super) busy: bool,
    /// Who waits for what the next look says.
    waiting: Vec<Waiting>,
    /// What is under way began before somebody asked for a look.
    once_more: bool,
    /// Told apart from one of before under the same name.
    pub(super) number: u64,
    due: Option<Instant>,
    fault: Option<SignerFault>,
    signed: (u64, u64),
}

impl Held {
    pub(super) fn new(spec: KeySpec, number: u64) -> Self {
        Self {
            spec,
            opened: None,
            busy: true,
            waiting: Vec::new(),
            once_more: false,
            number,
            due: None,
            fault: None,
            signed: (0, 0),
        }
    }

    /// It was opened, or has a newer version; or that failed.
    pub(super) fn settled(&mut self, opened: Result<Option<Opened>, KeyError>, now: Instant) {
        self.busy = false;
        match opened {
            Ok(newer) => {
                self.opened = newer.or(self.opened.take());
                self.fault = None;
                self.due = Some(now + NEWER);
            }
            Err(error) => {
                self.fault = Some(fault(&error));
                // A PIN is tried once, and then not until it is another one.
                let tried_again = !matches!(error, KeyError::PinWrong(_) | KeyError::PinLocked(_));
                self.due = tried_again.then_some(now + AGAIN);
            }
        }
        if std::mem::take(&mut self.once_more) && self.due.is_some() {
            self.due = Some(now);
        } else {
            self.tell();
        }
    }

    /// It is to be looked at now, and what is found is told.
    pub(super) fn look(&mut self, answer: oneshot::Sender<Option<Refreshed>>, now: Instant) {
        self.waiting.push((self.version(), answer));
        if self.busy {
            self.once_more = true;
        } else if self.due.is_some() {
            self.due = Some(now);
        } else {
            self.tell();
        }
    }

    fn tell(&mut self) {
        for (before, answer) in std::mem::take(&mut self.waiting) {
            let _gone = answer.send(Some(Refreshed {
                renewed: self.opened.is_some() && self.version() != before,
                key: self.snapshot(),
            }));
        }
    }

    fn version(&self) -> Option<String> {
        self.opened.as_ref().and_then(Opened::version)
    }

    /// Why it is not opened again, if it is not: its PIN is wrong.
    pub(super) fn refused(&self) -> Option<&SignerFault> {
        let is_final = self.opened.is_none() && !self.busy && self.due.is_none();
        self.fault.as_ref().filter(|_| is_final)
    }

    /// It signed, or did not.
    pub(super) fn counted(&mut self, fault: Option<SignerFault>) {
        match &fault {
            None => self.signed.0 += 1,
            Some(_) => self.signed.1 += 1,
        }
        self.fault = fault;
    }

    /// When it is to be looked at again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.busy)
    }

    /// It is being opened, and nothing is known against it.
    pub(super) fn is_opening(&self) -> bool {
        self.opened.is_none() && self.busy && self.fault.is_none()
    }

    /// Why it cannot sign.
    pub(super) fn unusable(&self) -> SignerFault {
        self.fault
            .clone()
            .unwrap_or_else(|| fault(&KeyError::SignerSlow("it is still being opened".to_owned())))
    }

    pub(super) fn snapshot(&self) -> KeySnapshot {
        let state = match &self.opened {
            Some(opened) => {
                let key = opened.key();
                KeyState::Ready {
                    place: key.place(),
                    kind: key.kind(),
                    version: opened.version(),
                    chain: Arc::new(key.chain().to_vec()),
                }
            }
            None if self.is_opening() => KeyState::Opening,
            None => KeyState::Failed,
        };
        KeySnapshot {
            provider: self.spec.provider(),
            state,
            signed: self.signed,
            fault: self.fault.clone(),
        }
    }
}
