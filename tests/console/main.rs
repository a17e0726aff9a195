//! The web console as an admin uses it: Chromium at a host behind a gateway, a real tunnel to a real strongSwan.
//!
//! `console [--stay]`: runs `web-ui/tests/main.mjs`, which drives the browser and asks the stage to act at the peer; with
//! `--stay` the stage is set up, its address and code are told, and it stays until it is interrupted.
#![allow(clippy::print_stdout, reason = "what was seen goes to standard output")]

mod browser;
mod disk;
mod stage;

use std::process::ExitCode;

use anyhow::Result;
use system_tests::lab::run::{Run, wait_for_interrupt};

use stage::Stage;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("console: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every flow went as it should.
fn run() -> Result<bool> {
    let run = Run::new()?;
    let mut stage = Stage::new(&run)?;
    if std::env::args().any(|argument| argument == "--stay") {
        println!("host: {}", stage.host().name());
        println!("address: https://10.1.0.1:8443/");
        println!("code: {}", stage.code()?);
        println!("folder: {}", run.folder().display());
        wait_for_interrupt()?;
        return Ok(true);
    }
    let passed = browser::run(&mut stage)?;
    if !passed {
        run.print_logs();
    }
    Ok(passed)
}
