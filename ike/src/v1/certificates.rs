//! Proofs by certificate: CERT, CERTREQ and SIG (RFC 2408 §3.9, §3.10, RFC 2409 §5.1, RFC 4945 §3).

use std::time::Instant;

use super::identity;
use crate::beliefs::{self, Beliefs};
use crate::certificates;
use crate::crypto::{Certificate, KeyKind, SignatureScheme};
use crate::engine::Engine;
use crate::wire::v1::Payload;
use crate::{
    Connection, Outage, OwnCertificate, PeerCertificate, Reason, RemoteProof, Side, SignerReason, Stage,
    ToBeSigned,
};

/// The most roots that are named to a peer; if there are more, none is.
const MOST_ROOTS: usize = 8;

/// This hash, as our key is to sign it.
pub(super) fn unsigned(own: &OwnCertificate, hash: Vec<u8>, stage: Stage) -> Result<ToBeSigned, Outage> {
    match certificates::own(own, stage)?.kind() {
        KeyKind::Rsa(_) => Ok(ToBeSigned {
            key: own.key.clone(),
            scheme: SignatureScheme::RsaBare,
            messages: vec![hash],
        }),
        kind @ (KeyKind::P256 | KeyKind::P384 | KeyKind::P521) => Err(Outage {
            offered: kind.to_string(),
            expected: "a key of RSA, which is all that IKEv1 signs by here".to_owned(),
            ..Outage::plain(Reason::Signer(SignerReason::KeyWrongKind), Side::We, stage)
        }),
    }
}

/// Our certificate and what leads from it to its root, if that is how we prove who we are.
pub(super) fn ours(settings: &Connection) -> Vec<Payload> {
    let payloads = certificates::ours(settings).into_iter();
    payloads.map(Payload::Certificate).collect()
}

/// Which roots the certificates of the peers of these connections are to lead to, by their names (RFC 4945 §3.2.7), if any of
/// them is to have one.
pub(super) fn requests<'a>(all: impl Iterator<Item = &'a Connection>) -> Vec<Payload> {
    let Some(mut names) = certificates::roots(all, Certificate::subject) else {
        return Vec::new();
    };
    if names.len() > MOST_ROOTS {
        names.clear();
    }
    let any = names.is_empty().then(Vec::new);
    let requests = names.into_iter().chain(any).map(certificates::x509);
    requests.map(Payload::CertificateRequest).collect()
}

/// The certificates of a message, in their order.
pub(super) fn sent(payloads: &[Payload]) -> Vec<&[u8]> {
    certificates::sent(payloads.iter().filter_map(|payload| {
        if let Payload::Certificate(found) = payload {
            Some(found)
        } else {
            None
        }
    }))
}

/// The same, to be kept.
pub(super) fn shown(payloads: &[Payload]) -> Vec<Vec<u8>> {
    sent(payloads).into_iter().map(<[u8]>::to_vec).collect()
}

/// The signature of a message.
pub(super) fn signature(payloads: &[Payload]) -> Option<&Vec<u8>> {
    payloads.iter().find_map(|payload| {
        if let Payload::Signature(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

/// Whether the peer has a certificate that is believed and names it, and signed this hash with its key.
fn judge(
    (hash, payloads): (&[u8], &[Payload]),
    expected: &PeerCertificate,
    (beliefs, at): (&Beliefs, (Instant, Stage)),
) -> Result<(), Outage> {
    let failed = |offered: &str, expected: String| Outage {
        offered: offered.to_owned(),
        expected,
        ..Outage::plain(Reason::AuthenticationFailed, Side::We, at.1)
    };
    let said = super::main_mode::identification(payloads).and_then(identity::of_peer);
    let (Some(said), Some(signature)) = (said, signature(payloads)) else {
        return Err(failed("no signature", "one".to_owned()));
    };
    let (sent, trust) = (sent(payloads), &expected.trust);
    let certificate = beliefs.believe((&sent, &said), trust, at)?;
    let key = (certificate.kind(), certificate.public_key());
    let good = SignatureScheme::RsaBare.verifies(key, hash, signature);
    good.then_some(()).ok_or_else(|| {
        let (subject, kind) = (certificate.names().0, certificate.kind());
        let by = format!("a signature of RSA by the key of {subject}, {kind}");
        failed("a signature that is wrong", by)
    })
}

impl Engine {
    /// Why a peer is not believed that proves who it is by a certificate: this hash it has to have signed.
    pub(super) fn disbelief(
        &mut self,
        signed: (&[u8], &[Payload]),
        settings: &Connection,
        (now, stage): (Instant, Stage),
    ) -> Option<Outage> {
        let RemoteProof::Certificate(expected) = &settings.authentication.remote else {
            return None;
        };
        let judged = judge(signed, expected, (&self.beliefs, (now, stage)));
        if beliefs::leads(&judged) {
            self.ask_for_lists(&sent(signed.1), settings, now);
        }
        judged.err()
    }
}
