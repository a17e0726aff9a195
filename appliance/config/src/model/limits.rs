use std::ops::RangeInclusive;

use super::bgp_session::{PREFIX_LIMITS, PREFIXES_PER_PEER};
use crate::reader::Value;

/// How much a gateway takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rules of translation, of both modes together.
    pub nat_rules: u16,
    /// Prefixes of one family from one BGP peer, unless its connection says otherwise.
    pub prefixes_per_peer: u32,
}

/// Azure VPN Gateway had 100 rules for long, and has 500.
pub(crate) const NAT_RULES: u16 = 100;
pub(crate) const NAT_RULE_LIMITS: RangeInclusive<u64> = 1..=500;

impl Default for Limits {
    fn default() -> Self {
        Self {
            nat_rules: NAT_RULES,
            prefixes_per_peer: PREFIXES_PER_PEER,
        }
    }
}

impl Limits {
    /// No gateway takes on more rules of translation.
    pub(crate) const MOST_NAT_RULES: u16 = 500;

    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let nat_rules = object.optional("nat_rules", NAT_RULES, |value| value.whole(NAT_RULE_LIMITS));
        let prefixes_per_peer = object.optional("prefixes_per_peer", PREFIXES_PER_PEER, |value| {
            value.whole(PREFIX_LIMITS)
        });
        Some(Self {
            nat_rules: nat_rules?,
            prefixes_per_peer: prefixes_per_peer?,
        })
    }
}
