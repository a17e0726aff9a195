//! From what the engine asks for to what the two datapaths take: the one place that knows both sides.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use appliance_esp as esp;
use appliance_kernel as kernel;
use ike::crypto::{Encryption, Integrity};
use ike::{Encapsulation, EspKeys, EspPair, EspSa, TrafficSelector, Volume, Watched};
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use secrecy::SecretSlice;
use thiserror::Error;

use crate::derive::fnv1a;

/// The anti-replay window of kernel states, in packets; the user-space datapath has its own.
const REPLAY_WINDOW: u32 = 1024;
/// Pairs of prefixes of one child, of which each is three policies; a peer that narrows to more is refused.
const MAX_PAIRS: usize = 42;
/// Of the policies of one connection, the narrowest is to take a packet; less is preferred.
const WIDEST: u32 = 2048;
/// Added for a line that is only watched: every child goes before it.
const WATCHED: u32 = 1 << 16;

/// A child that a datapath cannot carry.
#[derive(Debug, Error)]
pub(crate) enum Untranslatable {
    /// A cipher that does not authenticate, without an authenticator.
    #[error("{0} without an authenticator")]
    NotAuthenticated(Encryption),
    /// An address, a port or a number of prefixes that kernel policies cannot say.
    #[error("traffic selectors that kernel policies cannot express: {0}")]
    Selectors(String),
}

/// What the user-space datapath takes.
pub(crate) fn esp_pair(pair: EspPair) -> Result<esp::Pair, Untranslatable> {
    Ok(esp::Pair {
        local: pair.local,
        remote: pair.remote,
        encapsulation: esp_encapsulation(pair.encapsulation),
        inbound: esp_sa(pair.inbound)?,
        outbound: esp_sa(pair.outbound)?,
        local_selectors: pair.local_selectors.iter().map(esp_selector).collect(),
        remote_selectors: pair.remote_selectors.iter().map(esp_selector).collect(),
        sends: pair.sends,
        volume: esp_volume(pair.volume),
    })
}

/// How packets travel, as the user-space datapath takes it.
pub(crate) fn esp_encapsulation(encapsulation: Encapsulation) -> esp::Encapsulation {
    match encapsulation {
        Encapsulation::None => esp::Encapsulation::None,
        Encapsulation::Udp => esp::Encapsulation::Udp,
    }
}

/// A watched line as the user-space datapath takes it.
pub(crate) fn esp_watched(watched: &Watched) -> esp::WatchedLine {
    esp::WatchedLine {
        line: watched.line,
        local_selectors: watched.local_selectors.iter().map(esp_selector).collect(),
        remote_selectors: watched.remote_selectors.iter().map(esp_selector).collect(),
    }
}

fn esp_volume(volume: Volume) -> esp::Volume {
    let Volume {
        soft_octets,
        hard_octets,
        soft_packets,
        hard_packets,
    } = volume;
    esp::Volume {
        soft_octets,
        hard_octets,
        soft_packets,
        hard_packets,
    }
}

fn esp_sa(sa: EspSa) -> Result<esp::Sa, Untranslatable> {
    let EspKeys {
        encryption,
        encryption_key,
        integrity,
    } = sa.keys;
    let keys = esp_keys(encryption, encryption_key, integrity)?;
    Ok(esp::Sa {
        spi: sa.spi,
        keys,
        extended_sequence_numbers: sa.extended_sequence_numbers,
    })
}

fn esp_keys(
    encryption: Encryption,
    key: SecretSlice<u8>,
    integrity: Option<(Integrity, SecretSlice<u8>)>,
) -> Result<esp::Keys, Untranslatable> {
    let authenticator = || {
        let (integrity, key) = integrity.ok_or(Untranslatable::NotAuthenticated(encryption))?;
        Ok((esp_integrity(integrity), key))
    };
    Ok(match encryption {
        Encryption::AesGcm16(_) => esp::Keys::AesGcm16 { key_and_salt: key },
        Encryption::ChaCha20Poly1305 => esp::Keys::ChaCha20Poly1305 { key_and_salt: key },
        Encryption::AesCbc(_) => {
            let (integrity, integrity_key) = authenticator()?;
            esp::Keys::AesCbc {
                key,
                integrity,
                integrity_key,
            }
        }
        Encryption::TripleDes => {
            let (integrity, integrity_key) = authenticator()?;
            esp::Keys::TripleDes {
                key,
                integrity,
                integrity_key,
            }
        }
        Encryption::Des => {
            let (integrity, integrity_key) = authenticator()?;
            esp::Keys::Des {
                key,
                integrity,
                integrity_key,
            }
        }
        Encryption::Null => {
            let (integrity, integrity_key) = authenticator()?;
            esp::Keys::Null {
                integrity,
                integrity_key,
            }
        }
    })
}

fn esp_integrity(integrity: Integrity) -> esp::Integrity {
    match integrity {
        Integrity::HmacMd5_96 => esp::Integrity::HmacMd5_96,
        Integrity::HmacSha1_96 => esp::Integrity::HmacSha1_96,
        Integrity::HmacSha2_256_128 => esp::Integrity::HmacSha2_256_128,
        Integrity::HmacSha2_384_192 => esp::Integrity::HmacSha2_384_192,
        Integrity::HmacSha2_512_256 => esp::Integrity::HmacSha2_512_256,
    }
}

fn esp_selector(selector: &TrafficSelector) -> esp::Selector {
    let TrafficSelector {
        protocol,
        start_port,
        end_port,
        start,
        end,
    } = *selector;
    esp::Selector {
        protocol,
        start_port,
        end_port,
        start,
        end,
    }
}

/// What the kernel takes: both states, and the policies that lead to them.
#[derive(Debug)]
pub(crate) struct KernelChild {
    /// Inbound, then outbound.
    pub(crate) states: [kernel::XfrmState; 2],
    /// Outwards bound to the outbound state; inwards the same over rekeys.
    pub(crate) policies: Vec<kernel::XfrmPolicy>,
}

/// The kernel objects of a child of the connection with this interface id.
pub(crate) fn kernel_child(pair: EspPair, interface_id: u32) -> Result<KernelChild, Untranslatable> {
    let selectors = pairs(&pair.local_selectors, &pair.remote_selectors)?;
    let request_id = request_id(interface_id, &selectors);
    let EspPair {
        local,
        remote,
        encapsulation,
        inbound,
        outbound,
        volume,
        ..
    } = pair;
    let (inward, outward) = (
        Way {
            interface_id,
            request_id,
            spi: 0,
            source: remote,
            destination: local,
        },
        Way {
            interface_id,
            request_id,
            spi: outbound.spi,
            source: local,
            destination: remote,
        },
    );
    let policies = selectors.iter().flat_map(|(ours, theirs)| {
        [
            outward.policy(kernel::Direction::Out, ours, theirs),
            inward.policy(kernel::Direction::In, theirs, ours),
            inward.policy(kernel::Direction::Forward, theirs, ours),
        ]
    });
    Ok(KernelChild {
        policies: policies.collect(),
        states: [
            state(inbound, &inward, encapsulation, volume)?,
            state(outbound, &outward, encapsulation, volume)?,
        ],
    })
}

/// The policies that let the kernel tell of packets of a line for which there is no child.
pub(crate) fn kernel_watched(
    watched: &Watched,
    interface_id: u32,
) -> Result<Vec<kernel::XfrmPolicy>, Untranslatable> {
    let selectors = pairs(&watched.local_selectors, &watched.remote_selectors)?;
    let way = Way {
        interface_id,
        // No state has it, so every packet is told about.
        request_id: !request_id(interface_id, &selectors),
        spi: 0,
        source: watched.local,
        destination: watched.remote,
    };
    let policies = selectors.iter().map(|(ours, theirs)| {
        let policy = way.policy(kernel::Direction::Out, ours, theirs);
        kernel::XfrmPolicy {
            priority: policy.priority + WATCHED,
            ..policy
        }
    });
    Ok(policies.collect())
}

/// One direction between two gateways.
struct Way {
    interface_id: u32,
    request_id: u32,
    spi: u32,
    source: SocketAddr,
    destination: SocketAddr,
}

impl Way {
    fn policy(&self, direction: kernel::Direction, from: &End, to: &End) -> kernel::XfrmPolicy {
        kernel::XfrmPolicy {
            direction,
            interface_id: self.interface_id,
            request_id: self.request_id,
            spi: self.spi,
            selector: selector(from, to),
            source: self.source.ip(),
            destination: self.destination.ip(),
            priority: WIDEST - from.narrowness() - to.narrowness(),
        }
    }
}

/// The same for the same selectors, so that a child and its successor share what they receive by, also over a restart;
/// another for others, so that no packet passes by the child of another line. In the worst case two lines of one
/// connection have the same and take each other's packets.
fn request_id(interface_id: u32, selectors: &[(End, End)]) -> u32 {
    let mut words: Vec<String> = selectors
        .iter()
        .map(|(ours, theirs)| format!("{ours}>{theirs}"))
        .collect();
    words.sort_unstable();
    let hash = fnv1a(format!("{interface_id} {}", words.join(" ")).bytes());
    // Neither 0, which would be any, nor the complement of another's.
    hash >> 1 | 1
}

fn state(
    sa: EspSa,
    way: &Way,
    encapsulation: Encapsulation,
    volume: Volume,
) -> Result<kernel::XfrmState, Untranslatable> {
    let (source, destination) = (way.source, way.destination);
    let EspKeys {
        encryption,
        encryption_key,
        integrity,
    } = sa.keys;
    let (algorithm, integrity) = algorithm(encryption, integrity)?;
    Ok(kernel::XfrmState {
        destination: destination.ip(),
        spi: sa.spi,
        source: source.ip(),
        interface_id: way.interface_id,
        request_id: way.request_id,
        encapsulation: match encapsulation {
            Encapsulation::None => None,
            Encapsulation::Udp => Some(kernel::UdpPorts {
                source: source.port(),
                destination: destination.port(),
            }),
        },
        algorithm,
        keys: kernel::KeyMaterial::Given(Arc::new(kernel::EspKeys {
            encryption: encryption_key,
            integrity,
        })),
        replay_window: REPLAY_WINDOW,
        extended_sequence_numbers: sa.extended_sequence_numbers,
        volume: kernel::Volume {
            soft_octets: volume.soft_octets,
            hard_octets: volume.hard_octets,
            soft_packets: volume.soft_packets,
            hard_packets: volume.hard_packets,
        },
    })
}

/// The kernel's algorithm, and the authenticator's key.
fn algorithm(
    encryption: Encryption,
    integrity: Option<(Integrity, SecretSlice<u8>)>,
) -> Result<(kernel::Algorithm, Option<SecretSlice<u8>>), Untranslatable> {
    let separate: fn(kernel::Authenticator) -> kernel::Algorithm = match encryption {
        Encryption::AesGcm16(_) => return Ok((kernel::Algorithm::AesGcm16, None)),
        Encryption::ChaCha20Poly1305 => return Ok((kernel::Algorithm::ChaCha20Poly1305, None)),
        Encryption::AesCbc(_) => kernel::Algorithm::AesCbc,
        Encryption::TripleDes => kernel::Algorithm::TripleDes,
        Encryption::Des => kernel::Algorithm::Des,
        Encryption::Null => kernel::Algorithm::Null,
    };
    let (integrity, key) = integrity.ok_or(Untranslatable::NotAuthenticated(encryption))?;
    Ok((separate(authenticator(integrity)), Some(key)))
}

fn authenticator(integrity: Integrity) -> kernel::Authenticator {
    match integrity {
        Integrity::HmacMd5_96 => kernel::Authenticator::HmacMd5_96,
        Integrity::HmacSha1_96 => kernel::Authenticator::HmacSha1_96,
        Integrity::HmacSha2_256_128 => kernel::Authenticator::HmacSha2_256_128,
        Integrity::HmacSha2_384_192 => kernel::Authenticator::HmacSha2_384_192,
        Integrity::HmacSha2_512_256 => kernel::Authenticator::HmacSha2_512_256,
    }
}

/// Every pair of prefixes that selectors make, as policies say them.
fn pairs(local: &[TrafficSelector], remote: &[TrafficSelector]) -> Result<Vec<(End, End)>, Untranslatable> {
    let mut pairs = Vec::new();
    for ours in local {
        for theirs in remote {
            pairs.extend(between(ours, theirs)?);
            if pairs.len() > MAX_PAIRS {
                return Err(Untranslatable::Selectors(format!(
                    "more than {MAX_PAIRS} pairs of prefixes"
                )));
            }
        }
    }
    if pairs.is_empty() {
        return Err(Untranslatable::Selectors(
            "no two of one address family".to_owned(),
        ));
    }
    Ok(pairs)
}

/// One end of a policy.
#[derive(Debug, Clone, Copy)]
struct End {
    network: IpNet,
    protocol: u8,
    port: kernel::PortMask,
}

impl End {
    /// Less for more addresses; of equals, one with a protocol or ports is the narrower.
    fn narrowness(&self) -> u32 {
        let fixed = u32::from(self.network.prefix_len());
        fixed * 4 + u32::from(self.protocol != 0) + u32::from(self.port.mask != 0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel::PortMask { port, mask } = self.port;
        write!(f, "{},{},{port}/{mask}", self.network, self.protocol)
    }
}

/// Every pair of prefixes that two selectors of one address family make; none if the families differ.
fn between(ours: &TrafficSelector, theirs: &TrafficSelector) -> Result<Vec<(End, End)>, Untranslatable> {
    if ours.start.is_ipv4() != theirs.start.is_ipv4() {
        return Ok(Vec::new());
    }
    let protocol = if ours.protocol == 0 {
        theirs.protocol
    } else {
        ours.protocol
    };
    let (our_port, their_port) = (port(ours)?, port(theirs)?);
    let pairs = prefixes(ours.start, ours.end).flat_map(|ours| {
        prefixes(theirs.start, theirs.end).map(move |theirs| {
            (
                End {
                    network: ours,
                    protocol,
                    port: our_port,
                },
                End {
                    network: theirs,
                    protocol,
                    port: their_port,
                },
            )
        })
    });
    Ok(pairs.take(MAX_PAIRS + 1).collect())
}

fn selector(source: &End, destination: &End) -> kernel::PolicySelector {
    kernel::PolicySelector {
        source: source.network,
        destination: destination.network,
        protocol: source.protocol,
        source_port: source.port,
        destination_port: destination.port,
    }
}

/// The fewest prefixes that cover a range.
fn prefixes(start: IpAddr, end: IpAddr) -> Box<dyn Iterator<Item = IpNet>> {
    match (start, end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => Box::new(Ipv4Subnets::new(start, end, 0).map(IpNet::V4)),
        (IpAddr::V6(start), IpAddr::V6(end)) => Box::new(Ipv6Subnets::new(start, end, 0).map(IpNet::V6)),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Box::new(std::iter::empty()),
    }
}

fn port(selector: &TrafficSelector) -> Result<kernel::PortMask, Untranslatable> {
    match (selector.start_port, selector.end_port) {
        (0, u16::MAX) => Ok(kernel::PortMask::default()),
        (port, end) if port == end => Ok(kernel::PortMask { port, mask: u16::MAX }),
        (start, end) => Err(Untranslatable::Selectors(format!("ports {start}-{end}"))),
    }
}

#[cfg(test)]
mod tests {
    use ike::ConnectionName;

    use super::*;

    fn selector_of(start: &str, end: &str) -> TrafficSelector {
        let (start, end) = (start.parse().unwrap(), end.parse().unwrap());
        TrafficSelector {
            protocol: 0,
            start_port: 0,
            end_port: u16::MAX,
            start,
            end,
        }
    }

    fn pair(encapsulation: Encapsulation, local: TrafficSelector, remote: TrafficSelector) -> EspPair {
        let sa = |spi| EspSa {
            spi,
            keys: EspKeys {
                encryption: Encryption::AesGcm16(128),
                encryption_key: vec![1; 20].into(),
                integrity: None,
            },
            extended_sequence_numbers: true,
        };
        EspPair {
            connection: ConnectionName("to-b".into()),
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: "192.0.2.2:40000".parse().unwrap(),
            encapsulation,
            inbound: sa(0x11),
            outbound: sa(0x22),
            local_selectors: vec![local],
            remote_selectors: vec![remote],
            sends: true,
            volume: ike::Volume::UNLIMITED,
        }
    }

    fn any() -> TrafficSelector {
        selector_of("0.0.0.0", "255.255.255.255")
    }

    #[test]
    fn each_direction_has_its_spi_addresses_and_ports() {
        let child = kernel_child(pair(Encapsulation::Udp, any(), any()), 7).unwrap();
        let [inbound, outbound] = child.states;
        assert_eq!((inbound.spi, outbound.spi), (0x11, 0x22));
        assert_eq!(
            (inbound.source, inbound.destination),
            (outbound.destination, outbound.source)
        );
        assert_eq!(outbound.source.to_string(), "192.0.2.1");
        let ports = outbound.encapsulation.unwrap();
        assert_eq!((ports.source, ports.destination), (4500, 40000));
        let ports = inbound.encapsulation.unwrap();
        assert_eq!((ports.source, ports.destination), (40000, 4500));
        assert!(child.policies.iter().all(|policy| policy.interface_id == 7));
    }

    #[test]
    fn any_to_any_is_one_policy_per_direction() {
        let child = kernel_child(pair(Encapsulation::None, any(), any()), 7).unwrap();
        let directions: Vec<_> = child.policies.iter().map(|policy| policy.direction).collect();
        assert_eq!(
            directions,
            [
                kernel::Direction::Out,
                kernel::Direction::In,
                kernel::Direction::Forward
            ]
        );
        assert!(
            child
                .policies
                .iter()
                .all(|policy| policy.selector == kernel::PolicySelector::any_ipv4())
        );
        assert!(child.states[0].encapsulation.is_none());
    }

    #[test]
    fn a_narrowed_range_becomes_prefixes() {
        let remote = selector_of("10.2.0.0", "10.2.0.191");
        let child = kernel_child(pair(Encapsulation::None, any(), remote), 7).unwrap();
        let out: Vec<_> = child
            .policies
            .iter()
            .filter(|policy| policy.direction == kernel::Direction::Out)
            .map(|policy| policy.selector.destination.to_string())
            .collect();
        assert_eq!(out, ["10.2.0.0/25", "10.2.0.128/26"]);
    }

    #[test]
    fn what_policies_cannot_say_is_refused() {
        let ports = TrafficSelector {
            protocol: 6,
            start_port: 80,
            end_port: 90,
            ..any()
        };
        assert!(kernel_child(pair(Encapsulation::None, any(), ports), 7).is_err());
        let many = selector_of("0.0.0.1", "255.255.255.254");
        assert!(kernel_child(pair(Encapsulation::None, many, many), 7).is_err());
        assert!(kernel_child(pair(Encapsulation::None, any(), selector_of("::", "::1")), 7).is_err());
    }
}
