use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use futures::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::bgp::known;
use super::body::sent;
use super::error::Error;
use super::mrt::{FileFault, file};
use super::router::Published;
use super::write::Write;
use crate::bgp_owner::{Command, Record, Recorded, Recording};
use crate::clock;

const SHAPE: &str =
    "{ \"neighbour\"?: a name, \"max_bytes\"?: 1024 to 67108864, \"max_seconds\"?: 1 to 86400 }";

const OCTETS: RangeInclusive<u32> = 1024..=64 << 20;
const SECONDS: RangeInclusive<u32> = 1..=86_400;

/// What is to be written down.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Recordable {
    /// The messages of this neighbour only.
    neighbour: Option<String>,
    /// At most so many octets.
    #[schemars(range(min = 1024, max = 67_108_864))]
    max_bytes: u32,
    /// For at most so long.
    #[schemars(range(min = 1, max = 86_400))]
    max_seconds: u32,
}

/// How a recording stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RecordingStatus {
    /// `none` since the daemon started, `recording`, `full` (it goes on, and drops what comes) or `ended`.
    state: &'static str,
    /// The messages of this neighbour only.
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbour: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Messages and changes of state that are written down.
    messages: u64,
    /// How many octets these are.
    bytes: usize,
    /// How many came when there was no more room.
    dropped: u64,
    /// At most so many octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<usize>,
    /// For at most so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_seconds: Option<u64>,
}

/// `GET /api/v1/bgp/recording`.
pub(crate) async fn stands(State(published): State<Published>) -> Result<Json<RecordingStatus>, Error> {
    let recorded = ask(&published, Recording::Stands).await?;
    Ok(Json(RecordingStatus::new(recorded)))
}

/// `POST /api/v1/bgp/recording:start`.
pub(crate) async fn start(
    State(published): State<Published>,
    write: Write,
) -> Result<Json<RecordingStatus>, Error> {
    let wanted = if write.body.is_empty() {
        Recordable::default()
    } else {
        sent(&write.body, SHAPE)?
    };
    if !OCTETS.contains(&wanted.max_bytes) || !SECONDS.contains(&wanted.max_seconds) {
        return Err(Error::InvalidBody(format!("expected {SHAPE}")));
    }
    let neighbour = wanted
        .neighbour
        .map(|name| known(&published, &name))
        .transpose()?;
    let record = Record {
        neighbour,
        octets: usize::try_from(wanted.max_bytes).unwrap_or(usize::MAX),
        time: Duration::from_secs(wanted.max_seconds.into()),
    };
    let recorded = ask(&published, |answer| Recording::Start(record, answer)).await?;
    let recorded = recorded.ok_or(Error::File(FileFault::RecordingRuns))?;
    Ok(Json(RecordingStatus::new(Some(recorded))))
}

/// `POST /api/v1/bgp/recording:stop`.
pub(crate) async fn stop(
    State(published): State<Published>,
    _write: Write,
) -> Result<Json<RecordingStatus>, Error> {
    let recorded = ask(&published, Recording::Stop).await?;
    let recorded = recorded.ok_or(Error::File(FileFault::NoRecording))?;
    Ok(Json(RecordingStatus::new(Some(recorded))))
}

/// `GET /api/v1/bgp/recording.mrt`: what is written down by now (BGP4MP_ET, RFC 6396 §4.4).
pub(crate) async fn written(State(published): State<Published>) -> Result<impl IntoResponse, Error> {
    let parts = ask(&published, Recording::File)
        .await?
        .ok_or(Error::File(FileFault::NoRecording))?;
    let parts = stream::iter(parts.into_iter().map(Ok::<_, Infallible>));
    Ok((file("causeway-recording.mrt"), Body::from_stream(parts)))
}

async fn ask<T>(
    published: &Published,
    question: impl FnOnce(oneshot::Sender<T>) -> Recording,
) -> Result<T, Error> {
    let (answer, said) = oneshot::channel();
    let asked = Command::Record(question(answer));
    let sent = published.bgp.commands.try_send(asked);
    sent.map_err(|_| Error::Busy)?;
    said.await.map_err(|_| Error::Busy)
}

impl RecordingStatus {
    fn new(recorded: Option<Recorded>) -> Self {
        let state = match &recorded {
            None => "none",
            Some(recorded) if !recorded.runs => "ended",
            Some(recorded) if recorded.dropped > 0 => "full",
            Some(_) => "recording",
        };
        let of = recorded.as_ref();
        Self {
            state,
            neighbour: of.and_then(|recorded| Some(recorded.wanted.neighbour.as_ref()?.to_string())),
            since: of.map(|recorded| clock::words(recorded.since)),
            messages: of.map_or(0, |recorded| recorded.records),
            bytes: of.map_or(0, |recorded| recorded.octets),
            dropped: of.map_or(0, |recorded| recorded.dropped),
            max_bytes: of.map(|recorded| recorded.wanted.octets),
            max_seconds: of.map(|recorded| recorded.wanted.time.as_secs()),
        }
    }
}

impl Default for Recordable {
    fn default() -> Self {
        Self {
            neighbour: None,
            max_bytes: 16 << 20,
            max_seconds: 3600,
        }
    }
}
