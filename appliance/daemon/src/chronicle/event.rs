use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;

use super::news::News;
use crate::clock;
use crate::status::{OutageStatus, outage};

/// Something that happened, with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Greater than that of every event before it, also of earlier runs.
    pub(crate) id: u64,
    /// When, in seconds since 1970.
    pub(crate) at: i64,
    /// To which connection.
    pub(crate) connection: Option<Box<str>>,
    /// All that is told of it, JSON on one line.
    pub(crate) text: Box<str>,
}

/// An event as it is told.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub(crate) struct Told {
    id: u64,
    at: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lasted_s: Option<u64>,
    #[serde(flatten)]
    outage: Option<OutageStatus>,
}

impl Event {
    /// News with their number.
    pub(super) fn new(id: u64, news: News) -> Self {
        let since = news.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let connection = news.connection.as_ref().map(|name| name.0.to_string());
        let told = Told {
            id,
            at: clock::words(news.at),
            event: news.word,
            connection: connection.clone(),
            generation: news.generation,
            author: news.author,
            object: news.object,
            detail: news.detail,
            peer: news.peer.map(|peer| peer.to_string()),
            lasted_s: news.lasted.as_ref().map(Duration::as_secs),
            outage: news
                .outage
                .as_ref()
                .map(outage)
                .or(news.end.as_ref().map(OutageStatus::of_session)),
        };
        Self {
            id,
            at: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            connection: connection.map(Into::into),
            // Nothing in it can fail to become JSON.
            text: serde_json::to_string(&told).unwrap_or_default().into(),
        }
    }
}
