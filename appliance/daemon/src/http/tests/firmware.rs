//! Updates: what is taken, what is refused and why, and what becomes of what is tried.

use image_slots::{HASH_BLOCK, Slot};
use serde_json::{Value, json};

use super::machine::{Answer, Machine};
use crate::firmware::tests::{Disk, RUNS, bundle, system};

const UPLOAD: &str = "/api/v1/firmware:upload";
const INSTALL: &str = "/api/v1/firmware:install";

async fn machine() -> (Machine, Disk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path());
    (Machine::start(directory, false).await, disk)
}

async fn upload(machine: &Machine, path: &str, bundle: &[u8]) -> Answer {
    machine.send("POST", path, "", bundle).await
}

async fn told(machine: &Machine) -> Value {
    let answer = machine.get("/api/v1/firmware").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// What is told is as the API says of itself.
async fn check(machine: &Machine, told: &Value) {
    let described = machine.get("/api/v1/openapi.json").await.body;
    let schema =
        json!({ "$ref": "#/components/schemas/FirmwareStatus", "components": described["components"] });
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(told)
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} in {told}");
}

/// The machine started again, as its boot loader does it.
async fn booted(machine: Machine, disk: &Disk) -> (Machine, Slot) {
    let slot = disk.boot();
    (machine.killed().await, slot)
}

/// Waits until the trial is over.
async fn settled(machine: &Machine) -> Value {
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let told = told(machine).await;
        if told["trial"].is_null() {
            return told;
        }
        assert!(tokio::time::Instant::now() < limit, "{told}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_slots_there_are_no_updates() {
    let machine = Machine::new().await;
    assert_eq!(machine.get("/api/v1/firmware").await.reason(), (404, "no-slots"));
    assert_eq!(upload(&machine, UPLOAD, b"x").await.reason(), (404, "no-slots"));
}

#[tokio::test]
async fn a_bundle_is_written_checked_tried_and_good() {
    let (machine, disk) = machine().await;
    let before = told(&machine).await;
    assert_eq!(
        (&before["running"], &before["upload"]["state"]),
        (&"a".into(), &"none".into())
    );
    assert_eq!(before["slots"]["b"]["state"], "empty");
    check(&machine, &before).await;
    assert_eq!(
        machine.send("POST", INSTALL, "", b"").await.reason(),
        (409, "slot-empty")
    );

    let (content, octets) = system(RUNS + 1, 5);
    let answer = upload(&machine, UPLOAD, &bundle(2, (content, octets.clone()))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["upload"]["state"], "ready");
    assert_eq!(answer.body["upload"]["received_bytes"], octets.len());
    assert_eq!(answer.body["slots"]["b"]["state"], "idle");
    assert_eq!(
        std::fs::read(disk.image.join("slot-b")).unwrap()[..octets.len()],
        octets
    );
    assert!(!disk.restarts());

    assert_eq!(machine.send("POST", INSTALL, "", b"").await.status, 202);
    assert!(disk.restarts());
    let (machine, slot) = booted(machine, &disk).await;
    assert_eq!(slot, Slot::B);
    let good = settled(&machine).await;
    assert_eq!(
        (&good["running"], &good["slots"]["b"]["state"]),
        (&"b".into(), &"good".into())
    );
    assert_eq!(good["slots"]["a"]["state"], "idle");
    assert_eq!(disk.boot(), Slot::B);
    let metrics = machine.get_text("/api/v1/metrics").await;
    assert!(metrics.contains("causeway_firmware_slot{slot=\"b\",version=\"0.2001\",state=\"good\"} 1"));
}

#[tokio::test]
async fn each_refusal_has_its_word_and_what_runs_stays() {
    let (machine, disk) = machine().await;
    let good = bundle(1, system(RUNS + 1, 5));
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let large = bundle(1, system(RUNS + 1, 64));
    let refusals = [
        (b"PK\x03\x04 something else".to_vec(), (422, "bundle-foreign")),
        (good[..good.len() - 1].to_vec(), (422, "bundle-truncated")),
        (flipped, (422, "bundle-damaged")),
        (bundle(3, system(RUNS + 1, 5)), (422, "bundle-signature")),
        (bundle(1, system(RUNS - 1, 5)), (409, "bundle-older")),
        (large, (422, "bundle-too-large")),
    ];
    for (octets, expected) in refusals {
        let answer = upload(&machine, UPLOAD, &octets).await;
        assert_eq!(answer.reason(), expected, "{answer:?}");
        let told = told(&machine).await;
        assert_eq!(told["upload"]["reason"], expected.1);
        assert_eq!(told["slots"]["a"]["state"], "good");
        assert!(
            machine
                .access
                .audit_lines()
                .iter()
                .any(|line| line.contains(expected.1))
        );
        assert_eq!(disk.boot(), Slot::A);
    }
    let forced = format!("{UPLOAD}?allow_downgrade=true");
    let unsigned = upload(&machine, &forced, &bundle(3, system(RUNS + 1, 5))).await;
    assert_eq!(unsigned.reason(), (422, "bundle-signature"));
    let older = upload(&machine, &forced, &bundle(1, system(RUNS - 1, 5))).await;
    assert_eq!(older.status, 200, "{older:?}");
    assert_eq!(
        machine.send("POST", INSTALL, "", b"").await.reason(),
        (409, "bundle-older")
    );
    let metrics = machine.get_text("/api/v1/metrics").await;
    assert!(metrics.contains("causeway_firmware_refused_bundles_total{reason=\"bundle-signature\"} 2"));
}

/// Octets that were half written count for nothing, whatever the slot had before.
#[tokio::test]
async fn what_is_in_the_slot_stops_counting_before_it_is_overwritten() {
    let (machine, disk) = machine().await;
    let good = bundle(1, system(RUNS + 1, 5));
    assert_eq!(upload(&machine, UPLOAD, &good).await.status, 200);
    let cut = upload(&machine, UPLOAD, &good[..good.len() - HASH_BLOCK]).await;
    assert_eq!(cut.reason(), (422, "bundle-truncated"));
    assert_eq!(disk.table().b, None);
}

/// The system that comes back tells why the other one did not stay.
#[tokio::test]
async fn a_system_that_never_says_it_works_gives_way_and_is_told() {
    let (machine, disk) = machine().await;
    let new = bundle(1, system(RUNS + 1, 5));
    assert_eq!(upload(&machine, UPLOAD, &new).await.status, 200);
    assert_eq!(machine.send("POST", INSTALL, "", b"").await.status, 202);
    // Twice it is started and never comes so far.
    assert_eq!((disk.boot(), disk.boot()), (Slot::B, Slot::B));
    let (machine, slot) = booted(machine, &disk).await;
    assert_eq!(slot, Slot::A);
    let back = settled(&machine).await;
    assert_eq!(back["last_failure"]["reason"], "trial-not-started");
    assert_eq!(back["last_failure"]["version"], "0.2001");
    assert_eq!(back["slots"]["b"]["state"], "failed");
    check(&machine, &back).await;
    let events = machine.get_text("/api/v1/events").await;
    assert!(events.contains("firmware-fell-back"), "{events}");
}

#[tokio::test]
async fn an_admin_ends_a_trial_either_way() {
    let (machine, disk) = machine().await;
    let refused = machine.send("POST", "/api/v1/firmware:mark-good", "", b"").await;
    assert_eq!(refused.reason(), (409, "firmware-not-on-trial"));
    let new = bundle(1, system(RUNS + 1, 5));
    assert_eq!(upload(&machine, UPLOAD, &new).await.status, 200);
    assert_eq!(machine.send("POST", INSTALL, "", b"").await.status, 202);
    let (machine, slot) = booted(machine, &disk).await;
    assert_eq!(slot, Slot::B);
    let busy = upload(&machine, UPLOAD, &new).await;
    assert_eq!(busy.reason(), (409, "firmware-on-trial"));
    let back = machine.send("POST", "/api/v1/firmware:fallback", "", b"").await;
    assert_eq!(back.status, 202, "{back:?}");
    let (machine, slot) = booted(machine, &disk).await;
    assert_eq!(slot, Slot::A);
    assert_eq!(
        settled(&machine).await["last_failure"]["reason"],
        "fallback-asked"
    );

    assert_eq!(machine.send("POST", INSTALL, "", b"").await.status, 202);
    let (machine, _) = booted(machine, &disk).await;
    let good = machine.send("POST", "/api/v1/firmware:mark-good", "", b"").await;
    assert_eq!((good.status, &good.body["trial"]), (200, &Value::Null));
    assert_eq!(disk.table().good, Slot::B);
    // What was good before is there to return to, although it is older.
    assert_eq!(
        machine
            .send("POST", "/api/v1/firmware:fallback", "", b"")
            .await
            .status,
        202
    );
    assert_eq!(disk.boot(), Slot::A);
}

/// A system that cannot be reached as the one before leaves why, and asks for the next start.
#[tokio::test(start_paused = true)]
async fn a_system_that_cannot_be_reached_as_before_gives_up() {
    let (machine, disk) = machine().await;
    let new = bundle(1, system(RUNS + 1, 5));
    assert_eq!(upload(&machine, UPLOAD, &new).await.status, 200);
    assert_eq!(machine.send("POST", INSTALL, "", b"").await.status, 202);
    let before = r#"{ "generation": 0, "listening": [], "addressed": ["lan0"], "gateway": false }"#;
    std::fs::write(disk.image.join("notes/before.json"), before).unwrap();
    let (machine, slot) = booted(machine, &disk).await;
    assert_eq!(slot, Slot::B);
    let firmware = machine.firmware.clone().unwrap();
    tokio::time::timeout(
        std::time::Duration::from_secs(200),
        crate::firmware::restart_wanted(Some(&firmware)),
    )
    .await
    .unwrap();
    assert!(firmware.waiting().iter().any(|words| words.contains("lan0")));
    let (machine, slot) = booted(machine, &disk).await;
    assert_eq!(slot, Slot::B, "it has a second try");
    drop(machine);
}

/// 2030-01-15 12:00 in UTC, 13:00 in Berlin.
const NOON: u64 = 1_894_708_800;
const HOUR: u64 = 3_600;

fn set_clock(machine: &Machine, unix_s: u64) {
    std::fs::write(machine.directory.path().join("wall"), unix_s.to_string()).unwrap();
}

/// A machine with a window from one to three at night in Berlin, and a newer system that was uploaded at noon.
async fn staged(automatic_updates: bool) -> (Machine, Disk) {
    let (machine, disk) = machine().await;
    set_clock(&machine, NOON);
    let maintenance = json!({ "start": "01:00", "hours": 2, "automatic_updates": automatic_updates });
    let about = json!({ "time": { "zone": "Europe/Berlin" }, "maintenance": maintenance });
    let put = machine.put(0, &json!({ "schema": 1, "system": about })).await;
    assert_eq!(put.status, 200, "{put:?}");
    let new = bundle(1, system(RUNS + 1, 5));
    assert_eq!(upload(&machine, UPLOAD, &new).await.status, 200);
    (machine, disk)
}

/// Whether the machine starts again within this time, by a clock that stands.
async fn restarts_within(machine: &Machine, seconds: u64) -> bool {
    let firmware = machine.firmware.clone().unwrap();
    let wanted = crate::firmware::restart_wanted(Some(&firmware));
    let limit = std::time::Duration::from_secs(seconds);
    tokio::time::timeout(limit, wanted).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_is_installed_in_the_window_once_and_survives_a_restart() {
    let (machine, disk) = staged(false).await;
    assert_eq!(told(&machine).await["scheduled"], Value::Null);
    let answer = machine.send("POST", "/api/v1/firmware:schedule", "", b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    check(&machine, &answer.body).await;
    let by = answer.body["scheduled"]["by"].as_str().unwrap().to_owned();
    assert_eq!(answer.body["scheduled"]["slot"], "b");
    let window = &answer.body["window"];
    assert_eq!(window["opens"], "2030-01-16T00:00:00Z");
    assert_eq!(window["opens_local"], "2030-01-16T01:00:00+01:00");
    assert_eq!(window["closes_local"], "2030-01-16T03:00:00+01:00");
    assert!(!restarts_within(&machine, 100).await, "it is noon");

    let machine = machine.killed().await;
    set_clock(&machine, NOON + 11 * HOUR);
    assert_eq!(told(&machine).await["scheduled"]["by"], by.as_str());
    assert!(!restarts_within(&machine, 100).await, "an hour is missing");
    set_clock(&machine, NOON + 12 * HOUR);
    assert!(restarts_within(&machine, 100).await, "the window is open");
    assert!(disk.restarts());

    // Twice it is started and never comes so far.
    assert_eq!((disk.boot(), disk.boot()), (Slot::B, Slot::B));
    let (machine, slot) = booted(machine, &disk).await;
    assert_eq!(slot, Slot::A);
    set_clock(&machine, NOON + 36 * HOUR);
    assert!(
        !restarts_within(&machine, 100).await,
        "what did not stay is not tried again"
    );
    assert_eq!(settled(&machine).await["scheduled"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_is_cancelled_and_refused_where_nothing_could_be_installed() {
    let (machine, _disk) = staged(false).await;
    let cancel = || machine.send("POST", "/api/v1/firmware:cancel", "", b"");
    assert_eq!(cancel().await.reason(), (409, "not-scheduled"));
    let scheduled = machine.send("POST", "/api/v1/firmware:schedule", "", b"").await;
    assert_eq!(scheduled.status, 200);
    assert_eq!(cancel().await.body["scheduled"], Value::Null);
    set_clock(&machine, NOON + 12 * HOUR);
    assert!(!restarts_within(&machine, 100).await);
    let events = machine.get_text("/api/v1/events").await;
    assert!(events.contains("firmware-scheduled") && events.contains("firmware-schedule-cancelled"));

    let older = bundle(1, system(RUNS - 1, 5));
    let forced = format!("{UPLOAD}?allow_downgrade=true");
    assert_eq!(upload(&machine, &forced, &older).await.status, 200);
    let scheduled = machine.send("POST", "/api/v1/firmware:schedule", "", b"").await;
    assert_eq!(scheduled.reason(), (409, "bundle-older"));
}

/// Nobody asks, and a clock that cannot be right opens no window.
#[tokio::test(start_paused = true)]
async fn with_automatic_updates_what_is_uploaded_is_installed_once_the_clock_is_right() {
    let (machine, disk) = staged(true).await;
    assert_eq!(told(&machine).await["scheduled"]["by"], "system");
    set_clock(&machine, 0);
    let told = told(&machine).await;
    check(&machine, &told).await;
    assert_eq!(
        (&told["window"]["reason"], &told["window"]["opens"]),
        (&"clock".into(), &Value::Null)
    );
    assert!(!restarts_within(&machine, 100).await);
    set_clock(&machine, NOON + 12 * HOUR);
    assert!(restarts_within(&machine, 100).await);
    assert_eq!(disk.boot(), Slot::B);
}

/// The start that an update needs would end a configuration's trial.
#[tokio::test(start_paused = true)]
async fn an_update_waits_for_a_configuration_on_trial() {
    let (machine, _disk) = staged(true).await;
    let patch = json!({ "system": { "maintenance": { "hours": 3 } } }).to_string();
    let path = "/api/v1/config?confirm_within_s=86400";
    let tried = machine.ask("PATCH", path, Some(1), &patch).await;
    assert_eq!(tried.status, 200, "{tried:?}");
    set_clock(&machine, NOON + 12 * HOUR);
    assert_eq!(told(&machine).await["window"]["reason"], "on-trial");
    assert!(!restarts_within(&machine, 100).await);
    let confirmed = machine.send("POST", "/api/v1/config:confirm", "", b"").await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    assert!(restarts_within(&machine, 100).await);
}

/// Whoever asks has to say which box it is; the table of the slots stays as it is.
#[tokio::test]
async fn a_factory_reset_needs_the_name_of_the_box() {
    let (machine, disk) = machine().await;
    let before = disk.table();
    let reset = |name: &str| {
        let body = json!({ "name": name }).to_string();
        let machine = &machine;
        async move {
            machine
                .ask("POST", "/api/v1/system:factory-reset", None, &body)
                .await
        }
    };
    assert_eq!(reset("edge-1").await.reason(), (422, "wrong-confirmation"));
    let named = json!({ "schema": 1, "system": { "hostname": "edge-1" } });
    assert_eq!(machine.put(0, &named).await.status, 200);
    assert_eq!(reset("causeway").await.reason(), (422, "wrong-confirmation"));
    assert!(!disk.is_wiped() && !disk.restarts());
    assert_eq!(reset("edge-1").await.status, 202);
    assert!(disk.is_wiped() && disk.restarts());
    assert_eq!(disk.table(), before);
    let audited = machine.access.audit_lines();
    assert!(
        audited.iter().any(|line| line.contains("system:factory-reset")),
        "{audited:?}"
    );
}

#[tokio::test]
async fn without_slots_there_is_no_factory_reset() {
    let machine = Machine::new().await;
    let asked = machine
        .ask(
            "POST",
            "/api/v1/system:factory-reset",
            None,
            r#"{"name": "causeway"}"#,
        )
        .await;
    assert_eq!(asked.reason(), (404, "no-slots"));
}

/// What a start did to the state partition is told until the next one.
#[tokio::test]
async fn a_repair_of_the_state_partition_is_told() {
    let (machine, disk) = machine().await;
    let before = told(&machine).await;
    assert_eq!(before["storage"]["reason"], Value::Null);
    assert!(before["storage"]["free_bytes"].as_u64() > Some(0));
    std::fs::write(
        disk.image.join("storage"),
        "state-repaired\nit was repaired: 3 files\n",
    )
    .unwrap();
    let machine = machine.killed().await;
    let after = told(&machine).await;
    check(&machine, &after).await;
    assert_eq!(
        (&after["storage"]["reason"], &after["storage"]["detail"]),
        (&"state-repaired".into(), &"it was repaired: 3 files".into())
    );
    let events = machine.get_text("/api/v1/events").await;
    assert!(events.contains("state-repaired"), "{events}");
}
