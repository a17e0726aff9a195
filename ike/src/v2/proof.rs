//! The AUTH payload with a pre-shared key (RFC 7296 §2.15).

use super::channel::Channel;
use super::keys::Proven;
use super::payloads;
use crate::identity;
use crate::wire::registry::authentication;
use crate::wire::{AuthPayload, IdentificationPayload, Payload};
use crate::{Authentication, Connection};

/// Whether the peer's AUTH payload is right; `proven` are its IKE_SA_INIT message and our nonce.
pub(crate) fn proves(
    channel: &Channel,
    (proof, said): (&AuthPayload, &IdentificationPayload),
    proven: (&[u8], &[u8]),
    settings: &Connection,
) -> bool {
    let (message, peer_nonce) = proven;
    let body = payloads::identity_body(said);
    let proven = Proven {
        message,
        peer_nonce,
        identity: &body,
        intermediate: &channel.int_auth(),
    };
    let Authentication::PreSharedKey(secret) = &settings.authentication;
    let (_, peer) = channel.sides();
    proof.method == authentication::SHARED_KEY && peer.verify_shared_key(secret, &proven, &proof.data)
}

/// Our ID body and AUTH payload; `proven` are our IKE_SA_INIT message and the peer's nonce.
pub(crate) fn prove(
    channel: &Channel,
    proven: (&[u8], &[u8]),
    settings: &Connection,
) -> (IdentificationPayload, Payload) {
    let (message, peer_nonce) = proven;
    let said = identity::to_payload(&settings.local_identity);
    let body = payloads::identity_body(&said);
    let Authentication::PreSharedKey(secret) = &settings.authentication;
    let (ours, _) = channel.sides();
    let data = ours.shared_key_proof(
        secret,
        &Proven {
            message,
            peer_nonce,
            identity: &body,
            intermediate: &channel.int_auth(),
        },
    );
    (
        said,
        Payload::Authentication(AuthPayload {
            method: authentication::SHARED_KEY,
            data,
        }),
    )
}
