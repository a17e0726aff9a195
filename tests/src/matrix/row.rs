//! What became of one cell.

use serde::{Deserialize, Serialize};

/// What a line of the test program's output that carries a row begins with.
const MARK: &str = "MATRIX ";

/// What became of one cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Who took part, with versions.
    pub parties: String,
    /// One value per column of [`super::table::VARIED`].
    pub varied: Vec<String>,
    /// What was done while traffic flowed, in order.
    pub steps: Vec<Step>,
    /// How long the whole took.
    pub milliseconds: u64,
    /// Why it is not as it should be: the step, and what was wrong.
    pub failure: Option<String>,
}

/// One thing done to a tunnel while traffic flowed both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// One of [`super::table::STEPS`].
    pub name: String,
    /// Pings without an answer.
    pub lost: usize,
    /// Packets that the peer lost by itself before they left it.
    pub lost_by_peer: usize,
    /// Pings sent.
    pub sent: usize,
    /// The longest time without an answered ping.
    pub silence_milliseconds: u64,
}

impl Row {
    /// One line that [`Row::parse`] understands.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn line(&self) -> serde_json::Result<String> {
        Ok(format!("{MARK}{}", serde_json::to_string(self)?))
    }

    /// The row that a line of output carries, if it does.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }
}
