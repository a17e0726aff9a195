use appliance_config::model;
use ike::crypto::{Encryption, Group, Integrity, Prf};
use ike::{EspProposal, IkeProposal};

pub(super) fn ike_proposal(proposal: &model::IkeProposal) -> IkeProposal {
    IkeProposal {
        encryption: encryption(proposal.encryption),
        integrity: proposal.integrity.map(integrity),
        prf: prf(proposal.prf),
        groups: groups(&proposal.groups),
        additional: additional(&proposal.additional),
    }
}

pub(super) fn esp_proposal(proposal: &model::IpsecProposal) -> EspProposal {
    EspProposal {
        encryption: encryption(proposal.encryption),
        integrity: proposal.integrity.map(integrity),
        extended_sequence_numbers: true,
        groups: groups(&proposal.pfs_groups),
        additional: additional(&proposal.additional),
    }
}

fn groups(groups: &[model::Group]) -> Vec<Group> {
    groups.iter().copied().map(group).collect()
}

/// Each of these key exchanges has one method.
fn additional(groups: &[model::Group]) -> Vec<Vec<Group>> {
    groups.iter().map(|one| vec![group(*one)]).collect()
}

fn encryption(encryption: model::Encryption) -> Encryption {
    match encryption {
        model::Encryption::Aes128 => Encryption::AesCbc(128),
        model::Encryption::Aes192 => Encryption::AesCbc(192),
        model::Encryption::Aes256 => Encryption::AesCbc(256),
        model::Encryption::GcmAes128 => Encryption::AesGcm16(128),
        model::Encryption::GcmAes192 => Encryption::AesGcm16(192),
        model::Encryption::GcmAes256 => Encryption::AesGcm16(256),
        model::Encryption::ChaCha20Poly1305 => Encryption::ChaCha20Poly1305,
        model::Encryption::TripleDes => Encryption::TripleDes,
        model::Encryption::Des => Encryption::Des,
        model::Encryption::Null => Encryption::Null,
    }
}

fn integrity(hash: model::Hash) -> Integrity {
    match hash {
        model::Hash::Md5 => Integrity::HmacMd5_96,
        model::Hash::Sha1 => Integrity::HmacSha1_96,
        model::Hash::Sha256 => Integrity::HmacSha2_256_128,
        model::Hash::Sha384 => Integrity::HmacSha2_384_192,
        model::Hash::Sha512 => Integrity::HmacSha2_512_256,
    }
}

fn prf(hash: model::Hash) -> Prf {
    match hash {
        model::Hash::Md5 => Prf::HmacMd5,
        model::Hash::Sha1 => Prf::HmacSha1,
        model::Hash::Sha256 => Prf::HmacSha2_256,
        model::Hash::Sha384 => Prf::HmacSha2_384,
        model::Hash::Sha512 => Prf::HmacSha2_512,
    }
}

fn group(group: model::Group) -> Group {
    match group {
        model::Group::Modp768 => Group::Modp768,
        model::Group::Modp1024 => Group::Modp1024,
        model::Group::Modp1536 => Group::Modp1536,
        model::Group::Modp2048 => Group::Modp2048,
        model::Group::Modp3072 => Group::Modp3072,
        model::Group::Modp4096 => Group::Modp4096,
        model::Group::Modp2048Subgroup256 => Group::Modp2048Subgroup256,
        model::Group::Ecp256 => Group::Ecp256,
        model::Group::Ecp384 => Group::Ecp384,
        model::Group::Ecp521 => Group::Ecp521,
        model::Group::X25519 => Group::X25519,
        model::Group::MlKem512 => Group::MlKem512,
        model::Group::MlKem768 => Group::MlKem768,
        model::Group::MlKem1024 => Group::MlKem1024,
    }
}
