//! The weak algorithms of a connection, so that status can tell them.

use std::fmt::Display;

use crate::proposal::{EspSuite, IkeSuite};
use crate::{Connection, EspProposal, IkeProposal, Version, WeakAlgorithm};

/// What aggressive mode is called among algorithms.
const AGGRESSIVE: &str = "aggressive mode";
const AGGRESSIVE_WHY: &str = "whoever asks gets a hash to try secrets on, and learns who both sides are";

/// Every weak algorithm that an SA uses or that the settings allow: those in use first.
pub(crate) fn of(
    settings: &Connection,
    (ike, aggressive): (Option<IkeSuite>, bool),
    children: impl Iterator<Item = EspSuite>,
) -> Vec<WeakAlgorithm> {
    let mut found = Found(Vec::new());
    if settings.version == Version::V1 && settings.aggressive {
        found.add(&AGGRESSIVE, Some(AGGRESSIVE_WHY), aggressive);
    }
    if let Some(suite) = ike {
        found.ike((&suite.as_proposal(), true));
    }
    for suite in children {
        found.esp((&suite.as_proposal(), true));
    }
    for proposal in &settings.ike_proposals {
        found.ike((proposal, false));
    }
    for proposal in settings
        .esp_proposals
        .iter()
        .chain(&settings.responder_esp_proposals)
    {
        found.esp((proposal, false));
    }
    found.0
}

struct Found(Vec<WeakAlgorithm>);

impl Found {
    fn ike(&mut self, (proposal, in_use): (&IkeProposal, bool)) {
        let groups = proposal.groups.iter().chain(proposal.additional.iter().flatten());
        self.add(&proposal.encryption, proposal.encryption.weakness(), in_use);
        if let Some(integrity) = proposal.integrity {
            self.add(&integrity, integrity.weakness(), in_use);
        }
        self.add(&proposal.prf, proposal.prf.weakness(), in_use);
        for group in groups {
            self.add(group, group.weakness(), in_use);
        }
    }

    fn esp(&mut self, (proposal, in_use): (&EspProposal, bool)) {
        let groups = proposal.groups.iter().chain(proposal.additional.iter().flatten());
        self.add(&proposal.encryption, proposal.encryption.weakness(), in_use);
        if let Some(integrity) = proposal.integrity {
            self.add(&integrity, integrity.weakness(), in_use);
        }
        for group in groups {
            self.add(group, group.weakness(), in_use);
        }
    }

    fn add(&mut self, algorithm: &dyn Display, why: Option<&'static str>, in_use: bool) {
        let Some(why) = why else { return };
        let algorithm = algorithm.to_string();
        if self.0.iter().all(|known| known.algorithm != algorithm) {
            self.0.push(WeakAlgorithm {
                algorithm,
                why,
                in_use,
            });
        }
    }
}
