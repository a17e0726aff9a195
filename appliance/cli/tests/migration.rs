//! Trying IKEv2 with a peer of IKEv1.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use daemon::{Daemon, against, causeway};

/// The command waits for what comes of it; a script hears by the exit status whether the peer could speak IKEv2.
#[test]
fn a_trial_of_ikev2_is_waited_for_and_told() {
    let status = |answer: &str, said: &str| {
        format!(
            r#"{{"state":"up","ikev2":{{"since_s":0,"answer":"{answer}","offered":"A/B/C","said":"{said}","next_step":"Do it."}}}}"#
        )
    };
    let awaited = status("awaited", "");
    for (word, said, outcome) in [
        ("accepted", "A/B/C", 0),
        ("ikev1-only", "", 1),
        ("no-answer", "", 1),
    ] {
        let known = status(word, said);
        let daemon = Daemon::giving(&[("202 Accepted", ""), ("200 OK", &awaited), ("200 OK", &known)]);
        let ended = causeway(&daemon.socket(), &["try-ikev2", "to-b"]);
        let requests = daemon.requests();
        assert!(requests[0].starts_with("POST /api/v1/connections/to-b:try-ikev2 "));
        let line = if said.is_empty() { "" } else { "  said     A/B/C\n" };
        let expected =
            format!("to-b\n  IKEv2    {word}, tried 0 s ago\n  offered  A/B/C\n{line}  do next  Do it.\n");
        assert_eq!((ended.out, ended.status), (expected, outcome));
    }
    let known = status("refused", "notify 7");
    let (_, ended) = against("200 OK", &known, &["status", "to-b"]);
    assert!(
        ended.out.contains("  IKEv2    refused, tried 0 s ago\n"),
        "{}",
        ended.out
    );
    let body = r#"{"reason":"speaks-ikev2","detail":"connection \"to-b\" speaks IKEv2 already"}"#;
    let (_, ended) = against("409 Conflict", body, &["try-ikev2", "to-b"]);
    assert_eq!(ended.err, "causeway: connection \"to-b\" speaks IKEv2 already\n");
}
