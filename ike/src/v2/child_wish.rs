//! A Child SA that we asked for: what is known of it until it is agreed on (RFC 7296 §1.3.1, §1.3.3).

use super::child::{self, AgreedChild, Child};
use super::followup::{Further, Pending, Promise};
use super::payloads;
use super::state::Established;
use crate::crypto::{Group, KeyExchange, Secret};
use crate::proposal::Keying;
use crate::selector::Selectors;
use crate::wire::Payload;
use crate::{ChildId, Connection, Outage, Reason, Side, Stage};

/// What a child that we ask for is for.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    /// The SPI that we receive on until it is replaced.
    pub(super) old: Option<u32>,
    /// The peer has lost what is to be replaced, or there is nothing.
    pub(super) anew: bool,
    pub(super) line: Option<usize>,
    pub(super) selectors: Selectors,
}

/// We asked for a child.
pub(crate) struct ChildRekey {
    pub(super) purpose: Purpose,
    /// The SPI that we offered to receive on.
    pub(super) inbound: u32,
    pub(super) nonce: Vec<u8>,
    pub(super) exchange: Option<KeyExchange>,
    /// We wanted another group first.
    pub(super) again: bool,
    /// The peer asked for the same at the same time.
    pub(super) rival: Option<Rival>,
    /// What was agreed on, while further key exchanges are done.
    pub(super) fresh: Option<Fresh>,
    pub(super) further: Further,
    /// SPIs that the peer deleted meanwhile and that we never heard of: its answer to us may be about one of them.
    pub(super) deleted: Vec<u32>,
}

/// The child that the peer made for the same.
pub(super) struct Rival {
    pub(super) child: ChildId,
    pub(super) lowest: Vec<u8>,
}

/// What the peer's request or answer holds, checked.
pub(super) struct Fresh {
    pub(super) agreed: AgreedChild,
    pub(super) nonce: Vec<u8>,
    /// Of all key exchanges so far.
    pub(super) secrets: Vec<Secret>,
}

/// So many deletions are remembered that are about nothing we know.
const MOST_DELETED: usize = 8;

impl ChildRekey {
    /// The peer deleted a child that we do not know.
    pub(super) fn unknown_deleted(&mut self, outbound: u32) {
        if self.deleted.len() < MOST_DELETED {
            self.deleted.push(outbound);
        }
    }
}

impl Purpose {
    /// The first child of a line.
    pub(crate) fn line(line: usize, selectors: Selectors) -> Self {
        Self {
            old: None,
            anew: true,
            line: Some(line),
            selectors,
        }
    }

    /// Whether what it is to replace is still there, if it is to replace something.
    pub(super) fn stands(&self, state: &Established) -> bool {
        self.old
            .is_none_or(|old| state.children.current_by_spi(old).is_some())
    }
}

impl ChildRekey {
    /// The SPI that we offered to receive on.
    pub(crate) fn inbound(&self) -> u32 {
        self.inbound
    }

    /// The selector line that it is for.
    pub(crate) fn line(&self) -> Option<usize> {
        self.purpose.line
    }

    /// The peer made a child in the place of `old`, or one more; perhaps we ask for the same.
    pub(crate) fn meet(&mut self, child: &Child, old: Option<u32>, lowest: &[u8]) {
        if self.competes(old, child.agreed.line) {
            let (child, lowest) = (child.id, lowest.to_vec());
            self.rival = Some(Rival { child, lowest });
        }
    }

    /// Whether the peer wants the same, which replaces `old` or is for this line.
    fn competes(&self, old: Option<u32>, line: Option<usize>) -> bool {
        let ours = &self.purpose;
        let both_replace = !ours.anew && ours.old == old;
        let both_create = ours.anew && old.is_none() && ours.line == line;
        both_replace || both_create
    }

    /// The same for what the peer has not done all key exchanges for.
    pub(super) fn competes_with(&self, pending: &Pending) -> bool {
        match &pending.promise {
            Promise::Child(grant) => self.competes(grant.old, grant.agreed.line),
            Promise::Ike(_) => false,
        }
    }

    /// Whether both replace the same child, the peer by this one.
    pub(super) fn rekeys_too(&self, child: ChildId) -> bool {
        let rival = self.rival.as_ref().is_some_and(|rival| rival.child == child);
        rival && self.purpose.old.is_some()
    }

    /// What is agreed on after an answer, or why that cannot be.
    pub(super) fn take(&mut self, payloads: &[Payload], settings: &Connection) -> Result<Fresh, Outage> {
        if let Some(mut fresh) = self.fresh.take() {
            let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::CreateChildSa);
            fresh
                .secrets
                .push(self.further.secret(payloads).ok_or_else(broken)?);
            return Ok(fresh);
        }
        let fresh = self.check(payloads, settings)?;
        self.further = Further::new(fresh.agreed.suite.additional);
        Ok(fresh)
    }

    /// What the peer granted, or why it is not what we asked for.
    fn check(&mut self, payloads: &[Payload], settings: &Connection) -> Result<Fresh, Outage> {
        let group = self.exchange.as_ref().map(|exchange| exchange.group());
        let keying = Keying::Negotiated(group.map(Group::id));
        let wanted = (self.purpose.line, &self.purpose.selectors);
        let agreed = child::accept(self.inbound, payloads, (settings, keying), wanted)?;
        let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::CreateChildSa);
        let nonce = payloads::nonce(payloads).ok_or_else(broken)?.to_vec();
        let secrets = match agreed.suite.group {
            None => Vec::new(),
            Some(chosen) => vec![self.shared(chosen, payloads).ok_or_else(broken)?],
        };
        Ok(Fresh {
            agreed,
            nonce,
            secrets,
        })
    }

    /// The secret of the child's own key exchange.
    fn shared(&mut self, chosen: Group, payloads: &[Payload]) -> Option<Secret> {
        let public = payloads::key_exchange(payloads)?;
        let exchange = self.exchange.take().filter(|ours| ours.group() == chosen)?;
        (public.group == chosen.id()).then_some(())?;
        exchange.finish(&public.data).ok()
    }
}
