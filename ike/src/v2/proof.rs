//! The AUTH payload (RFC 7296 §2.15), and what a post-quantum preshared key adds (RFC 8784).

use std::time::Instant;

use super::certificates::{self, Unsigned};
use super::channel::Channel;
use super::extensions::Hashes;
use super::keys::{Proven, SideKeys};
use super::payloads;
use crate::beliefs::Beliefs;
use crate::identity;
use crate::wire::registry::{authentication, notify};
use crate::wire::{AuthPayload, IdentificationPayload, Payload};
use crate::{
    Connection, LocalProof, Outage, PostQuantumPresharedKey, Reason, RemoteProof, Side, Stage, ToBeSigned,
};

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

/// What a peer says of itself, and how it proves that.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) proof: &'a AuthPayload,
    pub(crate) said: Said<'a>,
    /// All payloads of its message; its certificates stand there.
    pub(crate) payloads: &'a [Payload],
}

/// Our AUTH payloads: one with each post-quantum preshared key.
pub(crate) enum Proof {
    /// They are made.
    Ready(Vec<AuthPayload>),
    /// They are to be signed.
    Owed(Unsigned, ToBeSigned),
}

/// Judges the peer's proof; with the post-quantum preshared key, if there is one. What comes back is why it is not right.
pub(crate) fn judge(
    channel: &Channel,
    claim: Claim<'_>,
    remote: &RemoteProof,
    ppk: Option<&PostQuantumPresharedKey>,
    (beliefs, now): (&Beliefs, Instant),
) -> Result<(), Outage> {
    let (_, peer) = channel.sides();
    let mixed = ppk.map(|ppk| peer.mixed(&ppk.secret));
    let peer = mixed.as_ref().unwrap_or(peer);
    let body = payloads::identity_body(claim.said.identity);
    let int_auth = channel.int_auth();
    let proven = claim.said.proven(&body, &int_auth);
    match remote {
        RemoteProof::PreSharedKey(secret) => {
            let offered = identity::words(claim.said.identity);
            let refused = Outage::plain(Reason::AuthenticationFailed, Side::We, Stage::IkeAuth);
            if claim.proof.method != authentication::SHARED_KEY {
                let method = certificates::method_words(claim.proof.method);
                return Err(Outage {
                    offered: format!("{offered}, by {method}"),
                    expected: "a pre-shared key".to_owned(),
                    ..refused
                });
            }
            let good = peer.verify_shared_key(&secret.0, &proven, &claim.proof.data);
            good.then_some(()).ok_or(Outage { offered, ..refused })
        }
        RemoteProof::Certificate(expected) => {
            let signed = peer.signed_octets(&proven);
            certificates::judge(claim, expected, &signed, (beliefs, now))
        }
    }
}

/// Our AUTH payloads, one with each of these post-quantum preshared keys or without one, as they stand here.
pub(crate) fn prove(
    channel: &Channel,
    said: Said<'_>,
    (local, hashes): (&LocalProof, Hashes),
    keys: &[Option<&PostQuantumPresharedKey>],
) -> Result<Proof, Outage> {
    let (ours, _) = channel.sides();
    let body = payloads::identity_body(said.identity);
    let int_auth = channel.int_auth();
    let proven = said.proven(&body, &int_auth);
    let sides = keys.iter().map(|ppk| match ppk {
        Some(ppk) => ours.mixed(&ppk.secret),
        None => ours.clone(),
    });
    match local {
        LocalProof::PreSharedKey(secret) => {
            let payload = |side: SideKeys| AuthPayload {
                method: authentication::SHARED_KEY,
                data: side.shared_key_proof(&secret.0, &proven),
            };
            Ok(Proof::Ready(sides.map(payload).collect()))
        }
        LocalProof::Certificate(own) => {
            let messages: Vec<_> = sides.map(|side| side.signed_octets(&proven)).collect();
            let unsigned = Unsigned::choose(own, hashes, messages.len())?;
            let scheme = unsigned.scheme;
            let key = own.key.clone();
            Ok(Proof::Owed(
                unsigned,
                ToBeSigned {
                    key,
                    scheme,
                    messages,
                },
            ))
        }
    }
}

/// Who we say we are.
pub(crate) fn our_identity(settings: &Connection) -> IdentificationPayload {
    identity::to_payload(&settings.local_identity)
}

/// With which post-quantum preshared keys an initiator proves who it is if both sides have one: with its own and, unless it
/// is required, without (RFC 8784 §3).
pub(crate) fn keys_of_first(settings: &Connection, both: bool) -> Vec<Option<&PostQuantumPresharedKey>> {
    match settings.ppk.as_ref().filter(|_| both) {
        Some(ppk) if ppk.required => vec![Some(ppk)],
        Some(ppk) => vec![Some(ppk), None],
        None => vec![None],
    }
}

/// The initiator's AUTH payload and what goes with it: the name of its post-quantum preshared key, and a proof without that.
pub(crate) fn first(
    proofs: Vec<AuthPayload>,
    keys: &[Option<&PostQuantumPresharedKey>],
) -> impl Iterator<Item = Payload> {
    let name = keys.first().copied().flatten().map(name);
    let name = name.map(|name| payloads::status(notify::PPK_IDENTITY, name));
    let mut proofs = proofs.into_iter();
    let proof = proofs.next().map(Payload::Authentication);
    let without = proofs
        .next()
        .map(|proof| payloads::status(notify::NO_PPK_AUTH, proof.data));
    proof.into_iter().chain(name).chain(without)
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
