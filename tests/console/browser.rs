//! The flows in the browser, which ask the stage for what happens elsewhere.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::json;

use crate::stage::Stage;

/// What begins a line with which a flow asks the stage for something.
const WISH: &str = "wish: ";

/// Runs the flows at the host; lines that are no wishes are passed on. Whether all went well.
pub(crate) fn run(stage: &mut Stage) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no root")?;
    let mut node = Command::new("setpriv");
    node.args(["--pdeathsig", "TERM", "--", "node", "tests/main.mjs"])
        .args(std::env::args().skip(1))
        .current_dir(root.join("web-ui"))
        .env("CONSOLE", "https://10.1.0.1:8443")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = {
        let _inside = stage.host().enter()?;
        node.spawn().context("starting node")?
    };
    let mut answers = child.stdin.take().context("no standard input")?;
    let said = child.stdout.take().context("no standard output")?;
    for line in BufReader::new(said).lines() {
        let line = line?;
        let Some(wish) = line.strip_prefix(WISH) else {
            println!("{line}");
            continue;
        };
        let answer = match stage.act(wish) {
            Ok(value) => json!({ "value": value }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        writeln!(answers, "{answer}")?;
    }
    Ok(child.wait()?.success())
}
