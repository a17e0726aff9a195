//! `nft`: our table, read and replaced. Scripts go in by standard input, after a dry run.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::mark;
use crate::object::Key;
use crate::refusal::Refusal;
use crate::ruleset::Ruleset;

/// How long `nft` may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a script in one transaction, if a dry run finds no fault with it.
pub(crate) async fn apply(key: &Key, script: &str) -> Result<(), Refusal> {
    for arguments in [["-c", "-f", "-"].as_slice(), &["-f", "-"]] {
        let output = run(arguments, script)
            .await
            .map_err(|error| Refusal::from_io(key, &error))?;
        if let Err(detail) = output {
            return Err(Refusal {
                object: key.to_string(),
                attribute: None,
                errno: 0,
                detail,
            });
        }
    }
    Ok(())
}

/// Our table as it is, if it is there.
pub(crate) async fn found() -> Option<Ruleset> {
    let listing = run(&["list", "table", "inet", mark::NFT_TABLE], "")
        .await
        .ok()?
        .ok()?;
    Some(Ruleset::from_listing(&listing))
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
