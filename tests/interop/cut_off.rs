//! An administrator who cuts himself off is told so before, and gets his way back without doing anything.

use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::tunnel::{Datapath, Tunnel};

use crate::admin::{Admin, Proof};

/// How long what nobody confirms is on trial.
const TRIAL: &str = "confirm_within_s=15";

/// A gateway whose document says what addresses its links have.
fn with_interfaces(tunnel: &Tunnel) -> Document {
    let mut document = document(&[("peer", tunnel)]);
    document.json["interfaces"] = json!({
        "lan": { "role": "lan",
                 "ipv4": { "method": "static", "addresses": ["10.1.0.1/24", "10.1.1.1/24"] } },
        "wan": { "role": "wan",
                 "ipv4": { "method": "static", "addresses": ["192.0.2.1/24"], "gateway": "192.0.2.2" } } });
    document
}

/// The document with the address gone by which the administrator comes.
fn moved(document: &Value) -> Value {
    let mut moved = document.clone();
    moved["interfaces"]["lan"]["ipv4"]["addresses"] = json!(["10.1.7.1/24", "10.1.1.1/24"]);
    moved
}

/// The administrator cannot do anything any more.
fn is_cut_off(admin: &Admin<'_>) {
    wait::until("the administrator to be cut off", SOON, || {
        let answer = admin.asks(Proof::Nothing, &["GET", "/session"], None);
        anyhow::ensure!(answer.is_err(), "{answer:?}");
        Ok(())
    })
    .unwrap();
}

/// What ran before runs again, and the administrator's proof is still good.
fn is_back(admin: &Admin<'_>, proof: Proof, document: &Value) {
    wait::until("the way back", SOON, || {
        let found = admin.asks(proof, &["GET", "/config"], None)?;
        anyhow::ensure!(&found == document, "{found}");
        Ok(())
    })
    .unwrap();
    let found = admin.asks(proof, &["GET", "/generations"], None).unwrap();
    assert_eq!(found["trial"], Value::Null, "{found}");
    assert_eq!(found["current"], found["startup"], "{found}");
}

/// `:check` says that the change would cut the caller off, and by what; committed on trial all the same, it does, and what
/// ran before comes back by itself: also when the daemon is killed in between.
#[test]
fn who_cuts_himself_off_is_warned_and_gets_back_by_himself() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let document = with_interfaces(&Tunnel::between(&sites.a, &sites.b).starting());
    let mut gateway = Causeway::with_store(&run, &sites.a.gateway, &document, datapath).unwrap();
    let admin = Admin::claims(&run, &sites.a, &gateway).unwrap();
    let document = admin.asks(Proof::Session, &["GET", "/config"], None).unwrap();
    let moved = moved(&document);

    let report = admin
        .asks(Proof::Session, &["POST", "/config:check"], Some(&moved))
        .unwrap();
    let impact = &report["impact"];
    assert_eq!(impact["caller"]["path"], "lan", "{report}");
    assert_eq!(impact["caller"]["cut_off"], true, "{report}");
    assert_eq!(impact["interfaces"]["readdressed"], json!(["lan"]), "{report}");

    // A session does not outlive the daemon, a token does.
    for (proof, killed) in [(Proof::Session, false), (Proof::Token, true)] {
        // The answer may or may not find its way while the address goes.
        let _answer = admin.asks(proof, &["PUT", &format!("/config?{TRIAL}")], Some(&moved));
        is_cut_off(&admin);
        if killed {
            gateway.kill().unwrap();
            gateway.restart().unwrap();
            assert!(gateway.status().unwrap()["configuration"]["trial"].is_object());
        }
        is_back(&admin, proof, &document);
    }
    let log = gateway.log();
    assert_eq!(log.matches("trial-over").count(), 2, "{log}");
}
