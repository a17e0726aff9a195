use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse;
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use ike::ConnectionName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::query::Asked;
use super::router::Published;
use super::{status, stream};
use crate::ike_log::{IkeLogReader, Line, Read};
use crate::status::IkeLogLine;

/// Which lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// After the line with this number.
    after: Option<u64>,
}

/// What IKE did for a connection lately.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IkeLines {
    /// Oldest first: at most 200, and 64 KiB of them.
    lines: Vec<IkeLogLine>,
    /// Lines after the one that was asked for are not kept any more.
    gap: bool,
}

/// `GET /api/v1/status/connections/{name}/log`: the last lines, or with `Accept: text/event-stream` those to come.
pub(crate) async fn log(
    State(published): State<Published>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Error> {
    let connection = ConnectionName(name.as_str().into());
    let reader = published.ike_log.clone();
    let after = stream::last_heard(&headers).or(wanted.after);
    let read = reader.read(&connection, after);
    if read.is_none() && !status::is_known(&published, &name).await {
        return Err(Error::UnknownConnection(name));
    }
    if stream::is_wanted(&headers) {
        let place = Arc::clone(&reader.places).try_acquire_owned();
        let place = place.map_err(|_| Error::TooManyListeners)?;
        let after = after.unwrap_or_else(|| reader.last());
        return Ok(streamed((reader, connection), after, place).into_response());
    }
    let Read { lines, gap } = read.unwrap_or(Read {
        lines: Vec::new(),
        gap: false,
    });
    let lines = lines.iter().map(|line| IkeLogLine::new(line)).collect();
    Ok(Json(IkeLines { lines, gap }).into_response())
}

/// Somebody who listens. No more waits for them than the log keeps.
struct Listener {
    waiting: VecDeque<sse::Event>,
    reader: IkeLogReader,
    connection: ConnectionName,
    after: u64,
    _place: OwnedSemaphorePermit,
}

fn streamed(
    (reader, connection): (IkeLogReader, ConnectionName),
    after: u64,
    place: OwnedSemaphorePermit,
) -> impl IntoResponse {
    let listener = Listener {
        waiting: VecDeque::from([stream::opening("log")]),
        reader,
        connection,
        after,
        _place: place,
    };
    stream::streamed(unfold(listener, async |mut listener| {
        Some((listener.next().await?, listener))
    }))
}

impl Listener {
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            // A connection that is removed has no log any more; it may come back.
            let read = self.reader.read(&self.connection, Some(self.after));
            let Read { lines, gap } = read.unwrap_or(Read {
                lines: Vec::new(),
                gap: false,
            });
            self.after = lines.last().map_or(self.after, |line| line.id);
            let gap = (gap && !lines.is_empty()).then(|| stream::gap("forgotten"));
            self.waiting
                .extend(gap.into_iter().chain(lines.iter().map(|line| told(line))));
            if self.waiting.is_empty() && !self.reader.changed().await {
                return None;
            }
        }
    }
}

fn told(line: &Line) -> sse::Event {
    let text = serde_json::to_string(&IkeLogLine::new(line)).unwrap_or_default();
    sse::Event::default().id(line.id.to_string()).data(text)
}
