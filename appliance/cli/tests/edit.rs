//! `config edit` with editors that do one thing each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use daemon::{Daemon, Ended, run};
use tempfile::TempDir;

const RUNS: (&str, &str) = (
    "200 OK\r\netag: \"6\"",
    r#"{"connections":{"to-b":{"mtu":1400}}}"#,
);
const REPORT: &str = r#"{"generation":7,"unchanged":false,
    "difference":[{"path":"/connections/to-b/mtu","before":1400,"after":1300}],
    "impact":{"connections":{"changed_in_place":["to-b"]}}}"#;
const TRIAL: &str = r#"{"generation":7,"unchanged":false,"confirm_within_s":60,"difference":[],"impact":{}}"#;

/// Edits with this editor in a folder of its own for temporary files.
fn edit(daemon: &Daemon, folder: &TempDir, editor: &str, arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command
        .arg("--socket")
        .arg(daemon.socket())
        .args(["config", "edit"])
        .args(arguments);
    command
        .env("TMPDIR", folder.path())
        .env("EDITOR", editor)
        .env_remove("VISUAL");
    run(&mut command, input)
}

/// The documents that are still there.
fn kept(folder: &TempDir) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    folders
        .filter(|path| path.is_dir())
        .map(|path| path.join("config.json"))
        .collect()
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn what_was_edited_is_committed_once_that_is_said() {
    let daemon = Daemon::giving(&[
        RUNS,
        ("200 OK", REPORT),
        ("200 OK", TRIAL),
        ("200 OK", r#"{"generation":7}"#),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let modes = "stat -c %a \"$(dirname $1)\" \"$1\" > $TMPDIR/modes; sed -i s/1400/1300/";
    let arguments = ["--confirm-within", "60", "--comment", "less"];
    let ended = edit(&daemon, &folder, modes, &arguments, "y\ny\n");
    assert_eq!(ended.out, "Generation 7 is confirmed.\n", "{}", ended.err);
    assert_eq!(ended.status, 0);
    for told in [
        "~ /connections/to-b/mtu: 1400 -> 1300\n",
        "connections changed in place: to-b\n",
        "Generation 7 runs for 60 s",
    ] {
        assert!(ended.err.contains(told), "{}", ended.err);
    }
    let requests = daemon.requests();
    let commit = &requests[2];
    assert!(
        commit.starts_with("PUT /api/v1/config?confirm_within_s=60&comment=less "),
        "{commit}"
    );
    assert!(commit.contains("if-match: \"6\""), "{commit}");
    assert_eq!(
        body(commit),
        "{\n  \"connections\": {\n    \"to-b\": {\n      \"mtu\": 1300\n    }\n  }\n}\n"
    );
    assert!(
        requests[3].starts_with("POST /api/v1/config:confirm "),
        "{}",
        requests[3]
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("modes")).unwrap(),
        "700\n600\n"
    );
    assert_eq!(kept(&folder), Vec::<PathBuf>::new());
}

/// First a document that is no JSON, then one with a violation, then a good one: each time what is wrong stands above the
/// line where it is.
#[test]
fn what_is_wrong_is_shown_in_place_until_it_is_right() {
    let violation = r#"{"reason":"invalid-document","detail":"one problem","violations":[
        {"path":"/connections/to-b/mtu","reason":"out-of-range","detail":"576 to 9216"}]}"#;
    let daemon = Daemon::giving(&[
        RUNS,
        ("422 Unprocessable Entity", violation),
        ("200 OK", REPORT),
        ("200 OK", REPORT),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("editor");
    fs::write(
        &script,
        "n=$(ls $TMPDIR | grep -c seen); cp $1 $TMPDIR/seen$n\n\
         case $n in 0) sed -i s/1400/1x/ $1;; 1) sed -i s/1x/1/ $1;; 2) sed -i 's/: 1$/: 1300/' $1;; esac\n",
    )
    .unwrap();
    let editor = format!("sh {}", script.display());
    let ended = edit(&daemon, &folder, &editor, &[], "y\n\ny\n");
    assert_eq!(ended.out, "Generation 7 runs.\n", "{}", ended.err);
    let seen = |number| fs::read_to_string(folder.path().join(format!("seen{number}"))).unwrap();
    assert!(seen(1).contains("# no JSON: "), "{}", seen(1));
    let marked = "    \"to-b\": {\n# /connections/to-b/mtu: out-of-range: 576 to 9216\n      \"mtu\": 1\n";
    assert!(seen(2).contains(marked), "{}", seen(2));
    let told = "line 5: /connections/to-b/mtu: out-of-range: 576 to 9216\n";
    assert!(ended.err.contains(told), "{}", ended.err);
    let requests = daemon.requests();
    assert!(!body(&requests[2]).contains('#') && body(&requests[3]).contains("1300"));
}

/// Whoever was faster is told with what he changed, and what was edited stays.
#[test]
fn a_conflict_shows_what_the_other_changed_and_loses_nothing() {
    let stale = r#"{"reason":"stale","detail":"generation 8 runs"}"#;
    let history = r#"{"current":8,"startup":8,"trial":null,"generations":[
        {"generation":8,"at":"2026-01-02T03:04:05Z","author":"alice","source":"api","comment":"mine"},
        {"generation":6,"at":"2026-01-02T03:04:04Z","author":"bob","source":"api","comment":"old"}]}"#;
    let daemon = Daemon::giving(&[
        RUNS,
        ("200 OK", REPORT),
        ("412 Precondition Failed", stale),
        ("200 OK\r\netag: \"8\"", "{}"),
        ("200 OK", history),
        (
            "200 OK",
            r#"{"from":6,"to":8,"difference":[{"path":"/sites/c","after":1}]}"#,
        ),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let ended = edit(&daemon, &folder, "sed -i s/1400/1300/", &[], "y\n");
    assert_eq!((ended.out.as_str(), ended.status), ("", 4));
    for told in ["alice  mine", "+ /sites/c: 1", "--from 8", "generation 8 runs"] {
        assert!(ended.err.contains(told), "{}", ended.err);
    }
    assert!(!ended.err.contains("bob"), "{}", ended.err);
    assert!(daemon.requests()[5].starts_with("GET /api/v1/generations/6..8 "));
    let kept = kept(&folder);
    assert_eq!(kept.len(), 1);
    assert!(ended.err.contains(kept[0].to_str().unwrap()), "{}", ended.err);
    assert!(fs::read_to_string(&kept[0]).unwrap().contains("1300"));
    assert_eq!(mode(&kept[0]), 0o600);
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn nothing_is_committed_without_a_yes_or_without_a_change() {
    let folder = tempfile::tempdir().unwrap();
    for input in ["n\n", "", "\n"] {
        let daemon = Daemon::giving(&[RUNS, ("200 OK", REPORT)]);
        let ended = edit(&daemon, &folder, "sed -i s/1400/1300/", &[], input);
        assert_eq!(ended.status, 6, "{}", ended.err);
        daemon.requests();
    }
    assert_eq!(kept(&folder).len(), 3);

    let folder = tempfile::tempdir().unwrap();
    let same = r#"{"generation":6,"unchanged":true}"#;
    let daemon = Daemon::giving(&[RUNS, ("200 OK", same)]);
    let ended = edit(&daemon, &folder, "true", &[], "");
    assert_eq!((ended.out.as_str(), ended.status), ("Nothing is changed.\n", 0));
    let daemon = Daemon::giving(&[RUNS]);
    let ended = edit(&daemon, &folder, "/nonexistent/editor", &[], "");
    assert!(ended.err.contains("EDITOR"), "{}", ended.err);
    assert_eq!((ended.status, kept(&folder).len()), (2, 0));
}
