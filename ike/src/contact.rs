//! When INITIAL_CONTACT is true (RFC 7296 §2.4).

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::v2::payloads;
use crate::v2::state::State;
use crate::wire::Payload;
use crate::wire::registry::notify;
use crate::{Connection, Identity};

/// The pairs of identities, ours first, that speak or spoke with each other since we started. Several connections may
/// have the same pair, and its peer closes all its other IKE SAs of the pair when it is told of a first contact.
#[derive(Default)]
pub(crate) struct Contacts(BTreeMap<(Identity, Identity), Contact>);

/// How far a pair has come.
#[derive(Clone, Copy)]
enum Contact {
    /// The IKE SA with this SPI of ours said INITIAL_CONTACT; no answer was heard yet.
    Claimed(u64),
    /// There was an IKE SA.
    Made,
}

fn pair(settings: &Connection) -> (Identity, Identity) {
    (
        settings.local_identity.folded(),
        settings.remote_identity.folded(),
    )
}

impl Contacts {
    /// An IKE SA with the peer was established.
    pub(crate) fn made(&mut self, settings: &Connection) {
        self.0.insert(pair(settings), Contact::Made);
    }
}

impl Engine {
    /// INITIAL_CONTACT for the IKE SA with this SPI of ours, if there was no other between the same identities since we
    /// started and none says so just now.
    pub(crate) fn first_contact(&mut self, settings: &Connection, spi: u64) -> Option<Payload> {
        let pair = pair(settings);
        let pending = |spi| {
            let phase = self.v1.sas.get(&spi);
            matches!(self.sas.get(&spi), Some(sa) if matches!(sa.state, State::AuthSent(_)))
                || phase.is_some_and(|phase| phase.is_attempt())
        };
        let first = match self.connections.contacts.0.get(&pair) {
            None => true,
            Some(Contact::Claimed(spi)) => !pending(*spi),
            Some(Contact::Made) => false,
        };
        first.then(|| {
            self.connections.contacts.0.insert(pair, Contact::Claimed(spi));
            payloads::status(notify::INITIAL_CONTACT, Vec::new())
        })
    }
}
