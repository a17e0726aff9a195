//! Power cuts of a machine whose store is on a disk that loses what was not flushed.
//!
//! `power [--cuts=N] [--seed=N]`: a trial that a power cut ends, then N cuts at random moments of a loop of commits.
//! Inside the machine it is the same program: `power write` or `power try`.
#![allow(clippy::print_stdout, reason = "the console of the machine is how it tells")]
#![allow(
    clippy::indexing_slicing,
    reason = "what an answer lacks is null, which no check accepts"
)]

mod cuts;
mod guest;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("power: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut cuts, mut seed) = (5, None);
    for word in std::env::args().skip(1) {
        match word.split_once('=') {
            Some(("--cuts", number)) => cuts = number.parse().context("--cuts")?,
            Some(("--seed", number)) => seed = Some(number.parse().context("--seed")?),
            _ if word == "write" => return guest::write(),
            _ if word == "try" => return guest::try_one(),
            _ => bail!("{word} is not known"),
        }
    }
    let seed = match seed {
        Some(seed) => seed,
        None => u64::from(std::process::id()),
    };
    cuts::trial(seed)?;
    cuts::random(cuts, seed)
}
