//! Certificates of connections, and keys tried without any tunnel.

use std::time::{Duration, SystemTime};

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

#[tokio::test]
async fn certificates_are_told_with_what_they_say_and_who_uses_them_and_never_the_key() {
    let (key, certificate) = made("gw.example");
    let machine = machine(&key, &certificate).await;
    let mut document = with_certificates(&certificate);
    document["trust"] = json!({ "roots": { "chain": [made("root").1] } });
    document["connections"]["to-c"]["authentication"] = json!({
        "method": "certificate", "certificate": "edge", "peer": { "subject": "peer", "chain": "roots" },
    });
    assert_eq!(machine.put(2, &document).await.status, 200);
    // Its key may be opened between the two questions; that happens once.
    let mut all = machine.get("/api/v1/certificates").await.body;
    let mut alone = machine.get("/api/v1/certificates/edge").await.body;
    if all["edge"] != alone {
        all = machine.get("/api/v1/certificates").await.body;
        alone = machine.get("/api/v1/certificates/edge").await.body;
    }
    let edge = &all["edge"];
    assert_eq!(edge, &alone);
    let used_by = json!(["/connections/to-c/authentication/certificate"]);
    assert_eq!(
        (
            &edge["provider"],
            &edge["reference"],
            &edge["source"],
            &edge["used_by"]
        ),
        (&json!("files"), &json!("edge-key"), &json!("document"), &used_by)
    );
    let said = &edge["chain"][0];
    assert_eq!(
        (&said["key"], &said["names"], &said["authority"], &said["state"]),
        (
            &json!("ECDSA P-256"),
            &json!(["dns:gw.example"]),
            &json!(false),
            &json!("valid")
        )
    );
    assert_eq!(said["sha256"].as_str().unwrap().len(), 64);
    assert!(!all.to_string().contains("PRIVATE") && !all.to_string().contains(key.lines().nth(1).unwrap()));
    assert_eq!(all["edge-hsm"]["chain"], json!([]));
    let roots = machine.get("/api/v1/trust/roots").await.body;
    let used_by = json!(["/connections/to-c/authentication/peer/chain"]);
    assert_eq!((&roots["used_by"], &roots["crl"]), (&used_by, &json!("relaxed")));
    let unknown = machine.get("/api/v1/certificates/nope").await;
    assert_eq!(unknown.reason(), (404, "unknown-certificate"));
    assert_eq!(
        machine.get("/api/v1/trust/nope").await.reason(),
        (404, "unknown-trust")
    );
}

/// In PEM, valid for so many days from now.
fn lasting(name: &str, days: u64) -> (String, String) {
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let end = SystemTime::now() + Duration::from_secs(days * 86_400);
    params.not_after = end.into();
    (pair.serialize_pem(), params.self_signed(&pair).unwrap().pem())
}

/// A certificate of 20 days, a root of 5 days and the root that comes after it; what waits for a token uses the old one, too.
async fn machine_of_what_ends() -> Machine {
    let (key, certificate) = lasting("gw.example", 20);
    let machine = machine(&key, &certificate).await;
    let mut document = with_certificates(&certificate);
    let (old, new) = (lasting("old root", 5).1, lasting("new root", 4000).1);
    document["trust"] = json!({ "old": { "chain": [old] }, "new": { "chain": [new] } });
    for (connection, certificate) in [("to-b", "edge-hsm"), ("to-c", "edge")] {
        document["connections"][connection]["authentication"] = json!({
            "method": "certificate", "certificate": certificate, "peer": { "subject": "peer", "chain": "old" },
        });
    }
    assert_eq!(machine.put(2, &document).await.status, 200);
    machine
}

#[tokio::test]
async fn what_ends_soon_is_told_in_the_timeline_the_metrics_and_the_status() {
    let machine = machine_of_what_ends().await;
    let timeline = machine.get("/api/v1/certificates:timeline").await.body;
    let all = timeline["certificates"].as_array().unwrap().iter();
    let places: Vec<&str> = all.map(|one| one["place"].as_str().unwrap()).collect();
    assert_eq!(places, ["trust/old", "certificates/edge", "trust/new"]);
    let edge = &timeline["certificates"][1];
    assert_eq!(
        (&edge["position"], &edge["state"]),
        (&json!("leaf"), &json!("valid"))
    );
    assert!(
        edge["next_warning"].as_str() < edge["not_after"].as_str(),
        "{edge}"
    );
    let metrics = machine.get_text("/api/v1/metrics").await;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("causeway_certificate_expires_seconds{name=\"certificates/edge\""));
    let seconds: i64 = line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!((19 * 86_400..=20 * 86_400).contains(&seconds), "{seconds}");
    let connection = machine.get("/api/v1/status/connections/to-b").await.body;
    let warnings = connection["warnings"].as_array().unwrap();
    let told: Vec<_> = warnings
        .iter()
        .map(|one| (&one["reason"], &one["place"]))
        .collect();
    let soon = json!("certificate-expires-soon");
    assert_eq!(told, [(&soon, &json!("trust/old"))], "{connection}");
}

/// Soon after the commit, and nobody has to ask.
#[tokio::test]
async fn what_ends_soon_is_an_event() {
    let machine = machine_of_what_ends().await;
    let heard = async {
        loop {
            let events = machine.get("/api/v1/events").await.body;
            let soon = events["events"].as_array().unwrap().iter();
            let soon = soon.filter(|event| event["event"] == "certificate-expires-soon");
            let details: Vec<String> = soon
                .map(|event| event["detail"].as_str().unwrap().to_owned())
                .collect();
            if details.len() >= 2 {
                return details;
            }
        }
    };
    let details = tokio::time::timeout(Duration::from_secs(30), heard)
        .await
        .expect("both are told");
    let has = |words: &str| details.iter().any(|detail| detail.contains(words));
    assert!(
        details.len() == 2 && has("within 30 days; ") && has("within 7 days; used by to-b, to-c"),
        "{details:?}"
    );
}

async fn verify(machine: &Machine, body: Value) -> super::machine::Answer {
    machine
        .ask("POST", "/api/v1/certificates:verify", None, &body.to_string())
        .await
}

#[tokio::test]
async fn a_certificate_is_judged_and_the_one_to_blame_is_named() {
    let (key, certificate) = made("gw.example");
    let machine = machine(&key, &certificate).await;
    let good = verify(
        &machine,
        json!({ "certificate": certificate, "roots": [certificate] }),
    )
    .await
    .body;
    assert_eq!(good["believed"], json!(true), "{good}");
    assert_eq!(good["path"].as_array().unwrap().len(), 1);
    let late = json!({ "name": "edge", "purpose": "own", "at": "9000-01-01T00:00:00Z" });
    let late = verify(&machine, late).await.body;
    assert_eq!(
        (&late["believed"], &late["fault"]["reason"]),
        (&json!(false), &json!("certificate-expired"))
    );
    assert!(
        late["fault"]["rule"].as_str().unwrap().contains("notAfter"),
        "{late}"
    );
    let other = json!({ "certificate": certificate, "roots": [made("other").1] });
    let other = verify(&machine, other).await.body;
    assert_eq!(other["fault"]["reason"], "certificate-untrusted");
    assert_eq!(other["fault"]["certificate"], good["path"][0]);
    let azure = json!({ "certificate": certificate, "purpose": "azure-outbound" });
    let azure = verify(&machine, azure).await.body;
    assert_eq!(
        azure["fault"]["azure_error"],
        "VpnConnectionOutBoundAuthenticationCertificateDoesNotHaveRSAPrivateKey"
    );
}

/// Each has a reason of its own, and nothing that may be a key is repeated.
#[tokio::test]
async fn what_cannot_be_judged_is_told_apart() {
    let (key, certificate) = made("gw.example");
    let machine = machine(&key, &certificate).await;
    let many: Vec<String> = (0..6).map(|number| made(&format!("ca{number}")).1).collect();
    let twice = [&many[0], &many[0]];
    for (body, path, reason) in [
        (
            json!({ "certificate": "garbage" }),
            "/certificate",
            "invalid-certificate",
        ),
        (
            json!({ "certificate": key }),
            "/certificate",
            "private-key-in-document",
        ),
        (
            json!({ "certificate": "A".repeat(20_000) }),
            "/certificate",
            "too-large",
        ),
        (
            json!({ "certificate": certificate, "chain": many }),
            "/chain",
            "out-of-range",
        ),
        (
            json!({ "certificate": certificate, "chain": twice }),
            "/chain/1",
            "duplicate-certificate",
        ),
        (
            json!({ "certificate": certificate, "roots": twice }),
            "/roots/1",
            "duplicate-certificate",
        ),
        (json!({ "name": "edge-hsm" }), "/name", "certificate-missing"),
    ] {
        let answer = verify(&machine, body).await;
        assert_eq!(answer.reason(), (422, reason));
        assert_eq!(answer.violations(), [(path, reason)]);
        assert!(!answer.body.to_string().contains(key.lines().nth(1).unwrap()));
    }
    let huge = verify(&machine, json!({ "certificate": "A".repeat(1 << 20) })).await;
    assert_eq!(huge.reason(), (413, "too-large"));
    for body in [
        json!({}),
        json!({ "name": "edge", "at": "yesterday" }),
        json!({ "nonsense": 1 }),
    ] {
        assert_eq!(verify(&machine, body).await.reason(), (400, "invalid-body"));
    }
}

/// What Azure asks of the certificate that its gateway shows, by its own names for what is wrong.
#[tokio::test]
async fn what_azure_would_refuse_has_the_name_that_azure_gives_it() {
    use rcgen::{BasicConstraints, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, PKCS_RSA_SHA256};
    let machine = Machine::configured().await;
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let issue = |purposes: Vec<ExtendedKeyUsagePurpose>| {
        let mut params = CertificateParams::new(vec!["gw.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "gw");
        params.extended_key_usages = purposes;
        params.signed_by(&key, &root).unwrap().pem()
    };
    let both = issue(vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ]);
    let one = issue(vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let judged = async |certificate: &str, chain: Vec<String>, at: &str| {
        let body = json!({ "certificate": certificate, "chain": chain, "roots": [root.pem()],
            "purpose": "azure-outbound", "at": at });
        verify(&machine, body).await.body
    };
    let now = "2026-11-27T00:00:00Z";
    let good = judged(&both, vec![root.pem()], now).await;
    assert_eq!(good["believed"], json!(true), "{good}");
    for (answer, error) in [
        (judged(&one, vec![root.pem()], now).await, "ClientAndServerAuth"),
        (judged(&both, vec![], now).await, "ChainDoesNotHaveRootCert"),
        (
            judged(&both, vec![root.pem()], "9000-01-01T00:00:00Z").await,
            "IsExpired",
        ),
    ] {
        let expected = format!("VpnConnectionOutBoundAuthenticationCertificate{error}");
        assert_eq!(answer["fault"]["azure_error"], json!(expected), "{answer}");
    }
}
