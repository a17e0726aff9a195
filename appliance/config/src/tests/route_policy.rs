use serde_json::{Value, json};

use super::sample::{check, sample, translated, with};
use crate::impact;
use crate::model::{AsPathToken, Community, NextHop, Origin, RoutePolicy, Verdict};

fn policy(document: &Value, name: &str) -> RoutePolicy {
    check(document).unwrap().route_policies[name].clone()
}

#[test]
fn a_policy_is_read_whole() {
    let found = policy(&translated(), "in");
    assert_eq!((found.terms.len(), found.default), (1, Verdict::Accept));
    let term = &found.terms[0];
    let prefixes: Vec<String> = term
        .condition
        .prefixes
        .iter()
        .flatten()
        .map(|range| format!("{} {:?}", range.prefix, range.lengths))
        .collect();
    assert_eq!(prefixes, ["10.0.0.0/8 16..=24", "192.0.2.0/24 24..=24"]);
    assert_eq!(term.condition.as_path_length, Some(1..=4));
    let pattern = vec![
        AsPathToken::System(64_512..=64_512),
        AsPathToken::Any,
        AsPathToken::System(64_513..=65_534),
        AsPathToken::AnyNumber,
    ];
    assert_eq!(term.condition.as_path, Some(pattern));
    assert_eq!(term.condition.communities.len(), 2);
    assert_eq!(term.condition.origin, Some(Origin::Igp));
    assert_eq!(term.condition.peer.as_ref().unwrap().as_str(), "c");
    assert_eq!(
        (term.change.local_preference, term.change.med),
        (Some(200), Some(10))
    );
    assert_eq!(
        (term.change.prepend, term.change.next_hop),
        (2, Some(NextHop::Ours))
    );
    assert!(
        term.change
            .add_communities
            .contains(&Community::Large(65_010, 1, 2))
    );
    assert_eq!(term.verdict, Verdict::Accept);
}

#[test]
fn what_is_left_out_fits_everything_and_changes_nothing() {
    let document = with(
        sample(),
        "/route_policies",
        json!({ "none": {}, "all": { "terms": [{ "then": "accept" }] } }),
    );
    assert_eq!(
        policy(&document, "none"),
        RoutePolicy {
            terms: Vec::new(),
            default: Verdict::Reject
        }
    );
    let written = json!({
        "none": { "terms": [], "default": "reject" },
        "all": { "default": "reject", "terms": [{
            "match": { "communities": [], "prefixes": null }, "then": "accept",
            "set": { "prepend": 0, "communities": { "clear": false, "remove": [], "add": [] } }
        }] }
    });
    assert_eq!(
        check(&with(sample(), "/route_policies", written)),
        check(&document)
    );
}

#[test]
fn lengths_go_from_the_prefix_to_where_they_end() {
    let lengths = |text: &str| {
        let terms = json!([{ "match": { "prefixes": [text] }, "then": "accept" }]);
        let document = with(sample(), "/route_policies", json!({ "p": { "terms": terms } }));
        let found = policy(&document, "p")
            .terms
            .remove(0)
            .condition
            .prefixes
            .unwrap()
            .remove(0);
        found.lengths
    };
    assert_eq!(lengths("10.0.0.0/8 ge 24"), 24..=32);
    assert_eq!(lengths("10.0.0.0/8 le 24"), 8..=24);
    assert_eq!(lengths("fd00::/8 ge 48"), 48..=128);
    assert_eq!(lengths("0.0.0.0/0"), 0..=0);
    assert_eq!(lengths("0.0.0.0/0 le 32"), 0..=32);
}

#[test]
fn a_policy_has_a_thousand_terms_at_most() {
    let of = |count: usize| {
        let terms = vec![json!({ "then": "accept" }); count];
        check(&with(
            sample(),
            "/route_policies",
            json!({ "p": { "terms": terms } }),
        ))
    };
    of(1000).unwrap();
    let problems = of(1001).unwrap_err();
    assert_eq!(
        (problems.len(), problems[0].path.as_str()),
        (1, "/route_policies/p/terms")
    );
}

#[test]
fn a_policy_changes_the_peers_that_it_is_for() {
    let old = check(&translated()).unwrap();
    let new = check(&with(
        translated(),
        "/route_policies/out/default",
        json!("accept"),
    ))
    .unwrap();
    let found = impact(&old, &new, None);
    assert_eq!(found.bgp_peers.changed_in_place, ["c"]);
    assert_eq!(found.connections.changed_in_place, [""; 0]);
}
