//! `nft`: our tables, read and replaced. Scripts go in by standard input; what translates is tried first.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use appliance_nat::Counted;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::firewall::Firewall;
use crate::object::Key;
use crate::refusal::Refusal;
use crate::sysctl;

/// How long `nft` may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a script in one transaction.
pub(crate) async fn apply(key: &Key, script: &str) -> Result<(), Refusal> {
    let output = run(&["-f", "-"], script).await;
    granted(key, output)
}

/// The same, if a dry run finds no fault with it.
pub(crate) async fn apply_after_trial(key: &Key, script: String) -> Result<(), Refusal> {
    Tried::begin(script.into()).apply(key).await
}

/// A script that is tried, while another `nft` reads all of it but for its last word. Who drops it ends both.
#[derive(Debug)]
pub(crate) struct Tried {
    script: Arc<str>,
    work: JoinHandle<(Said, io::Result<Started>)>,
}

impl Tried {
    /// Begins.
    pub(crate) fn begin(script: Arc<str>) -> Self {
        let text = Arc::clone(&script);
        let work = tokio::spawn(async move {
            let trial = Started::new(&["-c", "-f", "-"]);
            // By this name it reads what comes as it comes, and not all of it first.
            let mut ready = Started::new(&["-f", "/proc/self/fd/0"]);
            let (trial, ()) = tokio::join!(async { trial?.end(&text).await }, async {
                if let Ok(ready) = &mut ready {
                    ready.read(but_for_the_last_word(&text).0).await;
                }
            });
            (trial, ready)
        });
        Self { script, work }
    }

    /// Whether it is this script that is tried.
    pub(crate) fn is_of(&self, script: &str) -> bool {
        *self.script == *script
    }

    /// Has it done, if no fault was found with it.
    pub(crate) async fn apply(mut self, key: &Key) -> Result<(), Refusal> {
        let (trial, ready) = match (&mut self.work).await {
            Ok(done) => done,
            Err(error) => return granted(key, Err(io::Error::other(error))),
        };
        granted(key, trial)?;
        let (_, last) = but_for_the_last_word(&self.script);
        match async { ready?.end(last).await }.await {
            Ok(Ok(_)) => Ok(()),
            // It may be one that reads by no such name.
            Ok(Err(_)) | Err(_) => apply(key, &self.script).await,
        }
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Without its last word, such as a closing brace or the name of a chain, a script is none: should we die before that is
/// said, `nft` does nothing.
fn but_for_the_last_word(script: &str) -> (&str, &str) {
    let script = script.trim_end();
    let place = script.rfind(char::is_whitespace).map_or(0, |before| before + 1);
    script.split_at(place)
}

fn granted(key: &Key, output: Said) -> Result<(), Refusal> {
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

/// Closes the machine so; its counters go on from what they have counted.
pub(crate) async fn raise(
    key: &Key,
    firewall: &Firewall,
    counted: &BTreeMap<String, Counted>,
) -> Result<(), Refusal> {
    let script = firewall.script(counted).ok_or_else(|| unknown(key))?;
    apply(key, &script).await?;
    sysctl::prepare_tracking();
    Ok(())
}

/// A table whose text we do not have.
pub(crate) fn unknown(key: &Key) -> Refusal {
    Refusal {
        object: key.to_string(),
        attribute: None,
        errno: 0,
        detail: "it was found at start, and nobody knows how to make it".to_owned(),
    }
}

/// What it prints, or what it complains about.
type Said = io::Result<Result<String, String>>;

/// Runs `nft`.
async fn run(arguments: &[&str], input: &str) -> Said {
    Started::new(arguments)?.end(input).await
}

/// `nft` at work. It ends if this is dropped, before it knows that there is no more to read.
#[derive(Debug)]
struct Started {
    child: Child,
    input: Option<ChildStdin>,
}

impl Started {
    fn new(arguments: &[&str]) -> io::Result<Self> {
        let mut child = Command::new("nft")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    /// Gives it this to read, and more is to come.
    async fn read(&mut self, text: &str) {
        if let Some(input) = &mut self.input {
            // A failing nft may close its input early, and one that hangs is found to do so; its exit tells why.
            let _ = timeout(LIMIT, input.write_all(text.as_bytes())).await;
        }
    }

    /// Gives it this to read at last.
    async fn end(mut self, text: &str) -> Said {
        let finished = timeout(LIMIT, async {
            self.read(text).await;
            drop(self.input);
            self.child.wait_with_output().await
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds of scripts end with something without which they are none.
    #[test]
    fn a_script_is_held_back_by_its_last_word() {
        for (script, most, last) in [
            (
                "table inet a {\n\tchain b {\n\t}\n}\n",
                "table inet a {\n\tchain b {\n\t}\n",
                "}",
            ),
            (
                "delete chain inet a b\nadd chain inet a c\n",
                "delete chain inet a b\nadd chain inet a ",
                "c",
            ),
        ] {
            assert_eq!(but_for_the_last_word(script), (most, last));
        }
    }
}
