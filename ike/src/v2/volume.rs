//! How much one direction of a Child SA may carry, by what its algorithm bears.

use super::child::AgreedChild;
use crate::{Connection, Volume};

/// With blocks of 64 bits two of 2³² are likely to be equal, which tells about both (Sweet32): 2²⁷ of
/// them, one GiB, leave a chance of 1 in 2048 that any two are.
const SMALL_BLOCK_OCTETS: u64 = 1 << 30;
/// The same for 128 bits: 2⁴⁰ blocks, 16 TiB, leave a chance of 1 in 2⁴⁹.
const BLOCK_OCTETS: u64 = 1 << 44;
/// Sequence numbers of 32 bits may not come again (RFC 4303 §3.3.3).
const PACKETS: u64 = u32::MAX as u64;
/// With 64 bits the bound is the cipher's: how often forging may be tried at AES-GCM and ChaCha20-Poly1305.
const EXTENDED_PACKETS: u64 = 1 << 36;
const BLOCK_OF_64_BITS: usize = 8;

/// What is configured or, if that is less, what the suite bears. The soft part lies between eight and nine tenths of
/// it, spread by our SPI, which was drawn.
pub(crate) fn volume(agreed: &AgreedChild, settings: Option<&Connection>) -> Volume {
    let (suite, [.., drawn]) = (agreed.suite, agreed.inbound.to_be_bytes());
    let octets = if suite.encryption.block_octets() == BLOCK_OF_64_BITS {
        SMALL_BLOCK_OCTETS
    } else {
        BLOCK_OCTETS
    };
    let packets = if suite.extended_sequence_numbers {
        EXTENDED_PACKETS
    } else {
        PACKETS
    };
    let wanted = |limit: Option<u64>, bearable: u64| limit.unwrap_or(bearable).min(bearable);
    let hard_octets = wanted(settings.and_then(|settings| settings.child_octets), octets);
    let hard_packets = wanted(settings.and_then(|settings| settings.child_packets), packets);
    Volume {
        soft_octets: soft(hard_octets, drawn),
        hard_octets,
        soft_packets: soft(hard_packets, drawn),
        hard_packets,
    }
}

/// Between eight and nine tenths.
fn soft(hard: u64, drawn: u8) -> u64 {
    let soft = u128::from(hard) * (8 * 256 + u128::from(drawn)) / 2560;
    u64::try_from(soft).unwrap_or(hard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Encryption;
    use crate::proposal::EspSuite;

    fn agreed(extended_sequence_numbers: bool, inbound: u32) -> AgreedChild {
        let suite = EspSuite {
            encryption: Encryption::AesGcm16(256),
            integrity: None,
            extended_sequence_numbers,
            group: None,
            additional: Default::default(),
        };
        AgreedChild {
            inbound,
            outbound: 4711,
            suite,
            line: None,
            selectors: crate::selector::Selectors {
                local: vec![],
                remote: vec![],
            },
        }
    }

    fn configured(octets: Option<u64>, packets: Option<u64>) -> Connection {
        let address = "192.0.2.1:500".parse().unwrap();
        let secret = crate::Authentication::pre_shared_key(vec![1].into());
        Connection {
            child_octets: octets,
            child_packets: packets,
            ..Connection::between(address, address, secret)
        }
    }

    /// Without a configured limit the sequence number, or the cipher, sets it.
    #[test]
    fn sequence_numbers_never_come_again() {
        let volume = volume(&agreed(false, 0x1234_5600), None);
        assert_eq!(volume.hard_packets, 0xffff_ffff);
        assert_eq!(volume.soft_packets, 0xffff_ffff_u64 * 4 / 5);
        assert_eq!(
            super::volume(&agreed(true, 0x1234_5600), None).hard_packets,
            1 << 36
        );
    }

    /// Blocks of 64 bits are bounded far below the 2³² of them at which two are likely to be equal.
    #[test]
    fn small_blocks_carry_little() {
        for encryption in [Encryption::TripleDes, Encryption::Des] {
            let mut child = agreed(true, 0x1234_5600);
            child.suite.encryption = encryption;
            let volume = volume(&child, None);
            assert_eq!(volume.hard_octets, 1 << 30);
            assert!(volume.hard_octets / 8 <= (1 << 32) / 32);
        }
        for encryption in [
            Encryption::ChaCha20Poly1305,
            Encryption::AesCbc(128),
            Encryption::Null,
        ] {
            let mut child = agreed(true, 0x1234_5600);
            child.suite.encryption = encryption;
            assert_eq!(volume(&child, None).hard_octets, 1 << 44);
        }
    }

    #[test]
    fn what_is_configured_counts_if_it_is_less() {
        let little = configured(Some(1_000_000), Some(500));
        let volume = volume(&agreed(true, 0x1234_56ff), Some(&little));
        assert_eq!((volume.hard_octets, volume.hard_packets), (1_000_000, 500));
        assert_eq!((volume.soft_octets, volume.soft_packets), (899_609, 449));
        let much = configured(Some(u64::MAX), Some(u64::MAX));
        let volume = super::volume(&agreed(false, 0x1234_5600), Some(&much));
        assert_eq!((volume.hard_octets, volume.hard_packets), (1 << 44, 0xffff_ffff));
    }
}
