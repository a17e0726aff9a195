//! Capabilities (RFC 5492) in an OPEN.

use std::time::Duration;

use super::notification::Notification;
use super::octets::{cut, length_u8, take, take_u8, take_u16, take_u32};
use super::registry::{AS_TRANS, capability};
use crate::{Families, Family, Role};

/// All that one side says it can do. What it says twice counts once; what we do not know is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Multiprotocol (RFC 4760): none said means IPv4 (RFC 4271).
    pub families: Option<Families>,
    /// Four-octet AS numbers (RFC 6793).
    pub four_octet_asn: Option<u32>,
    /// Route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Enhanced route refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Extended messages (RFC 8654).
    pub extended_messages: bool,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
    /// Families that it can receive several paths of, and send (RFC 7911).
    pub add_path_receive: Families,
    /// The other direction.
    pub add_path_send: Families,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub ipv6_next_hops: bool,
    /// RFC 9234.
    pub role: Option<Role>,
    /// A role that we do not know, which fits none of ours (RFC 9234 §4.2).
    pub unknown_role: Option<u8>,
    /// Host and domain name.
    pub host_name: Option<String>,
}

/// The graceful restart capability (RFC 4724 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracefulRestart {
    /// It has just started again.
    pub restarted: bool,
    /// It keeps routes when a NOTIFICATION ends the session (RFC 8538).
    pub notification: bool,
    /// How long it takes to start again, whole seconds up to 4095.
    pub time: Duration,
    /// Families, and whether their forwarding was preserved.
    pub families: Vec<(Family, bool)>,
}

/// How much of a host name is told: enough for one label of the DNS.
const HOST_NAME: usize = 64;

impl Capabilities {
    /// Reads the value of one optional parameter, after what was read before (RFC 5492 §4). A capability that we know and
    /// that is malformed makes the OPEN malformed (RFC 4271 §6.2), unless its RFC has it ignored.
    pub(super) fn decode(&mut self, mut parameter: &[u8]) -> Result<(), Notification> {
        let octets = &mut parameter;
        while let Some(code) = take_u8(octets) {
            let value = take_u8(octets).and_then(|length| cut(octets, usize::from(length)));
            let value = value.ok_or_else(Notification::malformed_open)?;
            self.decode_one(code, value)?;
        }
        Ok(())
    }

    fn decode_one(&mut self, code: u8, value: &[u8]) -> Result<(), Notification> {
        let known = match code {
            capability::MULTIPROTOCOL => self.multiprotocol(value),
            capability::ROUTE_REFRESH => set(&mut self.route_refresh, value),
            capability::ENHANCED_REFRESH => set(&mut self.enhanced_refresh, value),
            capability::EXTENDED_MESSAGE => set(&mut self.extended_messages, value),
            capability::EXTENDED_NEXT_HOP => self.extended_next_hop(value),
            capability::GRACEFUL_RESTART => self.restart(value),
            capability::ADD_PATH => self.add_path(value),
            capability::FOUR_OCTET_ASN => return self.asn(value),
            capability::ROLE => return self.role(value),
            capability::FQDN => {
                // Only a draft: a malformed one is no reason for anything.
                self.host_name = fqdn(value).or(self.host_name.take());
                Some(())
            }
            _ => Some(()),
        };
        known.ok_or_else(Notification::malformed_open)
    }

    /// RFC 4760 §8.
    fn multiprotocol(&mut self, mut value: &[u8]) -> Option<()> {
        let [high, low, _, safi] = take(&mut value)?;
        let families = self.families.get_or_insert(Families::NONE);
        if let Some(family) = Family::of(u16::from_be_bytes([high, low]), safi) {
            *families = families.with(family);
        }
        value.is_empty().then_some(())
    }

    /// RFC 8950 §4.
    fn extended_next_hop(&mut self, mut value: &[u8]) -> Option<()> {
        while !value.is_empty() {
            let entry: [u8; 6] = take(&mut value)?;
            self.ipv6_next_hops |= entry == IPV4_BY_IPV6;
        }
        Some(())
    }

    /// RFC 4724 §3, RFC 8538 §2. The last one counts.
    fn restart(&mut self, mut value: &[u8]) -> Option<()> {
        let octets = &mut value;
        let head = take_u16(octets)?;
        let mut families: Vec<(Family, bool)> = Vec::new();
        while !octets.is_empty() {
            let [high, low, safi, flags] = take(octets)?;
            if let Some(family) = Family::of(u16::from_be_bytes([high, low]), safi) {
                families.retain(|(earlier, _)| *earlier != family);
                families.push((family, flags & FORWARDING != 0));
            }
        }
        self.graceful_restart = Some(GracefulRestart {
            restarted: head & RESTARTED != 0,
            notification: head & NOTIFICATION != 0,
            time: Duration::from_secs(u64::from(head & LONGEST)),
            families,
        });
        Some(())
    }

    /// RFC 7911 §4: what is neither 1, 2 nor 3 is ignored.
    fn add_path(&mut self, mut value: &[u8]) -> Option<()> {
        while !value.is_empty() {
            let [high, low, safi, direction] = take(&mut value)?;
            let Some(family) = Family::of(u16::from_be_bytes([high, low]), safi) else {
                continue;
            };
            if matches!(direction, 1 | 3) {
                self.add_path_receive = self.add_path_receive.with(family);
            }
            if matches!(direction, 2 | 3) {
                self.add_path_send = self.add_path_send.with(family);
            }
        }
        Some(())
    }

    /// RFC 6793 §3; neither zero (RFC 7607) nor the number that stands for others is an autonomous system.
    fn asn(&mut self, mut value: &[u8]) -> Result<(), Notification> {
        let asn = take_u32(&mut value).filter(|_| value.is_empty());
        let asn = asn.ok_or_else(Notification::malformed_open)?;
        if asn == 0 || asn == u32::from(AS_TRANS) {
            return Err(Notification::bad_peer_as());
        }
        self.four_octet_asn = Some(asn);
        Ok(())
    }

    /// RFC 9234 §4.2: several that differ are a mismatch.
    fn role(&mut self, value: &[u8]) -> Result<(), Notification> {
        let [number] = value else {
            return Err(Notification::malformed_open());
        };
        let (role, unknown) = match Role::of_number(*number) {
            Some(role) => (Some(role), None),
            None => (None, Some(*number)),
        };
        let earlier = (self.role, self.unknown_role);
        if earlier != (None, None) && earlier != (role, unknown) {
            return Err(Notification::role_mismatch());
        }
        (self.role, self.unknown_role) = (role, unknown);
        Ok(())
    }

    /// Writes all of them, as in one optional parameter; never more than 255 octets.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        for family in self.families.unwrap_or(Families::NONE).iter() {
            let [high, low] = family.afi().to_be_bytes();
            put(&mut out, capability::MULTIPROTOCOL, &[high, low, 0, 1]);
        }
        if self.route_refresh {
            put(&mut out, capability::ROUTE_REFRESH, &[]);
        }
        if self.ipv6_next_hops {
            put(&mut out, capability::EXTENDED_NEXT_HOP, &IPV4_BY_IPV6);
        }
        if self.extended_messages {
            put(&mut out, capability::EXTENDED_MESSAGE, &[]);
        }
        if let Some(number) = self.role.map(Role::number).or(self.unknown_role) {
            put(&mut out, capability::ROLE, &[number]);
        }
        if let Some(restart) = &self.graceful_restart {
            put(&mut out, capability::GRACEFUL_RESTART, &restart.encode());
        }
        if let Some(asn) = self.four_octet_asn {
            put(&mut out, capability::FOUR_OCTET_ASN, &asn.to_be_bytes());
        }
        let add_path = self.encode_add_path();
        if !add_path.is_empty() {
            put(&mut out, capability::ADD_PATH, &add_path);
        }
        if self.enhanced_refresh {
            put(&mut out, capability::ENHANCED_REFRESH, &[]);
        }
        if let Some(name) = &self.host_name {
            let name = name
                .get(..name.floor_char_boundary(HOST_NAME))
                .unwrap_or_default();
            let mut value = vec![length_u8(name.len())];
            value.extend_from_slice(name.as_bytes());
            value.push(0);
            put(&mut out, capability::FQDN, &value);
        }
        out
    }

    fn encode_add_path(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for family in Family::ALL {
            let receive = u8::from(self.add_path_receive.contains(family));
            let send = u8::from(self.add_path_send.contains(family));
            if receive + send > 0 {
                value.extend(family.afi().to_be_bytes());
                value.extend([1, receive + 2 * send]);
            }
        }
        value
    }
}

/// It has just started again (RFC 4724 §3).
const RESTARTED: u16 = 0x8000;
/// It keeps routes when a NOTIFICATION ends the session (RFC 8538 §2).
const NOTIFICATION: u16 = 0x4000;
/// The longest restart time.
const LONGEST: u16 = 0x0fff;
/// The forwarding state of a family was preserved (RFC 4724 §3).
const FORWARDING: u8 = 0x80;
/// AFI 1, SAFI 1, next hop AFI 2 (RFC 8950 §4).
const IPV4_BY_IPV6: [u8; 6] = [0, 1, 0, 1, 0, 2];

impl GracefulRestart {
    fn encode(&self) -> Vec<u8> {
        let time = u16::try_from(self.time.as_secs()).unwrap_or(LONGEST).min(LONGEST);
        let restarted = if self.restarted { RESTARTED } else { 0 };
        let notification = if self.notification { NOTIFICATION } else { 0 };
        let mut value = (time | restarted | notification).to_be_bytes().to_vec();
        for (family, forwarding) in &self.families {
            value.extend(family.afi().to_be_bytes());
            value.extend([1, if *forwarding { FORWARDING } else { 0 }]);
        }
        value
    }
}

impl Role {
    /// Its number in the capability (RFC 9234 §4.1).
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Provider),
            1 => Some(Self::RouteServer),
            2 => Some(Self::RouteServerClient),
            3 => Some(Self::Customer),
            4 => Some(Self::Peer),
            _ => None,
        }
    }
}

/// A capability that says all by being there.
fn set(flag: &mut bool, value: &[u8]) -> Option<()> {
    *flag = true;
    value.is_empty().then_some(())
}

/// Host name, and domain name if there is one.
fn fqdn(mut value: &[u8]) -> Option<String> {
    let octets = &mut value;
    let length = usize::from(take_u8(octets)?);
    let host = std::str::from_utf8(cut(octets, length)?).ok()?;
    let length = take_u8(octets).map_or(0, usize::from);
    let domain = std::str::from_utf8(cut(octets, length)?).ok()?;
    let name = match domain {
        "" => host.to_owned(),
        domain => format!("{host}.{domain}"),
    };
    (!host.is_empty() && !name.contains(char::is_control)).then_some(name)
}

/// Writes one capability.
fn put(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    out.extend([code, length_u8(value.len())]);
    out.extend_from_slice(value);
}
