use std::fmt;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::outcome::Outcome;
use crate::report::push;

/// What the daemon says against a request (RFC 9457).
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    detail: String,
    violations: Vec<Violation>,
    problem: Value,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) detail: String,
}

impl Refusal {
    /// What stands in the body of an answer; none if it is no problem document.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Told {
            detail: String,
            #[serde(default)]
            violations: Vec<Violation>,
        }
        let problem: Value = serde_json::from_slice(body).ok()?;
        let Told { detail, violations } = Told::deserialize(&problem).ok()?;
        Some(Self {
            status,
            detail,
            violations,
            problem,
        })
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The body of the answer.
    pub(super) fn problem(&self) -> &Value {
        &self.problem
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Another generation runs than the one that was named.
    pub(crate) fn is_stale(&self) -> bool {
        self.status == StatusCode::PRECONDITION_FAILED
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                Outcome::NotAllowed
            }
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Outcome::Conflict,
            _ => Outcome::Problems,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        push(&mut text, &self.detail);
        for violation in &self.violations {
            push(&mut text, &violation.to_string());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let where_from = "A token comes from CAUSEWAY_TOKEN or --token-file; an admin makes one: causeway token create";
            push(&mut text, where_from);
        }
        formatter.write_str(text.trim_end())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, reason, detail } = self;
        let path = if path.is_empty() { "/" } else { path };
        write!(formatter, "{path}: {reason}: {detail}")
    }
}
