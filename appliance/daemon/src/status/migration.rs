use std::time::Instant;

use ike::Version2Trial;
use schemars::JsonSchema;
use serde::Serialize;

/// Whether the peer of a connection of IKEv1 answers IKEv2. Nothing protects what it says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TrialOfIkev2 {
    /// How long ago it was asked for, or this came of it.
    since_s: u64,
    /// `accepted`, `no-proposal-chosen`, `other-group-wanted`, `refused`, `ikev1-only`, `no-answer` or `no-address`; `awaited` until it is known.
    answer: &'static str,
    /// The IKE proposals that were offered: those of the connection.
    offered: String,
    /// The proposal that the peer takes, the group that it wants, or what else it said.
    said: String,
    next_step: &'static str,
}

impl TrialOfIkev2 {
    /// As the API tells it.
    pub(super) fn new(trial: &Version2Trial, now: Instant) -> Self {
        Self {
            since_s: now.saturating_duration_since(trial.at).as_secs(),
            answer: trial.answer.word(),
            offered: trial.offered.clone(),
            said: trial.said.clone(),
            next_step: trial.answer.next_step(),
        }
    }
}
