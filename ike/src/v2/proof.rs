//! The AUTH payload with a pre-shared key (RFC 7296 §2.15), and what a post-quantum preshared key adds (RFC 8784).

use super::channel::Channel;
use super::keys::{Proven, SideKeys};
use super::payloads;
use crate::identity;
use crate::wire::registry::{authentication, notify};
use crate::wire::{AuthPayload, IdentificationPayload, Payload};
use crate::{Authentication, Connection, PostQuantumPresharedKey};

/// The type of an id of a post-quantum preshared key that is the same octets for ever (RFC 8784 §5.1).
const FIXED: u8 = 2;

/// What the proof of one side covers.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    /// Its IKE_SA_INIT message.
    pub(crate) message: &'a [u8],
    /// The other side's nonce.
    pub(crate) peer_nonce: &'a [u8],
    /// Its ID payload.
    pub(crate) identity: &'a IdentificationPayload,
}

/// Whether the peer's proof is right; with the post-quantum preshared key, if there is one.
pub(crate) fn proves(
    channel: &Channel,
    (proof, said): (&AuthPayload, Said<'_>),
    settings: &Connection,
    ppk: Option<&PostQuantumPresharedKey>,
) -> bool {
    let Authentication::PreSharedKey(secret) = &settings.authentication;
    let (_, peer) = channel.sides();
    let good = |peer: &SideKeys| {
        let body = payloads::identity_body(said.identity);
        peer.verify_shared_key(secret, &said.proven(&body, &channel.int_auth()), &proof.data)
    };
    proof.method == authentication::SHARED_KEY
        && match ppk {
            Some(ppk) => good(&peer.mixed(&ppk.secret)),
            None => good(peer),
        }
}

/// Our AUTH payload; with the post-quantum preshared key, if there is one.
pub(crate) fn prove(
    channel: &Channel,
    said: Said<'_>,
    settings: &Connection,
    ppk: Option<&PostQuantumPresharedKey>,
) -> AuthPayload {
    let Authentication::PreSharedKey(secret) = &settings.authentication;
    let (ours, _) = channel.sides();
    let value = |ours: &SideKeys| {
        let body = payloads::identity_body(said.identity);
        ours.shared_key_proof(secret, &said.proven(&body, &channel.int_auth()))
    };
    AuthPayload {
        method: authentication::SHARED_KEY,
        data: match ppk {
            Some(ppk) => value(&ours.mixed(&ppk.secret)),
            None => value(ours),
        },
    }
}

/// Who we say we are.
pub(crate) fn our_identity(settings: &Connection) -> IdentificationPayload {
    identity::to_payload(&settings.local_identity)
}

/// The initiator's AUTH payload and what goes with it if both sides have a post-quantum preshared key: its name and,
/// unless it is required, a proof without it (RFC 8784 §3).
pub(crate) fn prove_first(
    channel: &Channel,
    said: Said<'_>,
    settings: &Connection,
    both: bool,
) -> Vec<Payload> {
    let ppk = settings.ppk.as_ref().filter(|_| both);
    let mut payloads = vec![Payload::Authentication(prove(channel, said, settings, ppk))];
    if let Some(ppk) = ppk {
        payloads.push(payloads::status(notify::PPK_IDENTITY, name(ppk)));
        let without = || prove(channel, said, settings, None).data;
        let without = (!ppk.required).then(|| payloads::status(notify::NO_PPK_AUTH, without()));
        payloads.extend(without);
    }
    payloads
}

/// Which post-quantum preshared key, if any, an initiator's proof is made with, and which proof that is; `None` if they
/// are not what we want (the table of RFC 8784 §3).
pub(crate) fn choose<'a>(
    payloads: &[Payload],
    settings: &'a Connection,
) -> Option<(Option<&'a PostQuantumPresharedKey>, AuthPayload)> {
    let proof = payloads::authentication(payloads)?;
    let required = settings.ppk.as_ref().is_some_and(|ppk| ppk.required);
    let Some(named) = payloads::notify(payloads, notify::PPK_IDENTITY) else {
        return (!required).then(|| (None, proof.clone()));
    };
    let ours = settings.ppk.as_ref().filter(|ppk| name(ppk) == named.data);
    if ours.is_some() {
        return Some((ours, proof.clone()));
    }
    let without = payloads::notify(payloads, notify::NO_PPK_AUTH).filter(|_| !required)?;
    let (method, data) = (proof.method, without.data.clone());
    Some((None, AuthPayload { method, data }))
}

/// Which post-quantum preshared key a responder says it used; `None` if it must have used one and did not.
pub(crate) fn used<'a>(
    payloads: &[Payload],
    settings: &'a Connection,
) -> Option<Option<&'a PostQuantumPresharedKey>> {
    let used = payloads::notify(payloads, notify::PPK_IDENTITY).is_some();
    match &settings.ppk {
        Some(ppk) if used => Some(Some(ppk)),
        Some(ppk) if ppk.required => None,
        Some(_) | None => Some(None),
    }
}

/// That the responder used the post-quantum preshared key.
pub(crate) fn confirmation() -> Payload {
    payloads::status(notify::PPK_IDENTITY, Vec::new())
}

fn name(ppk: &PostQuantumPresharedKey) -> Vec<u8> {
    [&[FIXED], ppk.id.as_slice()].concat()
}

impl<'a> Said<'a> {
    fn proven(self, identity: &'a [u8], intermediate: &'a [u8]) -> Proven<'a> {
        Proven {
            message: self.message,
            peer_nonce: self.peer_nonce,
            identity,
            intermediate,
        }
    }
}
