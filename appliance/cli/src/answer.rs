use serde_json::{Value, json};

use crate::client::Error;
use crate::outcome::Outcome;

/// What a command has to say: for a script and for a human.
pub(crate) struct Answer {
    json: Value,
    text: String,
    silent: bool,
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
            silent: false,
            outcome: Outcome::Done,
        }
    }

    /// The same with another exit status.
    pub(crate) fn with(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// The same, where all is said already.
    pub(crate) fn silent(self) -> Self {
        Self { silent: true, ..self }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What is printed.
    pub(crate) fn print(&self, as_json: bool) -> String {
        if self.silent {
            return String::new();
        }
        match (&self.json, as_json) {
            (_, false) => self.text.clone(),
            (Value::Null, true) => format!("{}\n", json!({})),
            (json, true) => format!("{json:#}\n"),
        }
    }
}
