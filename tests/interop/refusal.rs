//! What cannot come up says who refused what: side, offered and expected.

use serde_json::Value;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::suite::{ALL, Suite, USUAL};
use system_tests::peer::tunnel::Tunnel;

use crate::pair::{Far, First, Kind, Pair, tunnels};

/// Starts a pair whose far side differs.
fn differing(kind: Kind, first: First, change: impl Fn(&mut Tunnel)) -> Pair {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (near, mut far) = tunnels(&sites);
    change(&mut far);
    Pair::start(run, sites, (near, far), (kind, first))
}

/// Waits until a gateway says that this is why the tunnel is not up.
fn refused(gateway: &Causeway, reason: &str, side: &str) -> Value {
    let what = format!("{reason}, found by {side}");
    wait::until(&what, SOON, || {
        let status = gateway.connection("peer")?;
        let outage = &status["outage"];
        anyhow::ensure!(outage["reason"] == reason && outage["side"] == side, "{status}");
        anyhow::ensure!(
            outage["next_step"].as_str().is_some_and(|step| !step.is_empty()),
            "{status}"
        );
        Ok(outage.clone())
    })
    .unwrap()
}

/// Both sides of one disagreement: who was offered something refuses, who offered it is told.
fn both_say(pair: &Pair, first: First, reason: &str) -> (Value, Option<Value>) {
    let (near, far) = match first {
        First::Near => ("peer", "we"),
        First::Far => ("we", "peer"),
    };
    let ours = refused(&pair.near, reason, near);
    let theirs = match &pair.far {
        Far::Causeway(gateway) => Some(refused(gateway, reason, far)),
        Far::StrongSwan(_) => None,
    };
    assert_eq!(
        pair.near.connection("peer").unwrap()["children"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    (ours, theirs)
}

fn named(outage: &Value, word: &str) {
    assert!(
        outage[word].as_str().is_some_and(|text| !text.is_empty()),
        "{word} is not named: {outage}"
    );
}

const EVERY: [(Kind, First); 4] = [
    (Kind::Causeway, First::Near),
    (Kind::Causeway, First::Far),
    (Kind::StrongSwan, First::Near),
    (Kind::StrongSwan, First::Far),
];

#[test]
fn another_secret_is_told_by_both_sides() {
    for (kind, first) in EVERY {
        let pair = differing(kind, first, |far| far.secret = "another.secret".to_owned());
        both_say(&pair, first, "authentication-failed");
    }
}

#[test]
fn no_common_ike_proposal_is_told_with_both_lists() {
    for (kind, first) in EVERY {
        let strange = Suite {
            esp_encryption: "GCMAES128",
            esp_integrity: "GCMAES128",
            ..ALL[3]
        };
        let pair = differing(kind, first, |far| far.suite = strange);
        let (ours, theirs) = both_say(&pair, first, "ike-proposal-mismatch");
        named(&ours, "offered");
        if first == First::Far {
            named(&ours, "expected");
        }
        if let Some(theirs) = theirs {
            named(&theirs, "offered");
        }
    }
}

#[test]
fn no_common_esp_proposal_is_told_with_both_lists() {
    for (kind, first) in EVERY {
        let strange = Suite {
            esp_encryption: "AES256",
            esp_integrity: "SHA256",
            ..USUAL
        };
        let pair = differing(kind, first, |far| far.suite = strange);
        let (ours, _) = both_say(&pair, first, "child-proposal-mismatch");
        named(&ours, "offered");
        if first == First::Far {
            named(&ours, "expected");
        }
    }
}

/// Ours are any-to-any for IPv4, so only a peer that asks for something else altogether disagrees.
#[test]
fn selectors_without_anything_in_common_are_told() {
    for first in [First::Near, First::Far] {
        let six = Some(("fd00:2::/64".to_owned(), "fd00:1::/64".to_owned()));
        let pair = differing(Kind::StrongSwan, first, |far| far.selectors.clone_from(&six));
        let (ours, _) = both_say(&pair, first, "selector-mismatch");
        named(&ours, "offered");
    }
}

#[test]
fn an_unexpected_identity_is_refused() {
    for kind in [Kind::Causeway, Kind::StrongSwan] {
        let pair = differing(kind, First::Far, |far| far.local_id = "somebody.else".to_owned());
        refused(&pair.near, "peer-identity-unexpected", "we");
    }
}
