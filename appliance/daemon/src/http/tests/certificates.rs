//! Certificates of connections, and keys tried without any tunnel.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::machine::{Machine, document};

/// A key and its certificate, both in PEM.
pub(super) fn made(name: &str) -> (String, String) {
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (pair.serialize_pem(), params.self_signed(&pair).unwrap().pem())
}

/// The document with a certificate `edge`, whose key is the secret `edge-key`, and one of a token that is nowhere.
fn with_certificates(certificate: &str) -> Value {
    let mut document = document();
    document["key_providers"] = json!({
        "files": { "kind": "file" },
        "hsm": { "kind": "pkcs11", "module": "/nowhere/libhsm.so" },
    });
    document["certificates"] = json!({
        "edge": { "key": { "provider": "files", "reference": "edge-key" }, "chain": [certificate] },
        "edge-hsm": { "key": { "provider": "hsm", "reference": "pkcs11:token=branch;object=edge" } },
    });
    document
}

async fn machine(key: &str, certificate: &str) -> Machine {
    let machine = Machine::configured().await;
    let put = machine.ask("PUT", "/api/v1/secrets/edge-key", None, key).await;
    assert_eq!(put.status, 200, "{put:?}");
    let put = machine.put(1, &with_certificates(certificate)).await;
    assert_eq!(put.status, 200, "{put:?}");
    machine
}

async fn post(machine: &Machine, path: &str) -> super::machine::Answer {
    machine.ask("POST", &format!("/api/v1/{path}"), None, "").await
}

#[tokio::test]
async fn a_key_signs_on_trial_in_every_way_and_the_audit_log_has_it() {
    let (key, certificate) = made("gw.example");
    let machine = machine(&key, &certificate).await;
    let trial = post(&machine, "certificates/edge:test-sign").await;
    assert_eq!(
        (trial.status, &trial.body["ok"]),
        (200, &json!(true)),
        "{trial:?}"
    );
    assert_eq!(
        (&trial.body["place"], &trial.body["kind"]),
        (&json!("memory"), &json!("ECDSA on P-256"))
    );
    let schemes = trial.body["schemes"].as_array().unwrap();
    let states: Vec<_> = schemes
        .iter()
        .map(|one| (&one["scheme"], &one["state"]))
        .collect();
    let works = json!("works");
    assert_eq!(
        states,
        [
            (&json!("ECDSA with SHA2-256"), &works),
            (&json!("ECDSA with SHA2-384"), &works),
            (&json!("ECDSA with SHA2-512"), &works)
        ]
    );
    assert!(!trial.body.to_string().contains("PRIVATE"));
    let audit = machine.get("/api/v1/audit?limit=1").await.body;
    assert_eq!(
        audit["entries"][0]["what"],
        "POST /api/v1/certificates/edge:test-sign"
    );
}

#[tokio::test]
async fn a_certificate_of_another_key_and_a_secret_that_is_not_there_are_told() {
    let ((key, _), (_, other)) = (made("a"), made("b"));
    let machine = machine(&key, &other).await;
    let trial = post(&machine, "certificates/edge:test-sign").await.body;
    assert_eq!(trial["ok"], json!(false));
    let outage = &trial["schemes"][0]["outage"];
    assert_eq!(outage["reason"], "key-mismatch");
    assert!(
        outage["next_step"].as_str().unwrap().contains("chain"),
        "{outage}"
    );
    let removed = machine.ask("DELETE", "/api/v1/secrets/edge-key", None, "").await;
    assert_eq!(removed.status, 204, "no connection uses it: {removed:?}");
    let trial = post(&machine, "certificates/edge:test-sign").await.body;
    assert_eq!(trial["outage"]["reason"], "secret-unusable", "{trial}");
    let unknown = post(&machine, "certificates/nope:test-sign").await;
    assert_eq!(unknown.reason(), (404, "unknown-certificate"));
    let unknown = post(&machine, "certificates/edge:explode").await;
    assert_eq!(unknown.reason(), (404, "unknown-action"));
}

#[tokio::test]
async fn providers_are_tried_step_by_step() {
    let (key, certificate) = made("gw.example");
    let machine = machine(&key, &certificate).await;
    let files = post(&machine, "key-providers/files:self-test").await.body;
    assert_eq!(files["ok"], json!(true), "{files}");
    assert_eq!(
        (&files["steps"][0]["step"], &files["steps"][0]["subject"]),
        (&json!("file"), &json!("edge-key"))
    );
    let hsm = post(&machine, "key-providers/hsm:self-test").await.body;
    let step = &hsm["steps"][0];
    assert_eq!((&hsm["ok"], &step["step"]), (&json!(false), &json!("module")));
    assert_eq!(step["outage"]["reason"], "module-missing");
    assert!(step["subject"].as_str().unwrap().contains("/nowhere/libhsm.so"));
    let unknown = post(&machine, "key-providers/nope:self-test").await;
    assert_eq!(unknown.reason(), (404, "unknown-key-provider"));
}

/// The connection says what its key says, and a look for a newer version says when that is known.
#[tokio::test]
async fn a_connection_without_a_certificate_says_why_its_provider_has_none() {
    let (key, certificate) = made("gw.example");
    let machine = machine(&key, &certificate).await;
    let unused = post(&machine, "certificates/edge-hsm:refresh").await;
    assert_eq!(unused.reason(), (404, "unknown-key"));
    let mut document = with_certificates(&certificate);
    document["trust"] = json!({ "roots": { "chain": [made("root").1] } });
    document["connections"]["to-c"]["authentication"] = json!({
        "method": "certificate", "certificate": "edge-hsm",
        "peer": { "subject": "peer", "chain": "roots" },
    });
    let put = machine.put(2, &document).await;
    assert_eq!(put.status, 200, "{put:?}");
    let looked = post(&machine, "certificates/edge-hsm:refresh").await.body;
    assert_eq!(
        (&looked["renewed"], &looked["key"]["state"]),
        (&json!(false), &json!("failed")),
        "{looked}"
    );
    let connection = machine.get("/api/v1/status/connections/to-c").await.body;
    let outage = &connection["outage"];
    assert_eq!(outage["reason"], "module-missing", "{connection}");
    assert_eq!(
        outage["expected"],
        "the certificate edge-hsm from who has its key"
    );
    assert!(outage["offered"].as_str().unwrap().contains("/nowhere/libhsm.so"));
    assert!(
        outage["next_step"]
            .as_str()
            .unwrap()
            .starts_with("Install the module")
    );
}
