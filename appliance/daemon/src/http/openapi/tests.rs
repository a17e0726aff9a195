use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::table::OPERATIONS;
use crate::http::tests::machine::{Machine, document};

/// Stands for the whole of a document.
const DOCUMENT: &str = "the document";

const PACKET: &str = "{\"source\": \"10.1.0.9\", \"destination\": \"100.64.7.5\", \"protocol\": \"udp\"}";

const VERBS: [&str; 5] = ["get", "put", "patch", "post", "delete"];

/// Paths with what stands in braces filled in.
fn filled(path: &str) -> String {
    let filled = [
        ("{collection}", "connections"),
        ("{name}", "nobody"),
        ("{number}", "0"),
        ("{from}", "0"),
        ("{to}", "0"),
    ];
    filled
        .into_iter()
        .fold(path.to_owned(), |path, (braces, word)| path.replace(braces, word))
}

/// The paths of the router, as its source has them; those with several verbs in one segment are told apart.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../router.rs");
    let paths = source.split('"').filter_map(|text| text.strip_prefix("/api/v1"));
    let told = paths.flat_map(|path| -> Vec<String> {
        match path {
            "/connections/{action}" => {
                let verbs = [
                    "connect",
                    "disconnect",
                    "reset",
                    "rekey",
                    "rekey-ike",
                    "reauthenticate",
                    "try-ikev2",
                ];
                verbs.map(|verb| format!("/connections/{{name}}:{verb}")).into()
            }
            "/bgp/peers/{action}" => ["clear", "refresh"]
                .map(|verb| format!("/bgp/peers/{{name}}:{verb}"))
                .into(),
            "/certificates/{name}" => ["", ":test-sign", ":refresh"]
                .map(|verb| format!("/certificates/{{name}}{verb}"))
                .into(),
            "/key-providers/{action}" => vec!["/key-providers/{name}:self-test".to_owned()],
            "/generations/{which}" => ["{number}", "{from}..{to}"]
                .map(|which| format!("/generations/{which}"))
                .into(),
            "/secrets/{name}" => ["", ":generate"]
                .map(|verb| format!("/secrets/{{name}}{verb}"))
                .into(),
            path => vec![path.to_owned()],
        }
    });
    told.collect()
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_a_route() {
    let machine = Machine::new().await;
    let described = |verb: &str, path: &str| {
        OPERATIONS
            .iter()
            .any(|operation| (operation.verb, operation.path) == (verb, path))
    };
    let told: BTreeSet<String> = OPERATIONS
        .iter()
        .map(|operation| operation.path.to_owned())
        .collect();
    assert_eq!(told, routed());
    for path in &told {
        for verb in VERBS {
            let uri = format!("/api/v1{}", filled(path));
            let answer = machine.send(&verb.to_uppercase(), &uri, "", b"").await;
            let (status, reason) = answer.reason();
            // A machine without the network has no certificate.
            let is_unknown = reason == "unknown-path" && path != "/certificate";
            let is_there = status != 405 && !is_unknown && reason != "unknown-action";
            // A verb of its own in the path: without it, the path is another.
            let is_other = path.starts_with("/secrets/") && path.ends_with(":generate") != (verb == "post");
            assert_eq!(
                is_there && !is_other,
                described(verb, path),
                "{verb} {path}: {status} {reason}"
            );
        }
    }
}

/// The same of certificates.
const CERTIFICATES: [(&str, &str, &str, &str); 7] = [
    ("get", "/certificates", "/certificates", ""),
    ("get", "/certificates/{name}", "/certificates/nope", ""),
    ("get", "/certificates:timeline", "/certificates:timeline", ""),
    (
        "post",
        "/certificates:verify",
        "/certificates:verify",
        "{\"certificate\": \"x\"}",
    ),
    ("get", "/trust", "/trust", ""),
    ("get", "/trust/{name}", "/trust/nope", ""),
    (
        "post",
        "/certificates/{name}:test-sign",
        "/certificates/nope:test-sign",
        "",
    ),
];

/// Verb, path as it is described, path and body as they are asked.
fn requests() -> Vec<(&'static str, &'static str, &'static str, String)> {
    let requests = [
        ("get", "/config", "/config", ""),
        ("get", "/config", "/config?defaults=true", ""),
        ("get", "/generations", "/generations", ""),
        ("get", "/generations/{number}", "/generations/1", ""),
        ("get", "/generations/{from}..{to}", "/generations/0..1", ""),
        ("get", "/secrets", "/secrets", ""),
        ("get", "/secrets/{name}", "/secrets/psk-b", ""),
        ("get", "/secrets/{name}", "/secrets/nope", ""),
        ("put", "/secrets/{name}", "/secrets/psk-b", "Geheim1"),
        ("post", "/secrets/{name}:generate", "/secrets/new:generate", ""),
        ("get", "/status", "/status", ""),
        ("get", "/status/system", "/status/system", ""),
        ("get", "/status/connections", "/status/connections", ""),
        ("get", "/status/interfaces", "/status/interfaces", ""),
        ("get", "/status/nat", "/status/nat", ""),
        ("post", "/explain/nat", "/explain/nat", PACKET),
        ("post", "/explain/nat", "/explain/nat", "{}"),
        ("post", "/explain/routes", "/explain/routes", "{}"),
        ("get", "/status/bgp/peers", "/status/bgp/peers", ""),
        ("get", "/status/bgp/routes", "/status/bgp/routes", ""),
        ("get", "/status/bgp/routes", "/status/bgp/routes?kind=nope", ""),
        ("get", "/status/bgp/explain", "/status/bgp/explain", ""),
        ("post", "/bgp/recording:start", "/bgp/recording:start", "{}"),
        ("get", "/bgp/recording", "/bgp/recording", ""),
        ("post", "/bgp/recording:stop", "/bgp/recording:stop", ""),
        ("post", "/bgp/recording:stop", "/bgp/recording:stop", ""),
        ("get", "/events", "/events", ""),
        ("get", "/audit", "/audit", ""),
        ("get", "/openapi.json", "/openapi.json", ""),
        ("post", "/config:check", "/config:check", "{}"),
        ("post", "/config:check", "/config:check", DOCUMENT),
        (
            "post",
            "/config:rollback",
            "/config:rollback",
            "{\"generation\": 1}",
        ),
        ("post", "/config:confirm", "/config:confirm", ""),
    ];
    let body = |body: &str| match body {
        DOCUMENT => document().to_string(),
        body => body.to_owned(),
    };
    let asked = |(verb, path, uri, sent)| (verb, path, uri, body(sent));
    requests.into_iter().chain(CERTIFICATES).map(asked).collect()
}

#[tokio::test]
async fn answers_are_as_they_are_described() {
    let machine = Machine::configured().await;
    let described = machine.get("/api/v1/openapi.json").await.body;
    assert_eq!(described["openapi"], "3.1.0");
    let mut checked = 0;
    for (verb, path, uri, body) in requests() {
        let uri = format!("/api/v1{uri}");
        let answer = machine.ask(&verb.to_uppercase(), &uri, None, &body).await;
        let responses = &described["paths"][path][verb]["responses"];
        let schema = match &responses[answer.status.to_string()] {
            Value::Null => {
                &described["components"]["responses"]["Problem"]["content"]["application/problem+json"]
            }
            response => &response["content"]["application/json"],
        };
        let mut schema = schema["schema"].clone();
        schema["components"] = described["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&answer.body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{verb} {uri}: {wrong:?} in {}", answer.body);
        assert!(answer.body.is_object());
        checked += 1;
    }
    assert_eq!(checked, requests().len());
}

#[tokio::test]
async fn an_empty_answer_is_told_as_such() {
    let machine = Machine::configured().await;
    let described = machine.get("/api/v1/openapi.json").await.body;
    let reset = &described["paths"]["/connections/{name}:reset"]["post"]["responses"];
    assert_eq!(reset["202"], json!({ "description": "Done" }));
}
