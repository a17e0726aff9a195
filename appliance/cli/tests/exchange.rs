//! Exports and imports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use daemon::{Daemon, against, causeway, fed};
use serde_json::{Value, json};
use tempfile::TempDir;

const EXPORT: &str =
    r#"{"format":1,"causeway":"0.1.0","at":"T","generation":7,"document":{},"sealed":{"by":"argon2id"}}"#;
const PASSPHRASE: &str = "correct horse battery";

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn sent(request: &str) -> Value {
    json_of(request.split_once("\r\n\r\n").unwrap().1)
}

/// A folder with a passphrase in it, and where that is.
fn with_passphrase(mode: u32) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passphrase");
    fs::write(&file, format!("{PASSPHRASE}\n")).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    (folder, file)
}

#[test]
fn an_export_goes_to_a_file_for_nobody_else_with_secrets_under_a_passphrase() {
    let (folder, passphrase) = with_passphrase(0o600);
    let to = folder.path().join("export.json");
    fs::write(&to, "an older one").unwrap();
    let arguments = [
        "export",
        to.to_str().unwrap(),
        "--passphrase-file",
        passphrase.to_str().unwrap(),
    ];
    let (request, ended) = fed("200 OK", EXPORT, &arguments, "");
    assert!(request.starts_with("POST /api/v1/export "), "{request}");
    assert_eq!(sent(&request), json!({ "passphrase": PASSPHRASE }));
    assert!(
        ended.out.contains("Generation 7") && ended.out.contains("with its secrets"),
        "{} {}",
        ended.out,
        ended.err
    );
    assert_eq!(json_of(&fs::read_to_string(&to).unwrap()), json_of(EXPORT));
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

    let (request, ended) = fed(
        "200 OK",
        EXPORT,
        &["export", "-", "--passphrase-file", "-"],
        "typed one\n",
    );
    assert_eq!(sent(&request), json!({ "passphrase": "typed one" }));
    assert_eq!(json_of(&ended.out), json_of(EXPORT));
    let (request, ended) = against("200 OK", EXPORT, &["export", "-"]);
    assert_eq!(request, "GET /api/v1/export HTTP/1.1");
    assert_eq!(ended.status, 0);
}

#[test]
fn an_export_that_lacks_secrets_is_written_and_is_no_success() {
    let lacking = r#"{"generation":7,"unreadable":["psk-b"]}"#;
    let (_, ended) = fed(
        "200 OK",
        lacking,
        &["export", "-", "--passphrase-file", "-"],
        "typed one\n",
    );
    assert!(ended.err.contains("psk-b"), "{}", ended.err);
    assert_eq!((json_of(&ended.out), ended.status), (json_of(lacking), 2));
}

#[test]
fn a_passphrase_that_others_may_read_is_not_used() {
    let (folder, passphrase) = with_passphrase(0o644);
    let socket = folder.path().join("none.sock");
    let arguments = ["export", "-", "--passphrase-file", passphrase.to_str().unwrap()];
    let ended = causeway(&socket, &arguments);
    assert!(ended.err.contains("chmod 600"), "{}", ended.err);
    assert_eq!(ended.status, 2);
}

#[test]
fn an_import_says_what_it_does_and_which_secrets_stay_behind() {
    let (folder, passphrase) = with_passphrase(0o600);
    let from = folder.path().join("export.json");
    fs::write(&from, EXPORT).unwrap();
    let from = from.to_str().unwrap();
    let report = r#"{"generation":8,"unchanged":false,"confirm_within_s":60,"impact":{"connections":{"added":["to-b"]}}}"#;
    let daemon = Daemon::giving(&[("200 OK\r\netag: \"7\"", "{}"), ("200 OK", report)]);
    let arguments = [
        "import",
        from,
        "--confirm-within",
        "60",
        "--passphrase-file",
        passphrase.to_str().unwrap(),
    ];
    let ended = causeway(&daemon.socket(), &arguments);
    assert_eq!(
        ended.out,
        "connections added: to-b\nGeneration 8 runs for 60 s. To keep it: causeway config confirm\n",
        "{}",
        ended.err
    );
    let request = daemon.requests().remove(1);
    assert!(
        request.starts_with("POST /api/v1/import?confirm_within_s=60 "),
        "{request}"
    );
    assert!(request.contains("if-match: \"7\"\r\n"), "{request}");
    let whole = json!({ "export": json_of(EXPORT), "passphrase": PASSPHRASE });
    assert_eq!(sent(&request), whole);
}

#[test]
fn an_import_says_when_only_secrets_change_and_when_they_stay_behind() {
    let (folder, passphrase) = with_passphrase(0o600);
    let from = folder.path().join("export.json");
    fs::write(&from, EXPORT).unwrap();
    let from = from.to_str().unwrap();
    let report = r#"{"generation":8,"unchanged":false}"#;
    let same = r#"{"generation":8,"unchanged":true}"#;
    let arguments = [
        "import",
        from,
        "--from",
        "7",
        "--passphrase-file",
        passphrase.to_str().unwrap(),
    ];
    let (_, ended) = fed("200 OK", same, &arguments, "");
    let told = "The document stays as it is, generation 8; the secrets are those of the export.\n";
    assert_eq!((ended.out.as_str(), ended.status), (told, 0));

    let (request, ended) = fed("200 OK", report, &["import", from, "--from", "3"], "");
    assert!(request.contains("if-match: \"3\"\r\n"), "{request}");
    assert_eq!(sent(&request), json!({ "export": json_of(EXPORT) }));
    assert!(
        ended.out.contains("not imported: that needs --passphrase-file"),
        "{}",
        ended.out
    );
    let wrong = r#"{"reason":"wrong-passphrase","detail":"the passphrase is another one"}"#;
    let (_, ended) = fed(
        "422 Unprocessable Entity",
        wrong,
        &["import", from, "--from", "3"],
        "",
    );
    assert_eq!((ended.out.as_str(), ended.status), ("", 2));
    let (_, ended) = fed(
        "412 Precondition Failed",
        wrong,
        &["import", from, "--from", "3"],
        "",
    );
    assert_eq!(ended.status, 4);
}
