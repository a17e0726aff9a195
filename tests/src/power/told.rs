//! What the machine tells by its console, a line each.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Begins every such line.
const MARK: &str = "@power ";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// The disk can be used; the daemon is started next.
    Mounted,
    /// What the daemon had after its start.
    Found(Found),
    /// The daemon is asked for this next.
    Asked(Change),
    /// It has answered that it did what it was asked for, and that this generation runs.
    Done(u32),
}

/// What the daemon is asked for. A value stands in the document, and no two documents have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Commit a document.
    Commit(u64),
    /// Commit one on trial.
    Trial(u64),
    /// Keep what is on trial.
    Confirm,
    /// End the trial.
    Return,
}

/// What a daemon has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The generation that runs.
    pub running: u32,
    /// What stands in the document that runs.
    pub value: u64,
    /// The generation that the next start begins with.
    pub startup: u32,
    /// The generation on trial.
    pub trial: Option<u32>,
    /// What the status says of the store.
    pub damage: Option<String>,
    /// What stands in the document of every generation.
    pub generations: BTreeMap<u32, u64>,
}

impl Told {
    /// As it is printed.
    ///
    /// # Errors
    /// Never, as far as one can see.
    pub fn line(&self) -> Result<String> {
        Ok(format!("{MARK}{}", serde_json::to_string(self)?))
    }

    /// What a line of the console tells, if it is one of these.
    ///
    /// # Errors
    /// When it is garbled.
    pub fn parse(line: &str) -> Result<Option<Self>> {
        let json = line.strip_prefix(MARK).map(serde_json::from_str);
        json.transpose()
            .with_context(|| format!("a garbled line: {line}"))
    }
}
