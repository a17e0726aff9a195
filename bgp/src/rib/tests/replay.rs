//! A receiver that knows nothing but the messages: what it holds is what was advertised.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::wire::attribute::Attributes;
use crate::wire::update::{Context, Decoder};
use crate::{Families, Family};

pub(super) struct Receiver {
    decoder: Decoder,
    pub(super) routes: BTreeMap<IpNet, Attributes>,
    pub(super) ends: Vec<Family>,
    pub(super) messages: usize,
}

impl Receiver {
    pub(super) fn new(internal: bool) -> Self {
        let context = Context {
            four_octet_asn: true,
            families: Families::ALL,
            add_path: Families::NONE,
            ipv6_next_hops: true,
            internal,
            first_asn: None,
            as_sets: true,
        };
        Self {
            decoder: Decoder::new(context),
            routes: BTreeMap::new(),
            ends: Vec::new(),
            messages: 0,
        }
    }

    pub(super) fn take(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let length = usize::from(u16::from_be_bytes([octets[16], octets[17]]));
            assert!(length <= 4096, "a message of {length} octets");
            let (message, rest) = octets.split_at(length);
            octets = rest;
            self.messages += 1;
            let update = self.decoder.decode(&message[19..]);
            assert_eq!(update.faults, [], "{message:02x?}");
            for destination in update.withdrawn {
                let had = self.routes.remove(&destination.prefix);
                assert!(
                    had.is_some(),
                    "{} was withdrawn, but never sent",
                    destination.prefix
                );
            }
            for (attributes, destinations) in update.announced {
                for destination in destinations {
                    self.routes
                        .insert(destination.prefix, Attributes::clone(&attributes));
                }
            }
            self.ends.extend(update.end_of_rib);
        }
    }
}
