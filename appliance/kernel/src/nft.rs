//! `nft`: our tables, read and replaced. Scripts go in by standard input; what translates is tried first.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use appliance_nat::Counted;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::object::Key;
use crate::refusal::Refusal;
use crate::sysctl;
use crate::translation::Translation;

/// How long `nft` may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a script in one transaction.
pub(crate) async fn apply(key: &Key, script: &str) -> Result<(), Refusal> {
    let output = run(&["-f", "-"], script).await;
    granted(key, output)
}

/// The same, if a dry run finds no fault with it.
pub(crate) async fn apply_after_trial(key: &Key, script: &str) -> Result<(), Refusal> {
    let output = run(&["-c", "-f", "-"], script).await;
    granted(key, output)?;
    apply(key, script).await
}

fn granted(key: &Key, output: io::Result<Result<String, String>>) -> Result<(), Refusal> {
    let said = output.map_err(|error| Refusal {
        detail: format!("nft cannot be run ({error}); install the package nftables again"),
        ..Refusal::from_io(key, &error)
    })?;
    said.map(|_| ()).map_err(|said| Refusal {
        object: key.to_string(),
        attribute: None,
        errno: 0,
        detail: format!(
            "nft says: {}; install the package nftables again, and report this if it stays",
            said.trim()
        ),
    })
}

/// A table of ours as it is, if it is there.
pub(crate) async fn found<T>(table: &str, read: impl FnOnce(&str) -> T) -> Option<T> {
    let listing = run(&["list", "table", "inet", table], "").await.ok()?.ok()?;
    Some(read(&listing))
}

/// Lets the table translate so; its counters go on from what they have counted.
pub(crate) async fn translate(
    key: &Key,
    translation: &Translation,
    counted: &BTreeMap<String, Counted>,
) -> Result<(), Refusal> {
    let script = translation.script(counted).ok_or_else(|| Refusal {
        object: key.to_string(),
        attribute: None,
        errno: 0,
        detail: "it was found at start, and nobody knows how to make it".to_owned(),
    })?;
    apply_after_trial(key, &script).await?;
    sysctl::prepare_tracking();
    Ok(())
}

/// Runs `nft`: what it prints, or what it complains about.
async fn run(arguments: &[&str], input: &str) -> io::Result<Result<String, String>> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let finished = timeout(LIMIT, async {
        if let Some(mut stdin) = child.stdin.take() {
            // A failing nft may close its input early; its exit tells why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    });
    let output = finished
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    Ok(if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    })
}
