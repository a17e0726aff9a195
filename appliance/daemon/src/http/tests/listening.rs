use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::machine::{Machine, document};

/// Somebody who listens to events.
struct Ear {
    stream: UnixStream,
    heard: String,
}

impl Ear {
    async fn new(machine: &Machine, query: &str, headers: &str) -> Self {
        let socket = machine.directory.path().join("socket");
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let request = format!(
            "GET /api/v1/events{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut ear = Self {
            stream,
            heard: String::new(),
        };
        ear.until("\r\n\r\n").await;
        ear
    }

    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some((before, after)) = self.heard.split_once(end) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.heard = after;
                return before;
            }
            let mut octets = [0; 65536];
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut octets));
            let read = read.await.expect("nothing is heard").unwrap();
            assert!(read > 0, "the stream ended");
            self.heard.push_str(std::str::from_utf8(&octets[..read]).unwrap());
        }
    }

    /// The next event: its id, and what it says.
    async fn event(&mut self) -> (Option<u64>, Value) {
        loop {
            let text = self.until("\n\n").await;
            let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
            if let Some(data) = line("data: ") {
                let id = line("id: ").map(|id| id.parse().unwrap());
                return (id, serde_json::from_str(data).unwrap());
            }
        }
    }
}

fn word(event: &Value) -> &str {
    event["event"].as_str().unwrap()
}

#[tokio::test]
async fn what_happens_is_heard_and_who_was_away_hears_the_rest() {
    let machine = Machine::configured().await;
    let mut ear = Ear::new(&machine, "", "").await;
    let mut other = document();
    other["connections"]["to-b"]["dpd_timeout_s"] = 60.into();
    assert_eq!(machine.put(1, &other).await.status, 200);
    let (id, event) = ear.event().await;
    assert_eq!((word(&event), &event["generation"]), ("committed", &2.into()));
    assert_eq!(event["id"].as_u64(), id);
    assert!(event["author"].as_str().unwrap().starts_with("uid "));
    drop(ear);
    let put = machine.ask("PUT", "/api/v1/secrets/psk-b", None, "Geheim2").await;
    assert_eq!(put.status, 200);
    let last = format!("Last-Event-ID: {}\r\n", id.unwrap());
    let mut again = Ear::new(&machine, "", &last).await;
    let (next, event) = again.event().await;
    assert_eq!((word(&event), &event["object"]), ("secret-set", &"psk-b".into()));
    assert!(next > id && !event.to_string().contains("Geheim"));
}

#[tokio::test]
async fn who_asks_for_what_is_unknown_hears_of_a_gap() {
    let machine = Machine::configured().await;
    for (last, reason) in [
        ("18446744073709551615", "unknown"),
        ("x", "unknown"),
        ("5", "restarted"),
    ] {
        let mut ear = Ear::new(&machine, "", &format!("Last-Event-ID: {last}\r\n")).await;
        let (id, event) = ear.event().await;
        assert_eq!(
            (id, word(&event), &event["reason"]),
            (None, "gap", &reason.into()),
            "{last}"
        );
    }
}

#[tokio::test]
async fn the_last_events_are_listed_and_outlive_the_daemon() {
    let machine = Machine::configured().await;
    let words = |answer: &Value| -> Vec<String> {
        let events = answer["events"].as_array().unwrap().iter();
        events.map(|event| word(event).to_owned()).collect()
    };
    let list = machine.get("/api/v1/events").await;
    assert_eq!(words(&list.body), ["secret-set", "secret-set", "committed"]);
    let one = machine.get("/api/v1/events?limit=1").await;
    assert_eq!(
        (words(&one.body), &one.body["more"]),
        (vec!["committed".to_owned()], &true.into())
    );
    let first = list.body["events"][0]["id"].as_u64().unwrap();
    let rest = machine.get(&format!("/api/v1/events?after={first}")).await;
    assert_eq!(words(&rest.body), ["secret-set", "committed"]);
    let of_none = machine.get("/api/v1/events?connection=to-x").await;
    assert!(words(&of_none.body).is_empty());
    let later = machine.get("/api/v1/events?since=2999-01-01T00:00:00Z").await;
    assert!(words(&later.body).is_empty());
    for wrong in ["since=yesterday", "after=-1", "limit=0", "x=y"] {
        let answer = machine.get(&format!("/api/v1/events?{wrong}")).await;
        assert_eq!(answer.reason(), (400, "invalid-query"), "{wrong}");
    }
    machine.events_saved().await;
    let machine = machine.killed().await;
    let kept = machine.get("/api/v1/events").await;
    assert_eq!(words(&kept.body), ["secret-set", "secret-set", "committed"]);
    let gap = machine.get(&format!("/api/v1/events?after={first}")).await;
    assert_eq!(gap.body["gap"], "restarted");
}

/// Memory does not grow for those who do not read.
#[tokio::test]
async fn who_does_not_keep_up_is_told_and_let_go() {
    let machine = Machine::configured().await;
    let mut ear = Ear::new(&machine, "", "").await;
    for _ in 0..20_000 {
        machine
            .teller
            .tell(crate::chronicle::News::new("noise").detail("x".repeat(200)));
        if machine.teller.is_full() {
            machine.get("/api/v1/events?limit=1").await;
        }
    }
    machine.get("/api/v1/events?limit=1").await;
    let mut last = ear.event().await.1;
    while word(&last) == "noise" {
        last = ear.event().await.1;
    }
    assert_eq!((word(&last), &last["reason"]), ("gap", &"too-slow".into()));
}

#[tokio::test]
async fn no_more_listen_than_there_is_room_for() {
    let machine = Machine::configured().await;
    let mut ears = Vec::new();
    for _ in 0..32 {
        ears.push(Ear::new(&machine, "", "").await);
    }
    let headers = "Accept: text/event-stream\r\n";
    let refused = machine.send("GET", "/api/v1/events", headers, b"").await;
    assert_eq!(refused.reason(), (503, "too-many-listeners"));
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
}
