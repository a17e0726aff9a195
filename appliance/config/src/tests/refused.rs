use std::collections::BTreeSet;

use serde_json::json;

use super::sample::{check, faults, refused, sample, with, without};
use crate::{MAX_BYTES, Problem, Reason, parse};

#[test]
fn every_fault_is_told_with_its_path() {
    let (mut seen, mut otherwise) = (BTreeSet::new(), Vec::new());
    for (document, columns) in refused() {
        let (pointer, word, says) = (columns[0], columns[2], columns[3]);
        let case = columns.join(" | ");
        let path = columns.get(4).copied().unwrap_or(pointer);
        let Err(problems) = check(&document) else {
            otherwise.push(format!("{case}: accepted"));
            continue;
        };
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (&*problem.path, problem.reason.word()))
            .collect();
        if found != [(path, word)] || !problems[0].detail.contains(says) {
            otherwise.push(format!("{case}: {problems:?}"));
        }
        seen.insert(problems[0].reason);
    }
    assert_eq!(otherwise, [""; 0], "{}", otherwise.join("\n"));
    for (pointer, reason) in [
        ("/gateway", Reason::MissingKey),
        ("/gateway/address_space", Reason::MissingKey),
        ("/sites/b/endpoint", Reason::MissingKey),
        ("/connections/to-b/site", Reason::MissingKey),
        ("/connections/to-b/ip_configuration", Reason::MissingKey),
        ("/connections/to-b/authentication/secret", Reason::MissingKey),
        ("/policies/gcm/ipsec", Reason::PolicyIncomplete),
        ("/policies/gcm/ike/integrity", Reason::PolicyIncomplete),
    ] {
        let problems = check(&without(sample(), pointer)).expect_err(pointer);
        assert_eq!(faults(&problems), [(pointer, reason)], "{problems:?}");
        seen.insert(reason);
    }
    let elsewhere = [
        Reason::TooLarge,
        Reason::NotUtf8,
        Reason::NotJson,
        Reason::DuplicateKey,
        Reason::ConnectionsIndistinguishable,
        Reason::ProtocolImmutable,
        Reason::BgpSessionConflict,
        Reason::NotInThisVersion,
        Reason::ImageOnly,
        Reason::BgpTimersShort,
        Reason::AggressiveModeWeak,
        Reason::NatRuleShared,
        Reason::NatRuleShadowed,
        Reason::NatWithApipa,
        Reason::NatCoversBgpAddress,
        Reason::TooManyProblems,
    ];
    let tested: BTreeSet<Reason> = seen.into_iter().chain(elsewhere).collect();
    assert_eq!(tested, Reason::ALL.iter().copied().collect());
}

#[test]
fn all_faults_are_told_at_once() {
    let document = with(sample(), "/connections/to-b/policy", json!("none"));
    let document = with(document, "/connections/to-c/mtu", json!(true));
    let document = with(document, "/connections/to-c/tcp_mss", json!(1));
    let document = with(document, "/sites/b/colour", json!("blue"));
    let document = without(document, "/policies/gcm/ike/dh_group");
    let expected = [
        ("/connections/to-b/policy", Reason::DanglingReference),
        ("/connections/to-c/mtu", Reason::WrongType),
        ("/connections/to-c/tcp_mss", Reason::OutOfRange),
        ("/policies/gcm/ike/dh_group", Reason::PolicyIncomplete),
        ("/sites/b/colour", Reason::UnknownKey),
    ];
    assert_eq!(faults(&check(&document).unwrap_err()), expected);
}

#[test]
fn what_refers_to_a_faulty_item_is_not_faulty() {
    let document = with(sample(), "/sites", json!(1));
    assert_eq!(
        faults(&check(&document).unwrap_err()),
        [("/sites", Reason::WrongType)]
    );
    let document = with(sample(), "/gateway", json!(1));
    assert_eq!(
        faults(&check(&document).unwrap_err()),
        [("/gateway", Reason::WrongType)]
    );
    let document = with(sample(), "/gateway/ip_configurations", json!({}));
    let expected = [
        ("/connections/to-b/ip_configuration", Reason::DanglingReference),
        ("/connections/to-c/ip_configuration", Reason::DanglingReference),
        ("/gateway/ip_configurations", Reason::OutOfRange),
    ];
    assert_eq!(faults(&check(&document).unwrap_err()), expected);
}

/// The second of two connections that could not be told apart names the first.
#[test]
fn peers_that_could_not_be_told_apart_are_refused() {
    let psk = |remote_id: &str| json!({ "method": "psk", "secret": "s", "remote_id": remote_id });
    let two = |one: (&str, &str), other: (&str, &str), configuration: &str| {
        let to = |(endpoint, id): (&str, &str), configuration: &str| {
            let connection = json!({ "site": "b", "endpoint": endpoint, "ip_configuration": configuration });
            with(connection, "/authentication", psk(id))
        };
        let document = with(sample(), "/sites/b/endpoint", json!("any"));
        let document = with(
            document,
            "/gateway/ip_configurations/other",
            json!({"address": "192.0.2.99"}),
        );
        let document = without(document, "/connections/to-b");
        let document = with(document, "/connections/one", to(one, "default"));
        with(document, "/connections/two", to(other, configuration))
    };
    let indistinguishable = [
        (("192.0.2.7", "x.example"), ("192.0.2.7", "X.Example")),
        (("192.0.2.7", "x.example"), ("any", "x.example")),
        (("any", "x.example"), ("192.0.2.7", "x.example")),
        (("any", "CN=x, O=y"), ("any", "dn:CN=X,O=y")),
        (("host.example", "x.example"), ("other.example", "x.example")),
        (("host.example", "keyid:0a"), ("any", "keyid:0A")),
    ];
    for (one, other) in indistinguishable {
        let document = two(one, other, "default");
        let problems = check(&document).expect_err(&format!("{one:?} {other:?}"));
        let expected = [("/connections/two", Reason::ConnectionsIndistinguishable)];
        assert_eq!(faults(&problems), expected, "{problems:?}");
        assert!(problems[0].detail.contains("/connections/one"), "{}", problems[0]);
        check(&with(document, "/connections/one/enabled", json!(false))).unwrap();
        check(&two(one, other, "other")).unwrap();
    }
    for (one, other) in [
        (("192.0.2.7", "x.example"), ("192.0.2.8", "x.example")),
        (("192.0.2.7", "x.example"), ("192.0.2.7", "y.example")),
        (("any", "x.example"), ("any", "email:x.example")),
    ] {
        check(&two(one, other, "default")).unwrap();
    }
}

#[test]
fn duplicate_keys_are_seen() {
    let text = sample()
        .to_string()
        .replace(r#""mtu":1400"#, r#""mtu":1400,"mtu":1500"#);
    let problems = parse(text.as_bytes()).unwrap_err();
    assert_eq!(
        faults(&problems),
        [("/connections/to-b/mtu", Reason::DuplicateKey)]
    );
}

#[test]
fn bytes_that_are_no_document_are_refused_whole() {
    let reason = |bytes: &[u8]| faults(&parse(bytes).unwrap_err())[0].1;
    let detail = |bytes: &[u8]| parse(bytes).unwrap_err().remove(0).detail;
    assert_eq!(reason(b""), Reason::NotJson);
    assert_eq!(reason(b"[]"), Reason::WrongType);
    assert_eq!(reason(b"{} {}"), Reason::NotJson);
    assert!(detail(b"{\n  \"gateway\": ,\n}").contains("line 2 column 14"));
    assert_eq!(reason(b"{\n\xff}"), Reason::NotUtf8);
    assert!(detail(b"{\n\xff}").contains("line 2"));
    assert_eq!(reason("[".repeat(MAX_BYTES).as_bytes()), Reason::NotJson);
    assert_eq!(reason(&vec![b' '; MAX_BYTES + 1]), Reason::TooLarge);
}

#[test]
fn a_flood_of_faults_is_cut_off() {
    let keys: Vec<String> = (0..300_000).map(|key| format!("\"k{key}\":0")).collect();
    let problems = parse(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap_err();
    assert_eq!(problems.len(), 201);
    assert_eq!(problems[200].reason, Reason::TooManyProblems);
    assert!(problems[200].detail.contains("299800 more"), "{}", problems[200]);
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let document = with(
        sample(),
        "/connections/to-b/authentication/secret",
        json!("hunter2!"),
    );
    assert!(!format!("{:?}", check(&document).unwrap_err()).contains("hunter2"));
}

#[test]
fn reason_words_are_distinct_and_kebab_case() {
    let words: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    assert!(words.iter().all(|word| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || b"-8".contains(&byte))
    }));
    let problem = Problem {
        path: "/a".to_owned(),
        reason: Reason::NotUtf8,
        detail: "d".to_owned(),
    };
    let json = serde_json::to_value(problem).unwrap();
    assert_eq!(json, json!({"path": "/a", "reason": "not-utf8", "detail": "d"}));
}
