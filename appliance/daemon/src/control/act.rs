use appliance_config::held;
use appliance_config::model::Protocol;
use bgp::NeighbourName;
use ike::{ConnectionName, Input};
use tracing::info;

use super::order::{Act, Action, PeerAct, PeerAction};
use super::origin::Origin;
use super::owner::Control;
use super::refusal::Refusal;
use crate::bgp_owner;
use crate::derive::negotiated;
use crate::ike_owner::Command;
use crate::store::{Audit, AuditPage, AuditQuery, Author};

impl Control {
    /// Tells the engine, and the audit log.
    pub(super) async fn act(&mut self, act: Act) -> Result<(), Refusal> {
        let connections = &self.running.config.connections;
        let mut named = connections
            .iter()
            .filter(|(name, _)| name.as_str() == act.connection);
        match named.next() {
            None => return Err(Refusal::UnknownConnection(act.connection)),
            Some((_, connection)) if !connection.enabled => {
                return Err(Refusal::ConnectionDisabled(act.connection));
            }
            Some((_, connection))
                if act.action == Action::TryIkev2 && connection.protocol == Protocol::IkeV2 =>
            {
                return Err(Refusal::SpeaksIkev2(act.connection));
            }
            Some((_, connection)) => {
                if let Some(notice) = held(connection) {
                    return Err(Refusal::ConnectionHeld(notice.detail));
                }
            }
        }
        let name = ConnectionName(act.connection.as_str().into());
        let input = match act.action {
            Action::Connect => Input::Connect(name),
            Action::Disconnect => Input::Disconnect(name),
            Action::Reset => Input::Reset(name),
            Action::Rekey => Input::RekeyChild(name),
            Action::RekeyIke => Input::RekeyIke(name),
            Action::Reauthenticate => Input::Reauthenticate(name),
            Action::TryIkev2 => Input::TryVersion2(name),
        };
        let told = self.ike.try_send(Command::Tell(input));
        told.map_err(|_| Refusal::Stopping)?;
        info!(
            connection = act.connection,
            author = act.author.who,
            action = act.action.word(),
            "by hand"
        );
        self.done(&act.author, act.what()).await
    }

    /// Tells the BGP speaker, and the audit log.
    pub(super) async fn act_on_peer(&mut self, act: PeerAct) -> Result<(), Refusal> {
        let addresses = self.addresses.borrow().clone();
        let known = negotiated(&self.running.config, &addresses)
            .any(|(name, connection)| name.as_str() == act.peer && connection.bgp.is_some());
        if !known {
            return Err(Refusal::UnknownPeer(act.peer));
        }
        let name = NeighbourName(act.peer.as_str().into());
        let input = match act.action {
            PeerAction::Clear => bgp::Input::Clear(name),
            PeerAction::Refresh => bgp::Input::Refresh(name),
        };
        let told = self.bgp.try_send(bgp_owner::Command::Tell(input));
        told.map_err(|_| Refusal::Stopping)?;
        info!(
            peer = act.peer,
            author = act.author.who,
            action = act.action.word(),
            "by hand"
        );
        self.done(&act.author, act.what()).await
    }

    /// Notes in the audit log who did what, where there is one.
    async fn done(&self, author: &Author, what: String) -> Result<(), Refusal> {
        if let Origin::Store(store) = &self.origin {
            let audit = Audit::done(author, what);
            store.with(move |store| store.audit(&audit)).await?;
        }
        Ok(())
    }

    /// Lines of the audit log, newest first.
    pub(super) async fn audit_log(&self, query: AuditQuery) -> Result<AuditPage, Refusal> {
        self.store()?.with(move |store| store.audit_log(&query)).await
    }
}
