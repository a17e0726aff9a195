use serde_json::json;

use super::machine::{Machine, document};

const CONFIG: &str = "/api/v1/config";

/// Takes a connection away until it is confirmed within so many seconds.
async fn on_trial(machine: &Machine, seconds: u32) {
    let path = format!("{CONFIG}/connections/to-c?confirm_within_s={seconds}");
    let deleted = machine.ask("DELETE", &path, Some(1), "").await;
    assert_eq!(deleted.body["confirm_within_s"], json!(seconds), "{deleted:?}");
    assert_eq!(deleted.etag(), "\"2\"");
    assert_eq!(machine.connections(), ["to-b".to_owned()].into());
}

fn both() -> std::collections::BTreeSet<String> {
    ["to-b".to_owned(), "to-c".to_owned()].into()
}

#[tokio::test]
async fn what_is_not_confirmed_in_time_comes_back_by_itself() {
    let mut machine = Machine::configured().await;
    on_trial(&machine, 1).await;
    let status = machine.get("/api/v1/status").await.body;
    assert_eq!(status["configuration"]["startup"], json!(1));
    assert_eq!(status["configuration"]["trial"]["generation"], json!(2));
    machine.runs(1).await;
    assert_eq!(machine.connections(), both());
    assert_eq!(machine.get(CONFIG).await.body, document());
    let confirmed = machine.ask("POST", "/api/v1/config:confirm", None, "").await;
    assert_eq!(confirmed.reason(), (409, "nothing-on-trial"));
}

/// The daemon is killed in between: the trial goes on, and ends in its time.
#[tokio::test]
async fn a_trial_outlives_the_daemon() {
    let machine = Machine::configured().await;
    on_trial(&machine, 3).await;
    let mut machine = machine.killed().await;
    assert_eq!(machine.view.borrow().generation, 2);
    assert_eq!(machine.connections(), ["to-b".to_owned()].into());
    machine.runs(1).await;
    assert_eq!(machine.connections(), both());
    assert_eq!(machine.killed().await.get(CONFIG).await.etag(), "\"1\"");
}

#[tokio::test]
async fn what_is_confirmed_stays() {
    let machine = Machine::configured().await;
    on_trial(&machine, 600).await;
    let stale = machine.ask("POST", "/api/v1/config:confirm", Some(1), "").await;
    assert_eq!(stale.reason(), (412, "stale"));
    let confirmed = machine.ask("POST", "/api/v1/config:confirm", Some(2), "").await;
    assert_eq!(confirmed.body, json!({ "generation": 2 }));
    let machine = machine.killed().await;
    let view = machine.view.borrow().clone();
    assert_eq!((view.generation, view.startup), (2, Some(2)));
    assert!(view.trial.is_none());
}

/// While something is on trial nothing else is changed; but nobody has to wait for the end.
#[tokio::test]
async fn a_trial_is_decided_before_anything_else() {
    let machine = Machine::configured().await;
    on_trial(&machine, 600).await;
    assert_eq!(machine.put(2, &document()).await.reason(), (409, "on-trial"));
    let back = machine
        .ask("POST", "/api/v1/config:rollback", None, r#"{"generation":1}"#)
        .await;
    assert_eq!((back.status, back.etag()), (200, "\"1\""), "{back:?}");
    assert_eq!(back.body["impact"]["connections"]["added"], json!(["to-c"]));
    assert_eq!(machine.connections(), both());
    assert_eq!(machine.put(1, &document()).await.body["unchanged"], json!(true));
}
