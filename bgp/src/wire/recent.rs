//! Attributes that were read a moment ago: most messages of a table repeat those of another.

use std::sync::Arc;

use super::attribute::{Attributes, NextHop};

/// How many are kept.
const SLOTS: usize = 1024;

/// How long they may be: so that what one session keeps is bounded.
const LONGEST: usize = 512;

/// Sound attributes by their octets; each has one place, where a newer one replaces it.
#[derive(Debug, Default)]
pub(super) struct Recent {
    slots: Vec<Option<Box<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    octets: Box<[u8]>,
    /// The next hop was not among the octets.
    led: bool,
    attributes: Arc<Attributes>,
}

impl Recent {
    /// What these octets mean; with the next hop that stood before them, in MP_REACH_NLRI.
    pub(super) fn find(&self, octets: &[u8], next_hop: Option<NextHop>) -> Option<Arc<Attributes>> {
        let slot = self.slots.get(place(octets, next_hop))?.as_ref()?;
        let same_hop = match next_hop {
            Some(next_hop) => slot.led && slot.attributes.next_hop == next_hop,
            None => !slot.led,
        };
        (same_hop && *slot.octets == *octets).then(|| Arc::clone(&slot.attributes))
    }

    /// Keeps them. `led` says that their next hop stood before the octets.
    pub(super) fn insert(&mut self, octets: &[u8], led: bool, attributes: Arc<Attributes>) {
        if octets.len() > LONGEST {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let next_hop = led.then_some(attributes.next_hop);
        if let Some(slot) = self.slots.get_mut(place(octets, next_hop)) {
            *slot = Some(Box::new(Slot {
                octets: octets.into(),
                led,
                attributes,
            }));
        }
    }
}

/// Where such octets are kept. Who provokes collisions only slows his own session down.
fn place(octets: &[u8], next_hop: Option<NextHop>) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, remainder) = octets.as_chunks::<8>();
    let mut sum = u64::from(next_hop.is_some());
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word))
            .wrapping_mul(FACTOR)
            .rotate_left(29);
    }
    for octet in remainder {
        sum = (sum ^ u64::from(*octet)).wrapping_mul(FACTOR).rotate_left(29);
    }
    let sum = sum.wrapping_mul(FACTOR) >> 32;
    usize::try_from(sum).unwrap_or_default() % SLOTS
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::as_path::AsPath;
    use super::super::attribute::Origin;
    use super::*;

    fn by(last: u8) -> Arc<Attributes> {
        Arc::new(Attributes::mandatory(Origin::Igp, AsPath::default(), hop(last)))
    }

    fn hop(last: u8) -> NextHop {
        NextHop::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[test]
    fn only_the_same_octets_and_next_hop_are_found() {
        let mut recent = Recent::default();
        recent.insert(b"octets that are", true, by(1));
        assert!(recent.find(b"octets that are", Some(hop(1))).is_some());
        assert!(recent.find(b"octets that are", Some(hop(2))).is_none());
        assert!(recent.find(b"octets that are", None).is_none());
        assert!(recent.find(b"octets that arf", Some(hop(1))).is_none());
    }

    /// One session cannot have us keep more than so many, nor long ones.
    #[test]
    fn what_is_kept_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..5_000_u32 {
            recent.insert(&number.to_be_bytes(), false, by(1));
        }
        assert_eq!(recent.slots.len(), SLOTS);
        recent.insert(&[7; LONGEST + 1], false, by(1));
        assert!(recent.find(&[7; LONGEST + 1], None).is_none());
    }
}
