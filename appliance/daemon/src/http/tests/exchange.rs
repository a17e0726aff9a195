use serde_json::{Value, json};

use super::machine::{Machine, document};

const PASSPHRASE: &str = "correct horse battery";

async fn exported(machine: &Machine) -> Value {
    let asked = json!({ "passphrase": PASSPHRASE }).to_string();
    let export = machine.ask("POST", "/api/v1/export", None, &asked).await;
    assert_eq!(export.status, 200, "{export:?}");
    export.body
}

async fn imported(machine: &Machine, from: u32, export: &Value, query: &str) -> super::machine::Answer {
    let body = json!({ "export": export, "passphrase": PASSPHRASE }).to_string();
    let path = format!("/api/v1/import{query}");
    machine.ask("POST", &path, Some(from), &body).await
}

async fn fingerprint(machine: &Machine, name: &str) -> Value {
    machine.get(&format!("/api/v1/secrets/{name}")).await.body["fingerprint"].clone()
}

#[tokio::test]
async fn another_machine_does_the_same_after_an_import() {
    let machine = Machine::configured().await;
    let plain = machine.get("/api/v1/export").await;
    assert_eq!(
        (&plain.body["document"], plain.body.get("sealed")),
        (&document(), None)
    );
    let export = exported(&machine).await;
    assert!(!export.to_string().contains("Geheim1"));
    let audit = machine.get("/api/v1/audit?limit=1").await.body;
    assert_eq!(audit["entries"][0]["what"], "export secrets");
    let other = Machine::new().await;
    let done = imported(&other, 0, &export, "?comment=moved").await;
    assert_eq!((done.status, done.etag()), (200, "\"1\""), "{done:?}");
    assert_eq!(other.get("/api/v1/config").await.body, document());
    let key = |machine: &Machine| {
        format!(
            "{:?}",
            machine
                .settings
                .lock()
                .unwrap()
                .last()
                .unwrap()
                .connections
                .keys()
        )
    };
    assert_eq!(key(&other), key(&machine));
    let history = other.get("/api/v1/generations").await.body;
    assert_eq!(history["generations"][0]["source"], "import");
    let again = imported(&other, 1, &export, "").await;
    assert_eq!((again.status, &again.body["unchanged"]), (200, &true.into()));
    assert_eq!(again.etag(), "\"1\"");
}

#[tokio::test]
async fn without_a_passphrase_the_document_alone_comes() {
    let machine = Machine::configured().await;
    let before = fingerprint(&machine, "psk-b").await;
    let mut export = machine.get("/api/v1/export").await.body;
    export["document"]["connections"]["to-b"]["dpd_timeout_s"] = 99.into();
    let body = json!({ "export": export }).to_string();
    let done = machine.ask("POST", "/api/v1/import", Some(1), &body).await;
    assert_eq!((done.status, done.etag()), (200, "\"2\""), "{done:?}");
    assert_eq!(fingerprint(&machine, "psk-b").await, before);
}

#[tokio::test]
async fn what_cannot_be_imported_changes_nothing() {
    let machine = Machine::configured().await;
    let export = exported(&machine).await;
    let other = Machine::new().await;
    let wrong = json!({ "export": export, "passphrase": "another passphrase" }).to_string();
    let refused = other.ask("POST", "/api/v1/import", Some(0), &wrong).await;
    assert_eq!(refused.reason(), (422, "wrong-passphrase"));
    let mut forged = export.clone();
    forged["document"]["sites"]["b"]["endpoint"] = "198.51.100.66".into();
    let refused = imported(&other, 0, &forged, "").await;
    assert_eq!(refused.reason(), (422, "wrong-passphrase"));
    let mut newer = export.clone();
    newer["format"] = 2.into();
    assert_eq!(
        imported(&other, 0, &newer, "").await.reason(),
        (422, "export-invalid")
    );
    let mut invalid = export.clone();
    invalid["document"]["sites"]["b"]["bogus"] = 1.into();
    invalid.as_object_mut().unwrap().remove("sealed");
    let body = json!({ "export": invalid }).to_string();
    let refused = other.ask("POST", "/api/v1/import", Some(0), &body).await;
    assert_eq!(refused.reason(), (422, "invalid-document"));
    for (body, reason) in [
        ("{}", (400, "invalid-body")),
        ("Geheim1", (400, "invalid-body")),
        ("{\"passphrase\": \"short\"}", (422, "passphrase-invalid")),
    ] {
        let refused = machine.ask("POST", "/api/v1/export", None, body).await;
        assert_eq!(refused.reason(), reason, "{body}");
        assert!(!refused.body.to_string().contains("Geheim1"));
    }
    let stale = imported(&other, 7, &export, "").await;
    assert_eq!(stale.reason(), (412, "stale"));
    assert_eq!(other.get("/api/v1/secrets").await.body, json!({}));
    assert_eq!(other.get("/api/v1/config").await.etag(), "\"0\"");
}

/// Also over a restart: what was on trial takes its secrets along when it goes.
#[tokio::test]
async fn secrets_on_trial_go_back_with_their_document() {
    for killed in [false, true] {
        let machine = Machine::configured().await;
        let export = exported(&machine).await;
        for name in ["psk-b", "psk-new"] {
            let put = machine
                .ask("PUT", &format!("/api/v1/secrets/{name}"), None, "Anders2")
                .await;
            assert_eq!(put.status, 200);
        }
        let before = fingerprint(&machine, "psk-b").await;
        let tried = imported(&machine, 1, &export, "?confirm_within_s=3600").await;
        assert_eq!((tried.status, tried.etag()), (200, "\"2\""), "{tried:?}");
        assert_ne!(fingerprint(&machine, "psk-b").await, before);
        let machine = if killed { machine.killed().await } else { machine };
        let back = machine
            .ask("POST", "/api/v1/config:rollback", None, "{\"generation\": 1}")
            .await;
        assert_eq!(back.status, 200, "{back:?}");
        assert_eq!(fingerprint(&machine, "psk-b").await, before, "killed: {killed}");
    }
}

#[tokio::test]
async fn an_import_that_cannot_be_applied_leaves_the_secrets_alone() {
    let machine = Machine::configured().await;
    let export = exported(&machine).await;
    let put = machine.ask("PUT", "/api/v1/secrets/psk-b", None, "Anders2").await;
    assert_eq!(put.status, 200);
    let before = fingerprint(&machine, "psk-b").await;
    machine.objects.store(true, std::sync::atomic::Ordering::Relaxed);
    let refused = imported(&machine, 1, &export, "").await;
    assert_eq!(refused.reason(), (409, "not-applied"));
    assert_eq!(fingerprint(&machine, "psk-b").await, before);
}
