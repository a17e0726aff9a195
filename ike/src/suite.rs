//! What an SA uses, and proposals in words.

use std::fmt::{self, Write};

use crate::additional::{self, Additional};
use crate::crypto::{Encryption, Group, Integrity, Prf};
use crate::v2::keys::Suite;
use crate::wire::registry::{encryption, esn, group, integrity, prf, transform};
use crate::wire::{SecurityAssociationPayload, Transform};
use crate::{EspProposal, IkeProposal};

/// What one IKE SA uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IkeSuite {
    pub(crate) encryption: Encryption,
    pub(crate) integrity: Option<Integrity>,
    pub(crate) prf: Prf,
    pub(crate) group: Group,
    /// The exchanges that follow it (RFC 9370).
    pub(crate) additional: Additional,
}

/// What one Child SA uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EspSuite {
    pub(crate) encryption: Encryption,
    pub(crate) integrity: Option<Integrity>,
    pub(crate) extended_sequence_numbers: bool,
    /// The group of its own key exchange.
    pub(crate) group: Option<Group>,
    /// The exchanges that follow it (RFC 9370).
    pub(crate) additional: Additional,
}

impl IkeSuite {
    /// What the key schedule needs to know.
    pub(crate) fn keys(self) -> Suite {
        Suite {
            encryption: self.encryption,
            integrity: self.integrity,
            prf: self.prf,
        }
    }
}

impl IkeSuite {
    /// The one proposal that allows just this.
    pub(crate) fn as_proposal(self) -> IkeProposal {
        IkeProposal {
            encryption: self.encryption,
            integrity: self.integrity,
            prf: self.prf,
            groups: vec![self.group],
            additional: self.additional.groups().map(|group| vec![group]).collect(),
        }
    }
}

impl EspSuite {
    /// The one proposal that allows just this.
    pub(crate) fn as_proposal(self) -> EspProposal {
        EspProposal {
            encryption: self.encryption,
            integrity: self.integrity,
            extended_sequence_numbers: self.extended_sequence_numbers,
            groups: self.group.into_iter().collect(),
            additional: self.additional.groups().map(|group| vec![group]).collect(),
        }
    }
}

impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.encryption)?;
        if let Some(integrity) = self.integrity {
            write!(f, "{integrity}/")?;
        }
        write!(f, "{}/{}{}", self.prf, self.group, self.additional)
    }
}

impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.encryption)?;
        if let Some(integrity) = self.integrity {
            write!(f, "/{integrity}")?;
        }
        f.write_str(if self.extended_sequence_numbers {
            "/ESN"
        } else {
            ""
        })?;
        let group = self.group.map(|group| format!("/{group}"));
        write!(f, "{}{}", group.unwrap_or_default(), self.additional)
    }
}

/// The proposals in words: transforms joined by `/`, proposals by a comma.
pub(crate) fn words(payload: &SecurityAssociationPayload) -> String {
    let proposals = payload.proposals.iter().map(|proposal| {
        let transforms = proposal.transforms.iter().filter_map(transform_word);
        transforms.collect::<Vec<_>>().join("/")
    });
    proposals.collect::<Vec<_>>().join(", ")
}

fn transform_word(offered: &Transform) -> Option<String> {
    let known = match offered.kind {
        transform::ENCR => Encryption::from_id(offered.id, offered.key_length).map(|known| known.to_string()),
        transform::PRF => Prf::from_id(offered.id).map(|known| known.to_string()),
        transform::INTEG if offered.id == integrity::NONE => return None,
        transform::INTEG => Integrity::from_id(offered.id).map(|known| known.to_string()),
        transform::KE => Group::from_id(offered.id).map(|known| known.to_string()),
        kind if additional::is_additional(kind) => return additional::word(offered),
        transform::ESN if offered.id == esn::NONE => return None,
        transform::ESN if offered.id == esn::EXTENDED => Some("ESN".to_owned()),
        _ => None,
    };
    Some(known.unwrap_or_else(|| foreign_word(offered)))
}

/// A transform that we do not have, named if it is a common one.
fn foreign_word(offered: &Transform) -> String {
    let mut word = match (offered.kind, offered.id) {
        (transform::ENCR, encryption::AES_CTR) => "AES_CTR".to_owned(),
        (transform::ENCR, encryption::AES_CCM_16) => "AES_CCM_16".to_owned(),
        (transform::ENCR, encryption::AES_GCM_8) => "AES_GCM_8".to_owned(),
        (transform::ENCR, encryption::AES_GCM_12) => "AES_GCM_12".to_owned(),
        (transform::PRF, prf::AES128_XCBC) => "PRF_AES128_XCBC".to_owned(),
        (transform::PRF, prf::AES128_CMAC) => "PRF_AES128_CMAC".to_owned(),
        (transform::INTEG, integrity::AES_XCBC_96) => "AES_XCBC_96".to_owned(),
        (transform::INTEG, integrity::AES_CMAC_96) => "AES_CMAC_96".to_owned(),
        (transform::KE, group::NONE) => "NONE".to_owned(),
        (transform::KE, group::MODP_1536) => "MODP_1536".to_owned(),
        (transform::KE, group::MODP_6144) => "MODP_6144".to_owned(),
        (transform::KE, group::MODP_8192) => "MODP_8192".to_owned(),
        (transform::KE, group::CURVE448) => "CURVE448".to_owned(),
        (kind, id) => format!("TRANSFORM_{kind}_{id}"),
    };
    if let Some(bits) = offered.key_length {
        // Writing to a String cannot fail.
        let _ = write!(word, "_{bits}");
    }
    word
}
