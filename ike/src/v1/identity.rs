//! ID payloads: who a side says it is, and what a quick mode is to let through (RFC 2407 §4.6.2).

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::TrafficSelector;
use crate::wire::v1::IdentificationPayload;
use crate::wire::v1::registry::identity;
use crate::{Connection, ExpectedIdentity, wire};

/// UDP, which phase 1 names with its port, or neither.
const UDP: u8 = 17;

/// Who we say we are.
pub(crate) fn ours(settings: &Connection) -> IdentificationPayload {
    let wire::IdentificationPayload { kind, data, .. } =
        crate::identity::to_payload(&settings.local_identity);
    IdentificationPayload {
        kind,
        protocol: 0,
        port: 0,
        data,
    }
}

/// The same as IKEv2 would say it; `None` where protocol and port are not those of phase 1.
pub(crate) fn of_peer(payload: &IdentificationPayload) -> Option<wire::IdentificationPayload> {
    let usual = [(0, 0), (UDP, 500), (UDP, 4500), (UDP, 0)];
    let sound = usual.contains(&(payload.protocol, payload.port));
    sound.then(|| wire::IdentificationPayload {
        kind: payload.kind,
        reserved: [0; 3],
        data: payload.data.clone(),
    })
}

/// Whether a payload names who is expected.
pub(crate) fn is_expected(payload: &IdentificationPayload, expected: &ExpectedIdentity) -> bool {
    of_peer(payload).is_some_and(|payload| crate::identity::is_expected(&payload, expected))
}

/// A traffic selector as an ID payload; ports that are no single one cannot be said, and become all.
pub(crate) fn of_selector(selector: &TrafficSelector) -> IdentificationPayload {
    let (kind, data) = match (selector.start, selector.end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => {
            let octets = |mask: std::net::Ipv4Addr| [start.octets(), mask.octets()].concat();
            match (start == end, prefix(selector)) {
                (true, _) => (identity::IPV4_ADDR, start.octets().to_vec()),
                (false, Some(length)) => {
                    let mask = Ipv4Net::new(start, length).map(|net| net.netmask());
                    (identity::IPV4_SUBNET, octets(mask.unwrap_or(end)))
                }
                (false, None) => (identity::IPV4_RANGE, octets(end)),
            }
        }
        (IpAddr::V6(start), IpAddr::V6(end)) => {
            let octets = |mask: std::net::Ipv6Addr| [start.octets(), mask.octets()].concat();
            match (start == end, prefix(selector)) {
                (true, _) => (identity::IPV6_ADDR, start.octets().to_vec()),
                (false, Some(length)) => {
                    let mask = Ipv6Net::new(start, length).map(|net| net.netmask());
                    (identity::IPV6_SUBNET, octets(mask.unwrap_or(end)))
                }
                (false, None) => (identity::IPV6_RANGE, octets(end)),
            }
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => (0, Vec::new()),
    };
    let port = if selector.start_port == selector.end_port {
        selector.start_port
    } else {
        0
    };
    IdentificationPayload {
        kind,
        protocol: selector.protocol,
        port,
        data,
    }
}

/// What an ID payload of a quick mode lets through; `None` if its length is not that of its type, its mask has holes, or its
/// range ends before it begins.
pub(crate) fn to_selector(payload: &IdentificationPayload) -> Option<TrafficSelector> {
    let data = payload.data.as_slice();
    let (start, end) = match payload.kind {
        identity::IPV4_ADDR => {
            let address = IpAddr::from(<[u8; 4]>::try_from(data).ok()?);
            (address, address)
        }
        identity::IPV6_ADDR => {
            let address = IpAddr::from(<[u8; 16]>::try_from(data).ok()?);
            (address, address)
        }
        identity::IPV4_SUBNET | identity::IPV4_RANGE => {
            let (first, second) = data.split_first_chunk::<4>()?;
            let (first, second) = (u32::from_be_bytes(*first), second.try_into().ok()?);
            let second = u32::from_be_bytes(second);
            if payload.kind == identity::IPV4_RANGE {
                (IpAddr::V4(first.into()), IpAddr::V4(second.into()))
            } else {
                (second.leading_ones() == second.count_ones()).then_some(())?;
                (
                    IpAddr::V4((first & second).into()),
                    IpAddr::V4((first | !second).into()),
                )
            }
        }
        identity::IPV6_SUBNET | identity::IPV6_RANGE => {
            let (first, second) = data.split_first_chunk::<16>()?;
            let (first, second) = (u128::from_be_bytes(*first), second.try_into().ok()?);
            let second = u128::from_be_bytes(second);
            if payload.kind == identity::IPV6_RANGE {
                (IpAddr::V6(first.into()), IpAddr::V6(second.into()))
            } else {
                (second.leading_ones() == second.count_ones()).then_some(())?;
                (
                    IpAddr::V6((first & second).into()),
                    IpAddr::V6((first | !second).into()),
                )
            }
        }
        _ => return None,
    };
    let (start_port, end_port) = match payload.port {
        0 => (0, u16::MAX),
        port => (port, port),
    };
    (start <= end).then_some(TrafficSelector {
        protocol: payload.protocol,
        start_port,
        end_port,
        start,
        end,
    })
}

/// The length of the prefix that a range is.
fn prefix(selector: &TrafficSelector) -> Option<u8> {
    let (bits, start, end) = match (selector.start, selector.end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => (32, u128::from(start.to_bits()), u128::from(end.to_bits())),
        (IpAddr::V6(start), IpAddr::V6(end)) => (128, start.to_bits(), end.to_bits()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    let differing = start ^ end;
    let host = 128 - differing.leading_zeros();
    let mask = u128::MAX.checked_shr(128 - host).unwrap_or_default();
    let whole = differing == mask && start & mask == 0;
    whole.then(|| u8::try_from(bits - host).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(protocol: u8, port: Option<u16>, start: &str, end: &str) -> TrafficSelector {
        TrafficSelector {
            protocol,
            start_port: port.unwrap_or(0),
            end_port: port.unwrap_or(u16::MAX),
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        }
    }

    #[test]
    fn selectors_round_trip() {
        let all = [
            (4, TrafficSelector::any_ipv4()),
            (6, TrafficSelector::any_ipv6()),
            (4, TrafficSelector::network("10.1.0.0/16".parse().unwrap())),
            (6, TrafficSelector::network("2001:db8:1::/48".parse().unwrap())),
            (1, selector(6, Some(443), "10.0.0.9", "10.0.0.9")),
            (5, selector(0, None, "2001:db8::9", "2001:db8::9")),
            (7, selector(17, None, "10.0.0.9", "10.0.0.20")),
            (8, selector(0, None, "2001:db8::1", "2001:db8::3")),
        ];
        for (kind, selector) in all {
            let payload = of_selector(&selector);
            assert_eq!((payload.kind, to_selector(&payload)), (kind, Some(selector)));
        }
        assert_eq!(of_selector(&all[2].1).data, [10, 1, 0, 0, 255, 255, 0, 0]);
    }

    /// Identities of wrong lengths, masks with holes and ranges that end before they begin let nothing through.
    #[test]
    fn what_is_no_selector_is_refused() {
        let lengths = [(1, 4), (4, 8), (5, 16), (6, 32), (7, 8), (8, 32)];
        for (kind, right) in lengths {
            for length in (0..40).filter(|length| *length != right) {
                let payload = IdentificationPayload {
                    kind,
                    protocol: 0,
                    port: 0,
                    data: vec![0; length],
                };
                assert_eq!(to_selector(&payload), None, "type {kind}, {length} octets");
            }
        }
        let other = |kind, data: &[u8]| IdentificationPayload {
            kind,
            protocol: 0,
            port: 0,
            data: data.to_vec(),
        };
        assert_eq!(to_selector(&other(4, &[10, 0, 0, 0, 255, 0, 255, 0])), None);
        assert_eq!(to_selector(&other(7, &[10, 0, 0, 9, 10, 0, 0, 8])), None);
        assert_eq!(to_selector(&other(2, b"example.org")), None);
    }

    /// A side that names the port of IKE is the same as one that names none (RFC 2407 §4.6.2).
    #[test]
    fn identities_name_the_port_of_ike_or_none() {
        let said = |protocol, port| IdentificationPayload {
            kind: 1,
            protocol,
            port,
            data: vec![192, 0, 2, 1],
        };
        let expected = ExpectedIdentity::Exactly(crate::Identity::Address("192.0.2.1".parse().unwrap()));
        for (protocol, port) in [(0, 0), (17, 500), (17, 4500)] {
            assert!(is_expected(&said(protocol, port), &expected));
        }
        assert!(!is_expected(&said(6, 500), &expected) && !is_expected(&said(17, 53), &expected));
    }
}
