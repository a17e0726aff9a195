//! The tiers of the tests, as the architecture names them, and their summary.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use system_tests::matrix::row::Row;

use crate::image;
use crate::matrix;
use crate::step;
use crate::steps::{self, Step};

/// A tier of the tests, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    /// Format, lints and house rules.
    Check,
    /// One rule at a time, beside the code.
    Unit,
    /// Two engines over a lossy network, in virtual time.
    Pair,
    /// Decoders and engines under stored and found bytes.
    Fuzz,
    /// Real packets through real gateways, over the user-space datapath.
    Interop,
    /// The web console in Chromium, beside a gateway with a real tunnel.
    Ui,
    /// The same as interop over the kernel we ship, in a virtual machine; power cuts of such a machine.
    Vm,
    /// The firmware image: made twice, and booted as a box does.
    Upgrade,
}

impl Tier {
    const ALL: [Self; 8] = [
        Self::Check,
        Self::Unit,
        Self::Pair,
        Self::Fuzz,
        Self::Interop,
        Self::Ui,
        Self::Vm,
        Self::Upgrade,
    ];

    fn steps(self, full: bool) -> Result<Vec<Step>> {
        match self {
            Self::Check => steps::check(full),
            Self::Unit => steps::unit(),
            Self::Pair => Ok(steps::pair(full)),
            Self::Fuzz => steps::fuzz(full),
            Self::Interop => steps::interop(full),
            Self::Ui => steps::console(),
            Self::Vm => steps::machines(full),
            Self::Upgrade => image::tier(full),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Check => "check",
            Self::Unit => "unit",
            Self::Pair => "pair",
            Self::Fuzz => "fuzz",
            Self::Interop => "interop",
            Self::Ui => "ui",
            Self::Vm => "vm",
            Self::Upgrade => "upgrade",
        })
    }
}

/// Runs the tiers named, or all, and prints what became of each.
pub(crate) fn run(tiers: &[Tier], full: bool) -> Result<bool> {
    let chosen = if tiers.is_empty() { &Tier::ALL[..] } else { tiers };
    let (mut results, mut rows) = (Vec::new(), Vec::new());
    for tier in chosen {
        println!("\n=== {tier}");
        let start = Instant::now();
        let before = rows.len();
        let failed = run_tier(*tier, full, &mut rows);
        matrix::show(rows.get(before..).unwrap_or_default());
        results.push((*tier, failed, start.elapsed()));
    }
    matrix::keep(&rows)?;
    println!("\n=== summary");
    for (tier, failed, took) in &results {
        println!("{}", summary(*tier, failed, *took));
    }
    Ok(results.iter().all(|(_, failed, _)| failed.is_empty()))
}

/// The steps of one tier that failed; all are run, and what they tell of the interop matrix is added to `rows`.
fn run_tier(tier: Tier, full: bool, rows: &mut Vec<Row>) -> Vec<String> {
    let steps = match tier.steps(full) {
        Ok(steps) => steps,
        Err(error) => return vec![format!("preparation ({error:#})")],
    };
    let mut failed = Vec::new();
    for (title, mut command) in steps {
        match step::run_for_rows(&title, &mut command, rows) {
            Ok(true) => (),
            Ok(false) => failed.push(title),
            Err(error) => failed.push(format!("{title} ({error:#})")),
        }
    }
    failed
}

fn summary(tier: Tier, failed: &[String], took: Duration) -> String {
    let seconds = took.as_secs();
    let time = format!("{}:{:02} min", seconds / 60, seconds % 60);
    match failed {
        [] => format!("{tier:<8} passed  {time}"),
        steps => format!("{tier:<8} FAILED  {time}  {}", steps.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_what_failed() {
        let took = Duration::from_secs(83);
        assert_eq!(summary(Tier::Unit, &[], took), "unit     passed  1:23 min");
        let failed = ["lints".to_owned(), "format".to_owned()];
        assert_eq!(
            summary(Tier::Check, &failed, took),
            "check    FAILED  1:23 min  lints, format"
        );
    }
}
