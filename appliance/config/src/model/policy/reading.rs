use std::ops::RangeInclusive;
use std::time::Duration;

use super::algorithm::{ADDITIONAL, GROUP, IKE_ENCRYPTION, INTEGRITY, IPSEC_ENCRYPTION, Integrity, PFS, Pfs};
use super::{Encryption, Group, Hash, IkeProposal, IpsecProposal, Policy};
use crate::Reason;
use crate::reader::{Object, Value};

/// Azure has it fixed, and so have we.
pub(crate) const IKE_LIFETIME_S: u64 = 28_800;
pub(crate) const IPSEC_LIFETIME_S: u64 = 27_000;
pub(crate) const IPSEC_LIFETIMES_S: RangeInclusive<u64> = 300..=172_799;
pub(crate) const IPSEC_LIFETIME_KB: u64 = 102_400_000;
pub(crate) const IPSEC_LIFETIMES_KB: RangeInclusive<u64> = 1024..=0xffff_ffff;
/// As many as there are transform types for them (RFC 9370 §2.2.1).
pub(crate) const MOST_ADDITIONAL: usize = 7;

/// A limit in units of 1,024 bytes; 0 is none.
pub(super) fn bytes(kilobytes: u64) -> Option<u64> {
    (kilobytes != 0).then(|| kilobytes.saturating_mul(1024))
}

/// How a Child SA ends.
struct Lifetimes {
    seconds: u64,
    kilobytes: u64,
}

impl Policy {
    /// One combination for each SA, complete.
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?.missing_is(Reason::PolicyIncomplete);
        let legacy = object.optional("legacy", false, Value::boolean);
        let ike = object.required("ike", |value| ike(value, legacy.unwrap_or(true)));
        let group = ike
            .as_ref()
            .and_then(|proposals| proposals.first()?.groups.first().copied());
        let ipsec = object.required("ipsec", |value| ipsec(value, group));
        let (ike, (ipsec, lifetimes)) = (ike?, ipsec?);
        legacy?;
        Some(Self {
            ike,
            ipsec: vec![ipsec],
            responder_ipsec: Vec::new(),
            ike_lifetime: Duration::from_secs(IKE_LIFETIME_S),
            ipsec_lifetime: Duration::from_secs(lifetimes.seconds),
            ipsec_bytes: bytes(lifetimes.kilobytes),
        })
    }
}

fn complete<'d>(value: &Value<'d>) -> Option<Object<'d>> {
    Some(value.object()?.missing_is(Reason::PolicyIncomplete))
}

/// One combination for the IKE SA. It is two where a cipher stands in the place of the hash: which function goes with it
/// then is written nowhere.
fn ike(value: &Value<'_>, legacy: bool) -> Option<Vec<IkeProposal>> {
    let mut object = complete(value)?;
    let encryption = object.required("encryption", |value| {
        let encryption = value.word(IKE_ENCRYPTION, &[])?;
        let old = matches!(encryption, Encryption::TripleDes | Encryption::Des);
        allowed(value, !old || legacy, encryption.word()).then_some(encryption)
    });
    let hashes = object.required("integrity", |value| {
        let integrity = value.word(INTEGRITY, &[])?;
        ike_hashes(value, encryption, (integrity, legacy))
    });
    let group = object.required("dh_group", |value| {
        let group = value.word(GROUP, &[])?;
        if group.is_none() {
            let why = "an IKE SA takes its keys from a key exchange, so there is none without; name a group";
            value.problem(Reason::PolicyInconsistent, why);
        }
        group
    });
    let fixed = IKE_LIFETIME_S..=IKE_LIFETIME_S;
    let lifetime = object.optional("lifetime_s", IKE_LIFETIME_S, |value| value.whole::<u64>(fixed));
    let additional = additional(&mut object, group);
    let (encryption, hashes, group, additional) = (encryption?, hashes?, group?, additional?);
    lifetime?;
    let proposals = hashes.into_iter().map(|prf| IkeProposal {
        encryption,
        integrity: (!encryption.is_aead()).then_some(prf),
        prf,
        groups: vec![group],
        additional: additional.clone(),
    });
    Some(proposals.collect())
}

/// The hashes that stand for what is written under `integrity` of the IKE SA.
fn ike_hashes(
    value: &Value<'_>,
    encryption: Option<Encryption>,
    (integrity, legacy): (Integrity, bool),
) -> Option<Vec<Hash>> {
    match integrity {
        Integrity::Hash(hash) => Some(vec![hash]),
        Integrity::Aead(cipher) => {
            allowed(value, legacy, cipher.word()).then_some(())?;
            if encryption? == cipher {
                return Some(vec![Hash::Sha384, Hash::Sha256]);
            }
            let (ours, here) = (encryption?.word(), cipher.word());
            let detail = format!("{ours} encryption does not go with {here} here; name a hash");
            value.problem(Reason::PolicyInconsistent, detail);
            None
        }
    }
}

/// What Azure's table had once and has no more is only for who says so.
fn allowed(value: &Value<'_>, is_allowed: bool, word: &str) -> bool {
    if !is_allowed {
        let detail = format!(
            "{word} is not for the IKE SA any more; if the peer knows nothing better, say \"legacy\": true in this policy"
        );
        value.problem(Reason::PolicyLegacy, detail);
    }
    is_allowed
}

/// One combination for Child SAs; `ike_group` is that of the IKE SA.
fn ipsec(value: &Value<'_>, ike_group: Option<Group>) -> Option<(IpsecProposal, Lifetimes)> {
    let mut object = complete(value)?;
    let encryption = object.required("encryption", |value| value.word(IPSEC_ENCRYPTION, &[]));
    let integrity = object.required("integrity", |value| {
        together(value, encryption, value.word(INTEGRITY, &[])?)
    });
    let pfs = object.optional("pfs_group", Pfs::None, |value| value.word(PFS, &[]));
    let group = match pfs {
        Some(Pfs::Group(group)) => Some(group),
        Some(Pfs::AsIke) => ike_group,
        Some(Pfs::None) | None => None,
    };
    let additional = additional(&mut object, group);
    let without = matches!(pfs, Some(Pfs::None)) && additional.as_ref().is_some_and(|more| !more.is_empty());
    if without {
        object.conflicts(
            "additional_key_exchanges",
            "they follow a key exchange, and \"pfs_group\" says that there is none; name a group there",
        );
    }
    let seconds = object.optional("lifetime_s", IPSEC_LIFETIME_S, |value| {
        value.whole(IPSEC_LIFETIMES_S)
    });
    let kilobytes = object.optional("lifetime_kb", IPSEC_LIFETIME_KB, kilobytes);
    let (encryption, integrity, additional) = (encryption?, integrity?, additional?);
    let (pfs, seconds, kilobytes) = (pfs?, seconds?, kilobytes?);
    (!without).then_some(())?;
    let pfs_groups = match pfs {
        Pfs::None => Vec::new(),
        Pfs::Group(_) | Pfs::AsIke => vec![group?],
    };
    let proposal = IpsecProposal {
        encryption,
        integrity,
        pfs_groups,
        additional,
    };
    Some((proposal, Lifetimes { seconds, kilobytes }))
}

/// 0 is no limit; Azure's least is 1,024.
fn kilobytes(value: &Value<'_>) -> Option<u64> {
    if value.is_zero() {
        return Some(0);
    }
    value.whole(IPSEC_LIFETIMES_KB)
}

/// The key exchanges that follow that of `group`, each of another method.
fn additional(object: &mut Object<'_>, group: Option<Group>) -> Option<Vec<Group>> {
    let Some(value) = object.take("additional_key_exchanges") else {
        return Some(Vec::new());
    };
    let groups = value.list(|element| element.word(ADDITIONAL, &[]))?;
    if groups.len() > MOST_ADDITIONAL {
        let detail = format!("{} key exchanges; there can be {MOST_ADDITIONAL}", groups.len());
        value.problem(Reason::OutOfRange, detail);
        return None;
    }
    let mut seen: Vec<Group> = group.into_iter().collect();
    for group in &groups {
        if seen.contains(group) {
            let detail = "the same method twice adds nothing, and RFC 9370 forbids it; take one away";
            value.problem(Reason::PolicyInconsistent, detail);
            return None;
        }
        seen.push(*group);
    }
    Some(groups)
}

/// A cipher that authenticates goes with itself, any other with a hash; gives the hash.
fn together(value: &Value<'_>, encryption: Option<Encryption>, integrity: Integrity) -> Option<Option<Hash>> {
    let encryption = encryption?;
    let word = encryption.word();
    match integrity {
        Integrity::Aead(cipher) if cipher == encryption => Some(None),
        Integrity::Hash(hash) if !encryption.is_aead() => Some(Some(hash)),
        Integrity::Aead(_) | Integrity::Hash(_) => {
            let wanted = if encryption.is_aead() {
                word
            } else {
                "one of SHA512, SHA384, SHA256, SHA1, MD5"
            };
            value.problem(
                Reason::PolicyInconsistent,
                format!("{word} encryption needs {wanted} here"),
            );
            None
        }
    }
}
