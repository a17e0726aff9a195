//! `nft`: our tables, read and replaced. Scripts go in by standard input, after a dry run.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use appliance_nat::Counted;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::mark;
use crate::object::Key;
use crate::refusal::Refusal;
use crate::sysctl;
use crate::translation::Translation;

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

/// A table of ours as it is, if it is there.
pub(crate) async fn found<T>(table: &str, read: impl FnOnce(&str) -> T) -> Option<T> {
    let listing = run(&["list", "table", "inet", table], "").await.ok()?.ok()?;
    Some(read(&listing))
}

/// Lets the table translate so; what its counters have counted stays.
pub(crate) async fn translate(key: &Key, translation: &Translation) -> Result<(), Refusal> {
    // Without a table there are none.
    let counted = counters(key).await.unwrap_or_default();
    let script = translation.script(&counted).ok_or_else(|| Refusal {
        object: key.to_string(),
        attribute: None,
        errno: 0,
        detail: "it was found at start, and nobody knows how to make it".to_owned(),
    })?;
    apply(key, &script).await?;
    sysctl::prepare_tracking();
    Ok(())
}

/// What the counters of the table have counted.
pub(crate) async fn counters(key: &Key) -> Result<BTreeMap<String, Counted>, Refusal> {
    let listed = run(
        &["list", "counters", "table", "inet", mark::TRANSLATION_TABLE],
        "",
    )
    .await;
    let listed = listed.map_err(|error| Refusal::from_io(key, &error))?;
    let listing = listed.map_err(|detail| Refusal {
        object: key.to_string(),
        attribute: None,
        errno: 0,
        detail,
    })?;
    Ok(counted(&listing))
}

/// Reads `counter NAME {`, and in the next line `packets N bytes M`.
fn counted(listing: &str) -> BTreeMap<String, Counted> {
    let lines = listing.lines().map(str::trim);
    let pairs = lines.clone().zip(lines.skip(1));
    let counter = |(head, body): (&str, &str)| {
        let name = head.strip_prefix("counter ")?.strip_suffix(" {")?;
        let (packets, bytes) = body.strip_prefix("packets ")?.split_once(" bytes ")?;
        let counted = Counted {
            packets: packets.parse().ok()?,
            bytes: bytes.parse().ok()?,
        };
        Some((name.trim_matches('"').to_owned(), counted))
    };
    pairs.filter_map(counter).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As nft 1.0.6 prints them.
    #[test]
    fn counters_are_read() {
        let listing = "table inet causeway_nat {\n\tcounter web.1a2b {\n\t\tpackets 3 bytes 252\n\t}\n\n\
                       \tcounter \"a-b.0c0d\" {\n\t\tpackets 0 bytes 0\n\t}\n}\n";
        let expected = [("a-b.0c0d", 0, 0), ("web.1a2b", 3, 252)];
        let expected = expected.map(|(name, packets, bytes)| (name.to_owned(), Counted { packets, bytes }));
        assert_eq!(counted(listing), expected.into());
        assert_eq!(counted("table inet causeway_nat {\n}\n"), BTreeMap::new());
    }
}
