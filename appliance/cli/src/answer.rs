use serde_json::{Value, json};

use crate::client::Error;
use crate::outcome::Outcome;

/// What a command has to say: for a script and for a human.
pub(crate) struct Answer {
    json: Value,
    text: String,
    outcome: Outcome,
}

/// What a command comes to.
pub(crate) type Done = Result<Answer, Error>;

impl Answer {
    /// It is done; `json` is what the daemon said.
    pub(crate) fn done(json: Value, text: String) -> Self {
        Self {
            json,
            text,
            outcome: Outcome::Done,
        }
    }

    /// The same with another exit status.
    pub(crate) fn with(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What is printed.
    pub(crate) fn print(&self, as_json: bool) -> String {
        match (&self.json, as_json) {
            (_, false) => self.text.clone(),
            (Value::Null, true) => format!("{}\n", json!({})),
            (json, true) => format!("{json:#}\n"),
        }
    }
}
