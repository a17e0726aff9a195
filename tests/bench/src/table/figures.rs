//! What something cost speakers, side by side.

use std::time::Duration;

use anyhow::{Context, Result};

use super::daemon::Daemon;
use crate::{median, print};

/// What something cost a speaker.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From its begin until the sink was told all.
    pub wall: Duration,
    /// Processor time until then.
    pub processor: Duration,
    /// Processor time until the speaker had nothing more to do.
    pub at_rest: Duration,
    /// The most memory that it had by then.
    pub peak: u64,
}

/// Rounds of a measurement, for each speaker.
pub struct Rounds {
    name: &'static str,
    figures: Vec<(Daemon, Vec<Figures>)>,
}

impl Rounds {
    /// None yet.
    pub fn new(name: &'static str, daemons: &[Daemon]) -> Self {
        let figures = daemons.iter().map(|daemon| (*daemon, Vec::new()));
        Self {
            name,
            figures: figures.collect(),
        }
    }

    /// Measures each once more, in turn.
    ///
    /// # Errors
    /// What the measurement of one says.
    pub fn turn(&mut self, measure: impl Fn(Daemon) -> Result<Figures>) -> Result<()> {
        for (daemon, figures) in &mut self.figures {
            let measured = measure(*daemon).with_context(|| daemon.to_string())?;
            print(&format!("{}/{daemon} {measured:?}", self.name));
            figures.push(measured);
        }
        Ok(())
    }

    /// Prints the medians of ours beside those of each peer.
    ///
    /// # Errors
    /// When nothing was measured.
    pub fn print(&self) -> Result<()> {
        let (ours, peers) = self.figures.split_first().context("nobody was measured")?;
        for peer in peers {
            self.line(("cpu", "ms"), ours, peer, |one| one.processor.as_millis())?;
            self.line(("cpu-at-rest", "ms"), ours, peer, |one| one.at_rest.as_millis())?;
            self.line(("wall", "ms"), ours, peer, |one| one.wall.as_millis())?;
            self.line(("memory", "KiB"), ours, peer, |one| u128::from(one.peak / 1024))?;
        }
        Ok(())
    }

    fn line(
        &self,
        (what, unit): (&str, &str),
        (_, ours): &(Daemon, Vec<Figures>),
        (peer, theirs): &(Daemon, Vec<Figures>),
        of: impl Fn(&Figures) -> u128,
    ) -> Result<()> {
        let middle =
            |figures: &[Figures]| median(figures.iter().map(&of).collect()).context("nothing was measured");
        let (ours, theirs) = (middle(ours)?, middle(theirs)?);
        let hundredths = ours * 100 / theirs.max(1);
        print(&format!(
            "{}/{peer}/{what} ours={ours}{unit} peer={theirs}{unit} ratio={}.{:02}",
            self.name,
            hundredths / 100,
            hundredths % 100
        ));
        Ok(())
    }
}
