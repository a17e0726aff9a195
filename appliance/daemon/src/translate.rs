//! From what the engine asks for to what the two datapaths take: the one place that knows both sides.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use appliance_esp as esp;
use appliance_kernel as kernel;
use ike::crypto::{Encryption, Integrity};
use ike::{Encapsulation, EspKeys, EspPair, EspSa, TrafficSelector};
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use secrecy::SecretSlice;
use thiserror::Error;

/// The anti-replay window of kernel states, in packets; the user-space datapath has its own.
const REPLAY_WINDOW: u32 = 1024;
/// Policies of one child; a peer that narrows to more prefixes than this is refused.
const MAX_POLICIES: usize = 128;
const POLICY_PRIORITY: u32 = 1;

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
        encapsulation: match pair.encapsulation {
            Encapsulation::None => esp::Encapsulation::None,
            Encapsulation::Udp => esp::Encapsulation::Udp,
        },
        inbound: esp_sa(pair.inbound)?,
        outbound: esp_sa(pair.outbound)?,
        local_selectors: pair.local_selectors.iter().map(esp_selector).collect(),
        remote_selectors: pair.remote_selectors.iter().map(esp_selector).collect(),
    })
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
    /// Without SPIs, so that they stay the same over rekeys.
    pub(crate) policies: Vec<kernel::XfrmPolicy>,
}

/// The kernel objects of a child of the connection with this interface id.
pub(crate) fn kernel_child(pair: EspPair, interface_id: u32) -> Result<KernelChild, Untranslatable> {
    let policies = policies(&pair, interface_id)?;
    let EspPair {
        local,
        remote,
        encapsulation,
        inbound,
        outbound,
        ..
    } = pair;
    let inbound = state(inbound, interface_id, encapsulation, (remote, local))?;
    let outbound = state(outbound, interface_id, encapsulation, (local, remote))?;
    Ok(KernelChild {
        states: [inbound, outbound],
        policies,
    })
}

fn state(
    sa: EspSa,
    interface_id: u32,
    encapsulation: Encapsulation,
    (source, destination): (SocketAddr, SocketAddr),
) -> Result<kernel::XfrmState, Untranslatable> {
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
        interface_id,
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

fn policies(pair: &EspPair, interface_id: u32) -> Result<Vec<kernel::XfrmPolicy>, Untranslatable> {
    let (local, remote) = (pair.local.ip(), pair.remote.ip());
    let mut policies = Vec::new();
    for ours in &pair.local_selectors {
        for theirs in &pair.remote_selectors {
            for (ours, theirs) in between(ours, theirs)? {
                let out = selector(&ours, &theirs);
                let back = selector(&theirs, &ours);
                let policy = |direction, selector, source, destination| kernel::XfrmPolicy {
                    direction,
                    interface_id,
                    selector,
                    source,
                    destination,
                    priority: POLICY_PRIORITY,
                };
                policies.push(policy(kernel::Direction::Out, out, local, remote));
                policies.push(policy(kernel::Direction::In, back.clone(), remote, local));
                policies.push(policy(kernel::Direction::Forward, back, remote, local));
                if policies.len() > MAX_POLICIES {
                    return Err(Untranslatable::Selectors(format!(
                        "more than {MAX_POLICIES} policies"
                    )));
                }
            }
        }
    }
    if policies.is_empty() {
        return Err(Untranslatable::Selectors(
            "no two of one address family".to_owned(),
        ));
    }
    Ok(policies)
}

/// One end of a policy.
#[derive(Debug, Clone, Copy)]
struct End {
    network: IpNet,
    protocol: u8,
    port: kernel::PortMask,
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
    Ok(pairs.take(MAX_POLICIES).collect())
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
