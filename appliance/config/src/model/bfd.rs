use std::ops::RangeInclusive;
use std::time::Duration;

use crate::reader::Value;

/// How soon it is noticed that a BGP peer is gone (RFC 5880).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bfd {
    /// How often both sides are to send.
    pub interval: Duration,
    /// So many packets in a row may be missed.
    pub multiplier: u8,
}

/// What is done where the document leaves it open.
pub(crate) const INTERVAL_MS: u64 = 300;
pub(crate) const MULTIPLIER: u8 = 3;
/// What may be written.
pub(crate) const INTERVALS_MS: RangeInclusive<u64> = 50..=60_000;
pub(crate) const MULTIPLIERS: RangeInclusive<u64> = 2..=255;

impl Bfd {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let interval_ms = object.optional("interval_ms", INTERVAL_MS, |value| value.whole(INTERVALS_MS));
        let multiplier = object.optional("multiplier", MULTIPLIER, |value| value.whole(MULTIPLIERS));
        Some(Self {
            interval: Duration::from_millis(interval_ms?),
            multiplier: multiplier?,
        })
    }
}
