use serde_json::json;

use super::sample::{check, faults, sample, with, without};
use crate::{Config, Reason, canonical, impact};

/// A default that is written out, and `null`, are never a change (design rule 2).
#[test]
fn defaults_and_null_say_the_same_as_nothing() {
    let document = without(sample(), "/connections/to-b/mtu");
    let written = with(document.clone(), "/connections/to-b/mtu", json!(1400));
    let null = with(document.clone(), "/connections/to-b/mtu", json!(null));
    assert_eq!(check(&document), check(&written));
    assert_eq!(check(&document), check(&null));
    assert_eq!(canonical(&null), canonical(&document));
    assert_ne!(canonical(&written), canonical(&document));
    let absent = with(sample(), "/connections/to-c", json!(null));
    assert_eq!(check(&absent), check(&without(sample(), "/connections/to-c")));
}

/// Also of what nothing uses.
#[test]
fn another_document_is_another_configuration() {
    let unused = json!({ "ike": { "encryption": "GCMAES256", "integrity": "SHA384", "dh_group": "ECP384" },
                         "ipsec": { "encryption": "GCMAES256", "integrity": "GCMAES256" } });
    let more = with(sample(), "/policies/unused", unused.clone());
    assert_ne!(check(&more), check(&sample()));
    let twin = with(more.clone(), "/policies/gcm", unused);
    let renamed = with(twin.clone(), "/connections/to-b/policy", json!("unused"));
    assert_ne!(check(&renamed), check(&twin));
    let impact = impact(&check(&twin).unwrap(), &check(&renamed).unwrap(), None);
    assert_eq!(impact.connections.changed_in_place, ["to-b"]);
    assert!(impact.connections.reset.is_empty());
}

#[test]
fn a_key_that_stands_twice_is_no_plain_json() {
    let text = br#"{ "sites": { "b": { "endpoint": 1, "endpoint": 2 } }, "x": [ { "y": 1, "y": 1 } ] }"#;
    let problems = Config::parse(text).unwrap().value().unwrap_err();
    assert_eq!(
        faults(&problems),
        [
            ("/sites/b/endpoint", Reason::DuplicateKey),
            ("/x/0/y", Reason::DuplicateKey)
        ]
    );
    let value = Config::parse(sample().to_string().as_bytes()).unwrap().value();
    assert_eq!(value, Ok(sample()));
    assert_eq!(Config::from(&sample()).validate(), check(&sample()));
}
