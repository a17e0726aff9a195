use schemars::JsonSchema;
use serde::Serialize;

use super::report::{OutageStatus, outage};
use crate::clock;
use crate::history::Record;

/// One thing that happened to a connection.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EventStatus {
    /// When it happened last; RFC 3339.
    at: String,
    /// When it happened first, if that was often.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    times: u32,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lasted_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// More, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(flatten)]
    outage: Option<OutageStatus>,
}

impl EventStatus {
    /// As the API tells it.
    pub(super) fn new(record: &Record) -> Self {
        Self {
            at: clock::words(record.last),
            first: (record.times > 1).then(|| clock::words(record.first)),
            times: record.times,
            event: record.word,
            lasted_s: record.lasted.map(|lasted| lasted.as_secs()),
            peer: record.peer.map(|peer| peer.to_string()),
            detail: record.detail.clone(),
            outage: record.outage.as_ref().map(outage),
        }
    }
}
