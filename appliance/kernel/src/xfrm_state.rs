//! ESP states: one direction of a Child SA, in tunnel mode.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_core::{Emitable, NlasIterator};
use netlink_packet_xfrm::constants::{
    AF_INET, AF_INET6, IPPROTO_ESP, UDP_ENCAP_ESPINUDP, XFRM_MODE_TUNNEL, XFRM_STATE_AF_UNSPEC,
    XFRM_STATE_ESN, XFRMA_ALG_AEAD, XFRMA_ALG_AUTH_TRUNC, XFRMA_ALG_CRYPT, XFRMA_ENCAP, XFRMA_IF_ID,
    XFRMA_REPLAY_ESN_VAL,
};
use netlink_packet_xfrm::state::{DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{
    Address, Alg, AlgAead, AlgAuth, EncapTmpl, ReplayEsn, UserExpire, UserSaId, UserSaInfo, XfrmAttrs,
    XfrmMessage,
};
use secrecy::ExposeSecret;

use crate::algorithm::{AEAD_ICV_BITS, Algorithm, EspKeys, Names};
use crate::mark;

/// One direction of a Child SA.
///
/// A state is installed once: if the kernel loses it, it is not made again (its sequence numbers would start
/// over under the same key), but reported with [`crate::Event::StateLost`].
#[derive(Debug, Clone, PartialEq)]
pub struct XfrmState {
    /// Outer destination; with the SPI it identifies the state.
    pub destination: IpAddr,
    /// The SPI as it stands in the packet.
    pub spi: u32,
    /// Outer source.
    pub source: IpAddr,
    /// Interface id; in [`mark::INTERFACE_IDS`].
    pub interface_id: u32,
    /// Request id (`reqid`): the policies that lead here bear it, and no packet passes under another's.
    pub request_id: u32,
    /// UDP encapsulation, if any (RFC 3948).
    pub encapsulation: Option<UdpPorts>,
    /// What is done to a packet.
    pub algorithm: Algorithm,
    /// The keys, or why there are none.
    pub keys: KeyMaterial,
    /// Size of the anti-replay window, in packets.
    pub replay_window: u32,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1).
    pub extended_sequence_numbers: bool,
    /// What may pass.
    pub volume: Volume,
}

/// What may pass through a state; `u64::MAX` is no limit. What is reached is told as [`crate::Event::StateSpent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Octets, with the outer IP header when sent, after which it is told.
    pub soft_octets: u64,
    /// Octets after which the kernel deletes the state.
    pub hard_octets: u64,
    /// Packets after which it is told.
    pub soft_packets: u64,
    /// Packets after which the kernel deletes the state.
    pub hard_packets: u64,
}

impl Volume {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        soft_octets: u64::MAX,
        hard_octets: u64::MAX,
        soft_packets: u64::MAX,
        hard_packets: u64::MAX,
    };
}

/// Ports of UDP encapsulation, in the direction of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpPorts {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// Where the keys of a state are.
#[derive(Debug, Clone)]
pub enum KeyMaterial {
    /// Here, on their way to the kernel.
    Given(Arc<EspKeys>),
    /// In the kernel, put there by us, and nowhere else.
    Installed,
    /// In the kernel, put there by somebody before us.
    Found,
}

/// Finds a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateKey {
    /// Outer destination.
    pub destination: IpAddr,
    /// The SPI.
    pub spi: u32,
}

/// What has passed through a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub bytes: u64,
    /// Packets that the peer has sent before the newest one, by their sequence numbers, and that did not arrive; none
    /// of a state that sends (RFC 4303 §2.2).
    pub missing: u64,
    /// Packets older than the anti-replay window.
    pub outside_window: u32,
    /// Packets seen before.
    pub replayed: u32,
    /// Packets that were not authentic.
    pub not_authentic: u32,
}

impl PartialEq for KeyMaterial {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (KeyMaterial::Given(one), KeyMaterial::Given(two)) => Arc::ptr_eq(one, two),
            (KeyMaterial::Installed, KeyMaterial::Installed) | (KeyMaterial::Found, KeyMaterial::Found) => {
                true
            }
            (KeyMaterial::Given(_), KeyMaterial::Installed | KeyMaterial::Found)
            | (KeyMaterial::Installed, KeyMaterial::Given(_) | KeyMaterial::Found)
            | (KeyMaterial::Found, KeyMaterial::Given(_) | KeyMaterial::Installed) => false,
        }
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} SPI 0x{:08x}", self.destination, self.spi)
    }
}

impl XfrmState {
    /// How it is found again.
    pub fn key(&self) -> StateKey {
        StateKey {
            destination: self.destination,
            spi: self.spi,
        }
    }

    /// Adds the state; `None` without keys. The attributes hold copies of the keys: see [`wipe`].
    pub(crate) fn create(&self) -> Option<ModifyMessage> {
        let KeyMaterial::Given(keys) = &self.keys else {
            return None;
        };
        let mut info = UserSaInfo::default();
        info.destination(&self.destination);
        info.source(&self.source);
        info.id.spi = self.spi;
        info.id.proto = IPPROTO_ESP;
        info.reqid = self.request_id;
        info.lifetime_cfg.soft_byte_limit = self.volume.soft_octets;
        info.lifetime_cfg.hard_byte_limit = self.volume.hard_octets;
        info.lifetime_cfg.soft_packet_limit = self.volume.soft_packets;
        info.lifetime_cfg.hard_packet_limit = self.volume.hard_packets;
        info.mode = XFRM_MODE_TUNNEL;
        // An empty selector of any family: both IPv4 and IPv6 may be inside.
        info.flags = XFRM_STATE_AF_UNSPEC;
        if self.extended_sequence_numbers {
            info.flags |= XFRM_STATE_ESN;
        }
        let mut attributes = key_attributes(&self.algorithm, keys)?;
        let words = self.replay_window.div_ceil(32);
        attributes.push(XfrmAttrs::ReplayStateEsn(ReplayEsn {
            bmp_len: words,
            replay_window: self.replay_window,
            bmp: vec![0; usize::try_from(words).ok()?],
            ..ReplayEsn::default()
        }));
        attributes.extend(self.encapsulation.map(|ports| {
            XfrmAttrs::EncapsulationTemplate(EncapTmpl {
                encap_type: UDP_ENCAP_ESPINUDP,
                encap_sport: ports.source,
                encap_dport: ports.destination,
                encap_oa: Address::default(),
            })
        }));
        attributes.push(XfrmAttrs::IfId(self.interface_id));
        Some(ModifyMessage {
            user_sa_info: info,
            nlas: attributes,
        })
    }

    /// Takes the state with this key away.
    pub(crate) fn delete(key: &StateKey) -> XfrmMessage {
        XfrmMessage::DeleteSa(XfrmState::named(key))
    }

    /// Asks for the state with this key.
    pub(crate) fn query(key: &StateKey) -> XfrmMessage {
        XfrmMessage::GetSa(XfrmState::named(key))
    }

    fn named(key: &StateKey) -> DelGetMessage {
        let mut id = UserSaId {
            spi: key.spi,
            proto: IPPROTO_ESP,
            ..UserSaId::default()
        };
        id.destination(&key.destination);
        DelGetMessage {
            user_sa_id: id,
            nlas: vec![],
        }
    }

    /// Reads the body of a message about a state that bears our mark, without touching its keys.
    pub(crate) fn from_body(body: &[u8]) -> Option<(XfrmState, Counters)> {
        let (head, tail) = body.split_at_checked(UserSaInfo::default().buffer_len())?;
        let info = UserSaInfo::parse(head).ok()?;
        if info.id.proto != IPPROTO_ESP || info.id.spi == 0 {
            return None;
        }
        let attributes = Attributes::read(tail)?;
        if !mark::is_ours(attributes.interface_id) {
            return None;
        }
        let state = XfrmState {
            destination: ip(&info.id.daddr, info.family)?,
            spi: info.id.spi,
            source: ip(&info.saddr, info.family)?,
            interface_id: attributes.interface_id,
            request_id: info.reqid,
            encapsulation: attributes.encapsulation,
            algorithm: Algorithm::from_kernel(
                &attributes.encryption,
                attributes
                    .integrity
                    .as_ref()
                    .map(|(name, bits)| (name.as_str(), *bits)),
            ),
            keys: KeyMaterial::Found,
            replay_window: attributes.replay_window.unwrap_or(info.replay_window.into()),
            extended_sequence_numbers: info.flags & XFRM_STATE_ESN != 0,
            volume: Volume {
                soft_octets: info.lifetime_cfg.soft_byte_limit,
                hard_octets: info.lifetime_cfg.hard_byte_limit,
                soft_packets: info.lifetime_cfg.soft_packet_limit,
                hard_packets: info.lifetime_cfg.hard_packet_limit,
            },
        };
        let counters = Counters {
            packets: info.lifetime_cur.packets,
            bytes: info.lifetime_cur.bytes,
            missing: attributes.highest.saturating_sub(info.lifetime_cur.packets),
            outside_window: info.stats.replay_window,
            replayed: info.stats.replay,
            not_authentic: info.stats.integrity_failed,
        };
        Some((state, counters))
    }
}

impl XfrmState {
    /// Reads which state a message says is deleted.
    pub(crate) fn key_from_body(body: &[u8]) -> Option<StateKey> {
        let id = UserSaId::parse(body).ok()?;
        (id.proto == IPPROTO_ESP).then(|| {
            Some(StateKey {
                destination: ip(&id.daddr, id.family)?,
                spi: id.spi,
            })
        })?
    }

    /// Reads which state a message says has expired, and whether at the hard limit.
    pub(crate) fn expired_from_body(body: &[u8]) -> Option<(StateKey, bool)> {
        let expiry = UserExpire::parse(body).ok()?;
        let (id, family) = (expiry.state.id, expiry.state.family);
        let key = StateKey {
            destination: ip(&id.daddr, family)?,
            spi: id.spi,
        };
        (id.proto == IPPROTO_ESP).then_some((key, expiry.hard != 0))
    }
}

/// What we want to know from the attributes of a state.
#[derive(Default)]
struct Attributes {
    interface_id: u32,
    encapsulation: Option<UdpPorts>,
    encryption: String,
    integrity: Option<(String, u32)>,
    replay_window: Option<u32>,
    /// The highest sequence number that was received.
    highest: u64,
}

impl Attributes {
    fn read(tail: &[u8]) -> Option<Self> {
        let mut found = Attributes::default();
        for attribute in NlasIterator::new(tail) {
            let attribute = attribute.ok()?;
            let value = attribute.value();
            match attribute.kind() {
                XFRMA_IF_ID => found.interface_id = word(value, 0)?,
                XFRMA_ALG_AEAD | XFRMA_ALG_CRYPT => found.encryption = name(value)?,
                XFRMA_ALG_AUTH_TRUNC => found.integrity = Some((name(value)?, word(value, 68)?)),
                XFRMA_REPLAY_ESN_VAL => {
                    found.replay_window = word(value, 20);
                    let (low, high) = (word(value, 8)?, word(value, 16)?);
                    found.highest = u64::from(high) << 32 | u64::from(low);
                }
                XFRMA_ENCAP => {
                    let template = EncapTmpl::parse(value).ok()?;
                    found.encapsulation = Some(UdpPorts {
                        source: template.encap_sport,
                        destination: template.encap_dport,
                    });
                }
                _ => (),
            }
        }
        Some(found)
    }
}

fn word(value: &[u8], at: usize) -> Option<u32> {
    value
        .get(at..at.checked_add(4)?)?
        .try_into()
        .ok()
        .map(u32::from_ne_bytes)
}

fn name(value: &[u8]) -> Option<String> {
    let field = value.get(..64)?;
    let text = field.split(|octet| *octet == 0).next()?;
    String::from_utf8(text.to_vec()).ok()
}

pub(crate) fn ip(address: &Address, family: u16) -> Option<IpAddr> {
    match family {
        AF_INET => Some(address.to_ipv4().into()),
        AF_INET6 => Some(address.to_ipv6().into()),
        _ => None,
    }
}

fn key_attributes(algorithm: &Algorithm, keys: &EspKeys) -> Option<Vec<XfrmAttrs>> {
    let encryption = keys.encryption.expose_secret();
    match (algorithm.names(), &keys.integrity) {
        (Names::Aead(name), None) => Some(vec![XfrmAttrs::EncryptionAlgAead(AlgAead {
            alg_name: padded(name),
            alg_key_len: bits(encryption)?,
            alg_icv_len: AEAD_ICV_BITS,
            alg_key: encryption.to_vec(),
        })]),
        (Names::Separate(cipher, authenticator), Some(integrity)) => {
            let (name, truncated) = authenticator.kernel_name();
            let integrity = integrity.expose_secret();
            Some(vec![
                XfrmAttrs::EncryptionAlg(Alg {
                    alg_name: padded(cipher),
                    alg_key_len: bits(encryption)?,
                    alg_key: encryption.to_vec(),
                }),
                XfrmAttrs::AuthenticationAlgTrunc(AlgAuth {
                    alg_name: padded(name),
                    alg_key_len: bits(integrity)?,
                    alg_trunc_len: truncated,
                    alg_key: integrity.to_vec(),
                }),
            ])
        }
        (Names::Aead(_), Some(_)) | (Names::Separate(..), None) | (Names::Foreign(_), _) => None,
    }
}

fn padded(name: &str) -> [u8; 64] {
    let mut field = [0; 64];
    for (slot, octet) in field.iter_mut().zip(name.bytes()) {
        *slot = octet;
    }
    field
}

fn bits(key: &[u8]) -> Option<u32> {
    u32::try_from(key.len()).ok()?.checked_mul(8)
}

/// Wipes the keys that a message holds.
pub(crate) fn wipe(message: &mut ModifyMessage) {
    use zeroize::Zeroize;
    for attribute in &mut message.nlas {
        match attribute {
            XfrmAttrs::EncryptionAlgAead(algorithm) => algorithm.alg_key.zeroize(),
            XfrmAttrs::EncryptionAlg(algorithm) => algorithm.alg_key.zeroize(),
            XfrmAttrs::AuthenticationAlgTrunc(algorithm) => algorithm.alg_key.zeroize(),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Authenticator;

    fn state(algorithm: Algorithm, encapsulation: Option<UdpPorts>) -> XfrmState {
        let integrity = match algorithm {
            Algorithm::AesCbc(_) | Algorithm::TripleDes(_) | Algorithm::Des(_) | Algorithm::Null(_) => {
                Some(vec![2; 32].into())
            }
            Algorithm::AesGcm16 | Algorithm::ChaCha20Poly1305 | Algorithm::Foreign(_) => None,
        };
        XfrmState {
            destination: "192.0.2.1".parse().unwrap(),
            spi: 0xc0ff_ee01,
            source: "192.0.2.2".parse().unwrap(),
            interface_id: 0x4357_0001,
            request_id: 77,
            encapsulation,
            algorithm,
            keys: KeyMaterial::Given(Arc::new(EspKeys {
                encryption: vec![1; 20].into(),
                integrity,
            })),
            replay_window: 100,
            extended_sequence_numbers: true,
            volume: Volume {
                soft_octets: 1,
                hard_octets: 2,
                soft_packets: 3,
                hard_packets: 4,
            },
        }
    }

    /// What we send is what a dump would say, but for the keys.
    #[test]
    fn states_are_read_back() {
        let ports = UdpPorts {
            source: 4500,
            destination: 1024,
        };
        for (algorithm, encapsulation) in [
            (Algorithm::AesGcm16, None),
            (Algorithm::ChaCha20Poly1305, None),
            (Algorithm::AesCbc(Authenticator::HmacSha2_384_192), Some(ports)),
            (Algorithm::TripleDes(Authenticator::HmacMd5_96), None),
        ] {
            let state = state(algorithm, encapsulation);
            let message = state.create().unwrap();
            let mut body = vec![0; message.buffer_len()];
            message.emit(&mut body);
            let (found, _) = XfrmState::from_body(&body).unwrap();
            assert_eq!(
                found,
                XfrmState {
                    keys: KeyMaterial::Found,
                    ..state
                }
            );
        }
    }

    /// A gap of three, and 32 bits of sequence numbers used up before.
    #[test]
    fn missing_packets_are_counted_by_sequence_numbers() {
        let mut message = state(Algorithm::AesGcm16, None).create().unwrap();
        message.user_sa_info.lifetime_cur.packets = (1 << 32) + 4;
        for attribute in &mut message.nlas {
            if let XfrmAttrs::ReplayStateEsn(replay) = attribute {
                (replay.oseq, replay.seq, replay.seq_hi) = (99, 7, 1);
            }
        }
        let mut body = vec![0; message.buffer_len()];
        message.emit(&mut body);
        assert_eq!(XfrmState::from_body(&body).unwrap().1.missing, 3);
    }

    /// A message is of no use to a memory dump once it is wiped.
    #[test]
    fn wiping_leaves_no_key() {
        for algorithm in [Algorithm::AesGcm16, Algorithm::AesCbc(Authenticator::HmacSha1_96)] {
            let mut message = state(algorithm, None).create().unwrap();
            wipe(&mut message);
            let mut body = vec![0; message.buffer_len()];
            message.emit(&mut body);
            assert!(!body.windows(4).any(|octets| octets == [1; 4] || octets == [2; 4]));
        }
    }

    /// Cut or mixed-up bodies are no states.
    #[test]
    fn cut_bodies_are_refused() {
        let message = state(Algorithm::AesGcm16, None).create().unwrap();
        let mut body = vec![0; message.buffer_len()];
        message.emit(&mut body);
        let whole = body.len();
        for length in 0..whole - 8 {
            assert!(
                XfrmState::from_body(&body[..length]).is_none(),
                "{length} of {whole}"
            );
        }
    }

    /// An AEAD cipher takes no authenticator, and CBC is never used without one.
    #[test]
    fn keys_have_to_fit_the_algorithm() {
        let gcm = state(Algorithm::AesGcm16, None);
        let cbc = state(Algorithm::AesCbc(Authenticator::HmacSha1_96), None);
        assert!(
            XfrmState {
                keys: cbc.keys.clone(),
                ..gcm.clone()
            }
            .create()
            .is_none()
        );
        assert!(
            XfrmState {
                keys: gcm.keys,
                ..cbc
            }
            .create()
            .is_none()
        );
    }
}
