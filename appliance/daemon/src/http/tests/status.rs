use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use ike::{
    ConnectionName, ConnectionSnapshot, ConnectionState, DropCause, Event, LineSnapshot, LineStanding,
    LogLine, Outage, Reason, ReauthenticationSnapshot, Side, Snapshot, Stage, TrafficSelector,
    Version2Answer, Version2Trial, WeakAlgorithm,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use super::machine::speaking;
use crate::access::Access;
use crate::chronicle::Teller;
use crate::datapath::{DatapathSnapshot, Kind, Refused, Request};
use crate::history::Moment;
use crate::http::{Published, router, serve};
use crate::ike_owner::Command;
use crate::journal::{Journal, Pages};
use crate::revocation::Cache;
use crate::timekeeping::Timekeeping;

struct Rig {
    directory: tempfile::TempDir,
    _commands: mpsc::Receiver<Command>,
    _refresh: mpsc::Receiver<Request>,
    journal: Journal,
}

/// The API over published views, and owners that never answer.
fn start() -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
    let (commands, heard) = mpsc::channel(8);
    let (refresh, asked) = mpsc::channel(8);
    let ike = watch::channel(Arc::new(snapshot())).1;
    let mut first = DatapathSnapshot::first(Kind::User, "asked for".to_owned());
    first.interfaces.insert(name(), "cw-to-b".to_owned());
    first.carried_over.insert(name());
    first.refused.push(Refused {
        object: "link cw-x".to_owned(),
        attribute: None,
        detail: "no".to_owned(),
    });
    let datapath = watch::channel(Arc::new(first)).1;
    let (journal, pages) = pages();
    let pages = watch::channel(Arc::new(pages)).1;
    tokio::spawn(serve(
        listener,
        router(Published {
            ike,
            pages,
            ike_log: journal.log(),
            datapath,
            dhcp: watch::channel(Arc::default()).1,
            keys: tokio::sync::watch::channel(std::sync::Arc::default()).1,
            lists: crate::revocation::start(mpsc::channel(1).0, Cache::new(None), Teller::to_nobody()),
            timekeeping: watch::channel(Timekeeping::default()).1,
            configuration: watch::channel(Arc::default()).1,
            bgp: speaking(&refresh, &Teller::to_nobody()).0,
            refresh,
            commands,
            orders: mpsc::channel(1).0,
            events: mpsc::channel(1).0,
            started: Instant::now(),
            access: Arc::new(Access::new(None).unwrap()),
            https: None,
            firmware: None,
        }),
    ));
    Rig {
        directory,
        _commands: heard,
        _refresh: asked,
        journal,
    }
}

fn name() -> ConnectionName {
    ConnectionName("to-b".into())
}

fn outage() -> Outage {
    Outage {
        reason: Reason::AuthenticationFailed,
        side: Side::Peer,
        stage: Stage::IkeAuth,
        offered: "psk".to_owned(),
        expected: String::new(),
    }
}

/// It came up, went down after a minute, failed thrice, and the clock jumped on 2 January 2026.
fn pages() -> (Journal, Pages) {
    let mut journal = Journal::new(Teller::to_nobody());
    let (wall, monotonic) = (UNIX_EPOCH + Duration::from_secs(1_767_323_045), Instant::now());
    let at = |seconds, jump| Moment {
        wall: wall + Duration::from_secs(seconds + jump),
        monotonic: monotonic + Duration::from_secs(seconds),
    };
    journal.configured([name()].iter());
    journal.look_at_clock(at(0, 0));
    journal.record(Event::Up(name()), at(0, 0));
    journal.record(Event::Down(name(), outage()), at(60, 0));
    for attempt in 1..=3 {
        journal.record(Event::AttemptFailed(name(), outage()), at(60 + attempt, 0));
    }
    journal.record(
        Event::PeerMoved(name(), "192.0.2.9:4500".parse().unwrap()),
        at(64, 0),
    );
    journal.record(Event::Version2Tried(name(), trial()), at(64, 0));
    journal.look_at_clock(at(65, 3600));
    journal.log_message(&name(), line("AUTHENTICATION_FAILED"), at(70, 0));
    let pages = journal.pages(at(66, 3600), 7);
    (journal, pages)
}

fn line(says: &str) -> LogLine {
    LogLine {
        side: Side::Peer,
        exchange: "IKE_AUTH".to_owned(),
        message: "response 1".to_owned(),
        repeat: 0,
        says: says.to_owned(),
        dropped: None,
        ago: Duration::from_millis(1500),
    }
}

fn trial() -> Version2Trial {
    Version2Trial {
        at: Instant::now(),
        answer: Version2Answer::OtherGroup,
        offered: "AES_CBC_256/PRF_HMAC_SHA2_256/ECP_256".to_owned(),
        said: "MODP_2048".to_owned(),
    }
}

fn snapshot() -> Snapshot {
    let (state, since) = (ConnectionState::Down, Instant::now());
    let connection = ConnectionSnapshot {
        lines: vec![LineSnapshot {
            local: vec![TrafficSelector::any_ipv4()],
            remote: vec![TrafficSelector::any_ipv6()],
            standing: LineStanding::Refused(outage()),
        }],
        state,
        since,
        outage: Some(outage()),
        ike: None,
        reauthentication: ReauthenticationSnapshot {
            due: Some(since + Duration::from_secs(3600)),
            under_way: true,
            outage: Some(outage()),
        },
        version_2: Some(trial()),
        children: Vec::new(),
        weak: vec![WeakAlgorithm {
            algorithm: "MODP_1024".to_owned(),
            why: "within reach",
            in_use: false,
        }],
    };
    Snapshot {
        connections: [(name(), connection)].into(),
        drops: [(DropCause::Malformed, 3)].into(),
        half_open: 1,
    }
}

/// Status and body of the answer.
async fn ask(directory: &Path, method: &str, path: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(directory.join("socket")).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn status_is_told_though_the_owners_are_busy() {
    let rig = start();
    let (code, status) = ask(rig.directory.path(), "GET", "/api/v1/status").await;
    assert_eq!(code, 200);
    assert_eq!(status["datapath"], json!({ "kind": "user", "why": "asked for" }));
    assert_eq!(status["drops"], json!({ "malformed": 3, "overload": 7 }));
    assert_eq!(status["kernel"]["refused"][0]["object"], "link cw-x");
    let connection = &status["connections"]["to-b"];
    assert_eq!(
        (&connection["state"], &connection["interface"]),
        (&json!("down"), &json!("cw-to-b"))
    );
    assert_eq!(connection["carried_over"], true);
    let reauthentication = &connection["reauthentication"];
    assert!((3500..=3600).contains(&reauthentication["due_in_s"].as_u64().unwrap()));
    assert_eq!(
        (&reauthentication["under_way"], &reauthentication["outage"]),
        (&json!(true), &connection["outage"])
    );
    assert_eq!(connection["outage"]["reason"], "authentication-failed");
    assert_eq!(
        (&connection["outage"]["side"], &connection["outage"]["stage"]),
        (&json!("peer"), &json!("ike-auth"))
    );
    assert_eq!(
        connection["weak"],
        json!([{ "algorithm": "MODP_1024", "why": "within reach", "in_use": false }])
    );
    assert_eq!(
        connection["lines"],
        json!([{ "local": ["0.0.0.0/0"], "remote": ["::/0"], "state": "refused", "outage": connection["outage"] }])
    );
    let (_, one) = ask(rig.directory.path(), "GET", "/api/v1/status/connections/to-b").await;
    assert_eq!(one["outage"], connection["outage"]);
}

/// What happened to one connection is told with times, and not in the list of all.
#[tokio::test]
async fn events_are_told_of_one_connection() {
    let rig = start();
    let (_, all) = ask(rig.directory.path(), "GET", "/api/v1/status").await;
    assert_eq!(all["connections"]["to-b"].get("events"), None);
    let (_, one) = ask(rig.directory.path(), "GET", "/api/v1/status/connections/to-b").await;
    // What the first look at the clock says depends on when this was built.
    let is_clock = |event: &&Value| event["event"] == "clock";
    let events: Vec<_> = one["events"]
        .as_array()
        .unwrap()
        .iter()
        .skip_while(is_clock)
        .collect();
    let words: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        words,
        [
            "up",
            "down",
            "attempt-failed",
            "peer-moved",
            "ikev2-tried",
            "clock"
        ]
    );
    assert_eq!(events[4]["detail"], "other-group-wanted: MODP_2048");
    let trial = &one["ikev2"];
    assert_eq!(
        (&trial["answer"], &trial["said"]),
        (&json!("other-group-wanted"), &json!("MODP_2048"))
    );
    assert_eq!(trial["offered"], "AES_CBC_256/PRF_HMAC_SHA2_256/ECP_256");
    assert!(trial["next_step"].as_str().unwrap().contains("group"), "{trial}");
    assert_eq!(
        (&events[0]["at"], &events[1]["lasted_s"]),
        (&json!("2026-01-02T03:04:05Z"), &json!(60))
    );
    assert_eq!(
        (&events[1]["reason"], &events[1]["next_step"]),
        (&json!("authentication-failed"), &one["outage"]["next_step"])
    );
    assert_eq!(
        (&events[2]["times"], &events[2]["first"], &events[2]["at"]),
        (
            &json!(3),
            &json!("2026-01-02T03:05:06Z"),
            &json!("2026-01-02T03:05:08Z")
        )
    );
    assert_eq!(events[3]["peer"], "192.0.2.9:4500");
    assert_eq!(
        (&events[5]["reason"], &events[5]["offered"]),
        (&json!("clock"), &json!("2026-01-02T04:05:10Z, 3600 s forwards"))
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let rig = start();
    for (method, path, reason) in [
        ("GET", "/api/v2/status", "unknown-path"),
        ("GET", "/api/v1/status/connections/nope", "unknown-connection"),
        ("POST", "/api/v1/connections/to-b:explode", "unknown-action"),
        ("POST", "/api/v1/connections/to-b", "unknown-action"),
    ] {
        let (code, body) = ask(rig.directory.path(), method, path).await;
        assert_eq!((code, &body["reason"]), (404, &json!(reason)), "{path}");
        assert_eq!(
            (&body["status"], &body["title"]),
            (&json!(404), &json!("Not Found"))
        );
    }
}

/// Messages and what came of them, in order; the moment of a message is its own.
#[tokio::test]
async fn the_log_of_a_connection_has_messages_and_outcomes() {
    let rig = start();
    let path = "/api/v1/status/connections/to-b/log";
    let (status, log) = ask(rig.directory.path(), "GET", path).await;
    assert_eq!(status, 200);
    let lines = log["lines"].as_array().unwrap();
    let words: Vec<_> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    let failed = ["attempt-failed"; 3];
    assert_eq!(
        words,
        [&["up", "down"][..], &failed, &["peer-moved", "ikev2-tried"]].concat()
    );
    assert_eq!(lines[1]["reason"], "authentication-failed");
    let mut message = lines.last().unwrap().clone();
    let id = message
        .as_object_mut()
        .unwrap()
        .remove("id")
        .unwrap()
        .as_u64()
        .unwrap();
    let expected = json!({
        "at": "2026-01-02T03:05:13.5Z", "side": "peer", "exchange": "IKE_AUTH", "message": "response 1",
        "says": "AUTHENTICATION_FAILED",
    });
    assert_eq!(message, expected);
    let (_, rest) = ask(rig.directory.path(), "GET", &format!("{path}?after={}", id - 1)).await;
    assert_eq!(
        (rest["lines"].as_array().unwrap().len(), &rest["gap"]),
        (1, &json!(false))
    );
    let (status, unknown) = ask(rig.directory.path(), "GET", "/api/v1/status/connections/nope/log").await;
    assert_eq!((status, &unknown["reason"]), (404, &json!("unknown-connection")));
}

/// What is kept comes first, and then each line as it is written.
#[tokio::test]
async fn the_log_of_a_connection_is_heard_as_it_is_written() {
    let mut rig = start();
    let mut stream = UnixStream::connect(rig.directory.path().join("socket"))
        .await
        .unwrap();
    let request = "GET /api/v1/status/connections/to-b/log?after=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = String::new();
    for says in ["AUTHENTICATION_FAILED", "INITIAL_CONTACT"] {
        if says == "INITIAL_CONTACT" {
            rig.journal.log_message(&name(), line(says), Moment::now());
        }
        while !heard.contains(says) {
            let mut octets = [0; 65536];
            let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut octets));
            let read = read.await.expect("nothing is heard").unwrap();
            assert!(read > 0, "the stream ended: {heard}");
            heard.push_str(std::str::from_utf8(&octets[..read]).unwrap());
        }
    }
    assert_eq!(heard.matches("AUTHENTICATION_FAILED").count(), 1, "{heard}");
    assert!(
        heard.contains("200 OK") && !heard.contains("event: gap"),
        "{heard}"
    );
}
