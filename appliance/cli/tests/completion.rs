//! Words completed as a shell would have it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use std::path::Path;
use std::process::Command;

use daemon::{Daemon, causeway, run};

/// What bash is offered for the last of these words.
fn offered(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command
        .env("CAUSEWAY_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_IFS", "\n")
        .arg("--")
        .args(words);
    run(&mut command, "").out
}

#[test]
fn each_shell_gets_a_script_and_needs_no_daemon() {
    let nowhere = Path::new("/nonexistent/control.sock");
    for shell in ["bash", "zsh", "fish"] {
        let ended = causeway(nowhere, &["completion", shell]);
        assert!(ended.out.contains("CAUSEWAY_COMPLETE"), "{shell}: {}", ended.err);
        assert_eq!(ended.status, 0);
    }
    assert_eq!(causeway(nowhere, &["completion", "tcsh"]).status, 2);
}

#[test]
fn commands_and_names_of_connections_and_secrets_are_offered() {
    assert_eq!(offered(&["causeway", "config", "hi"]), "history");
    for (command, path) in [
        (&["status"][..], "/api/v1/config/connections"),
        (&["rekey"], "/api/v1/config/connections"),
        (&["secret", "remove"], "/api/v1/secrets"),
        (&["token", "remove"], "/api/v1/tokens"),
        (&["user", "password"], "/api/v1/users"),
        (&["show"], "/api/v1/config"),
        (&["bgp", "peers"], "/api/v1/status/bgp/peers"),
        (&["bgp", "clear"], "/api/v1/status/bgp/peers"),
        (&["bgp", "routes", "--neighbour"], "/api/v1/status/bgp/peers"),
    ] {
        let daemon = Daemon::giving(&[("200 OK", r#"{"to-b":{},"to-c":{},"other":{}}"#)]);
        let socket = daemon.socket().display().to_string();
        let words = [&["causeway", "--socket", &socket][..], command, &["to-"]].concat();
        assert_eq!(offered(&words), "to-b\nto-c", "{command:?}");
        let requests = daemon.requests();
        assert!(
            requests
                .iter()
                .all(|request| request.starts_with(&format!("GET {path} ")))
        );
    }
    assert_eq!(
        offered(&["causeway", "--socket", "/nonexistent", "status", "to-"]),
        ""
    );
}
