use std::collections::BTreeSet;

use ike::{ConnectionName, LocalProof, SharedSecret};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::machine::Machine;

const B: &str = "/api/v1/secrets/psk-b";

/// The pre-shared key of a connection, as the engine was told last.
fn key(machine: &Machine, connection: &str) -> String {
    let settings = machine.settings.lock().unwrap();
    let connections = &settings.last().unwrap().connections;
    let authentication = &connections[&ConnectionName(connection.into())].authentication;
    let LocalProof::PreSharedKey(SharedSecret(key)) = &authentication.local else {
        panic!("not by a pre-shared key")
    };
    String::from_utf8(key.expose_secret().to_vec()).unwrap()
}

#[tokio::test]
async fn a_secret_is_never_told_but_when_and_by_whom_it_was_set() {
    let machine = Machine::configured().await;
    let told = machine.get(B).await.body;
    assert_eq!(
        told["used_by"],
        json!(["/connections/to-b/authentication/secret"])
    );
    assert!(
        told["set_at"].as_str().unwrap().ends_with('Z')
            && told["set_by"].as_str().unwrap().starts_with("uid ")
    );
    assert_eq!(told["fingerprint"].as_str().unwrap().len(), 16);
    let all = machine.get("/api/v1/secrets").await.body;
    assert_eq!((all.as_object().unwrap().len(), &all["psk-b"]), (2, &told));
    assert!(!all.to_string().contains("Geheim1"));
    let unknown = machine.get("/api/v1/secrets/nope").await;
    assert_eq!(unknown.reason(), (404, "unknown-secret"));
}

#[tokio::test]
async fn another_secret_is_used_at_once_and_the_same_changes_nothing() {
    let machine = Machine::configured().await;
    let before = machine.get(B).await.body;
    let given = machine.settings.lock().unwrap().len();
    let same = machine.ask("PUT", B, None, "Geheim1\n").await.body;
    assert_eq!(
        (&same["unchanged"], &same["fingerprint"]),
        (&json!(true), &before["fingerprint"])
    );
    assert_eq!(machine.settings.lock().unwrap().len(), given);
    let other = machine.ask("PUT", B, None, "Geheim2\r\n").await.body;
    assert_eq!(other["unchanged"], json!(false));
    assert_ne!(other["fingerprint"], before["fingerprint"]);
    assert_eq!(
        (key(&machine, "to-b").as_str(), key(&machine, "to-c").as_str()),
        ("Geheim2", "Geheim1")
    );
    let machine = machine.killed().await;
    assert_eq!(key(&machine, "to-b"), "Geheim2");
}

#[tokio::test]
async fn a_generated_secret_is_shown_once() {
    let machine = Machine::configured().await;
    let made = machine
        .ask("POST", "/api/v1/secrets/psk-b:generate", None, "")
        .await
        .body;
    let value = made["value"].as_str().unwrap();
    assert_eq!((value.len(), value), (64, key(&machine, "to-b").as_str()));
    assert_eq!(machine.get(B).await.body.get("value"), None);
    for path in ["/api/v1/secrets/psk-b", "/api/v1/secrets/psk-b:explode"] {
        let refused = machine.ask("POST", path, None, "").await;
        assert_eq!(refused.reason(), (404, "unknown-path"), "{path}");
    }
}

#[tokio::test]
async fn the_pin_of_a_key_provider_is_a_secret_in_use() {
    let machine = Machine::configured().await;
    let pin = "/api/v1/secrets/hsm-pin";
    assert_eq!(machine.ask("PUT", pin, None, "1234").await.status, 200);
    let hsm = r#"{"kind":"pkcs11","module":"/usr/lib/hsm.so","pin":"hsm-pin"}"#;
    let put = machine
        .ask("PUT", "/api/v1/config/key_providers/hsm", Some(1), hsm)
        .await;
    assert_eq!(put.status, 200, "{put:?}");
    let used_by = machine.get(pin).await.body["used_by"].clone();
    assert_eq!(used_by, json!(["/key_providers/hsm/pin"]));
    let refused = machine.ask("DELETE", pin, None, "").await;
    assert_eq!(refused.reason(), (409, "secret-in-use"));
}

#[tokio::test]
async fn a_secret_in_use_stays() {
    let machine = Machine::configured().await;
    assert_eq!(
        machine.ask("DELETE", B, None, "").await.reason(),
        (409, "secret-in-use")
    );
    let to_b = "/api/v1/config/connections/to-b?confirm_within_s=600";
    assert_eq!(machine.ask("DELETE", to_b, Some(1), "").await.status, 200);
    // The start-up generation may come back, and it names it.
    assert_eq!(
        machine.ask("DELETE", B, None, "").await.reason(),
        (409, "secret-in-use")
    );
    assert_eq!(
        machine
            .ask("POST", "/api/v1/config:confirm", None, "")
            .await
            .status,
        200
    );
    let deleted = machine.ask("DELETE", B, None, "").await;
    assert_eq!((deleted.status, &deleted.body), (204, &Value::Null));
    assert_eq!(
        machine.ask("DELETE", B, None, "").await.reason(),
        (404, "unknown-secret")
    );
}

#[tokio::test]
async fn what_is_no_secret_is_refused_without_being_repeated() {
    let machine = Machine::configured().await;
    for body in ["", "two words", "Gehe\u{7f}im"] {
        let refused = machine.ask("PUT", B, None, body).await;
        assert_eq!(refused.reason(), (422, "secret-invalid"), "{body:?}");
        assert!(!refused.body.to_string().contains("Gehe") && !refused.body.to_string().contains("two"));
    }
    let refused = machine.ask("PUT", "/api/v1/secrets/a%2Fb", None, "x").await;
    assert_eq!(refused.reason(), (400, "invalid-name"));
    assert_eq!(key(&machine, "to-b"), "Geheim1");
}

/// A restored disk, or a new board without a TPM: what the old key sealed is gone, and neither the API nor any other connection is.
#[tokio::test]
async fn a_machine_that_lost_its_key_starts_and_takes_its_secrets_anew() {
    let unusable = ike::Reason::SecretUnusable.word();
    let machine = Machine::configured().await;
    let kept = async |machine: &Machine| {
        let status = machine.get("/api/v1/status").await.body;
        let key = &status["configuration"]["machine_key"];
        (key["kept"].clone(), key["reason"].clone())
    };
    assert_eq!(kept(&machine).await, (json!("file"), Value::Null));
    let state = machine.directory.path().join("state");
    std::fs::remove_file(state.join("machine.key")).unwrap();
    std::fs::write(state.join("machine.tpm"), "sealed by another board").unwrap();
    let machine = machine.killed().await;
    assert_eq!(kept(&machine).await, (json!("file"), json!("machine-key-lost")));
    assert_eq!(machine.connections(), BTreeSet::new());
    let down = machine.get("/api/v1/status/connections/to-b").await.body;
    assert_eq!(
        (&down["state"], &down["outage"]["reason"]),
        (&json!("down"), &json!(unusable))
    );
    assert!(
        down["outage"]["next_step"]
            .as_str()
            .unwrap()
            .contains("causeway secret set psk-b")
    );
    machine.ask("PUT", B, None, "Geheim3").await;
    assert_eq!(machine.connections(), BTreeSet::from(["to-b".to_owned()]));
    assert_eq!(key(&machine, "to-b"), "Geheim3");
    let up_to_the_engine = machine.get("/api/v1/status/connections/to-b").await.body;
    assert_ne!(up_to_the_engine["outage"]["reason"], json!(unusable));
    let other = machine.get("/api/v1/status/connections/to-c").await.body;
    assert_eq!(other["outage"]["reason"], json!(unusable));
}

/// PKCS#12 with a password is opened once: what is kept needs none, and its certificates are told for the document.
#[tokio::test]
async fn a_private_key_comes_with_its_password_once() {
    use base64ct::{Base64, Encoding};
    let machine = Machine::configured().await;
    let file = include_bytes!("../../../../keys/tests/vectors/legacy.p12");
    let body = |password: &str| json!({ "pkcs12": Base64::encode_string(file), "password": password });
    let put = async |body: Value| {
        let media = "Content-Type: application/json\r\n";
        let path = "/api/v1/secrets/edge-key";
        machine
            .send("PUT", path, media, body.to_string().as_bytes())
            .await
    };
    let wrong = put(body("another")).await;
    assert_eq!(wrong.reason(), (422, "pin-wrong"));
    assert_eq!(wrong.violations(), [("/password", "pin-wrong")]);
    let garbage = put(json!({ "pkcs12": "AAAA", "password": "secret" })).await;
    assert_eq!(garbage.violations(), [("/pkcs12", "key-wrong-kind")]);
    assert_eq!(
        put(json!({ "pkcs12": "*" , "password": "" })).await.reason(),
        (400, "invalid-body")
    );
    let set = put(body("secret")).await;
    assert_eq!(set.status, 200, "{set:?}");
    let chain = set.body["chain"].as_array().unwrap();
    assert!(!set.body.to_string().contains("PRIVATE") && set.body.get("value").is_none());
    let mut document = super::machine::document();
    document["key_providers"] = json!({ "files": { "kind": "file" } });
    let key = json!({ "provider": "files", "reference": "edge-key" });
    document["certificates"] = json!({ "edge": { "key": key, "chain": chain } });
    assert_eq!(machine.put(1, &document).await.status, 200);
    let trial = machine
        .ask("POST", "/api/v1/certificates/edge:test-sign", None, "")
        .await;
    assert_eq!(trial.body["ok"], json!(true), "{trial:?}");
}
