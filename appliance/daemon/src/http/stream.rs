//! Answers that go on (server-sent events, WHATWG HTML §9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt};
use serde_json::json;

/// A comment so often keeps proxies from closing what is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a listener that was cut off comes back.
const RETRY: Duration = Duration::from_secs(2);

/// Whether a client wants to hear what is to come.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accepts.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// The number of the last that a client heard before it was cut off; one that we never gave if it is none.
pub(super) fn last_heard(headers: &HeaderMap) -> Option<u64> {
    let last = headers.get("last-event-id")?;
    let number = last.to_str().ok().and_then(|last| last.parse().ok());
    Some(number.unwrap_or(u64::MAX))
}

/// What a stream begins with.
pub(super) fn opening(comment: &str) -> Event {
    Event::default().retry(RETRY).comment(comment)
}

/// Something may be missing here.
pub(super) fn gap(reason: &str) -> Event {
    let why = json!({ "event": "gap", "reason": reason });
    Event::default().event("gap").data(why.to_string())
}

/// The answer that goes on so.
pub(super) fn streamed(events: impl Stream<Item = Event> + Send + 'static) -> impl IntoResponse {
    let events = events.map(Ok::<_, Infallible>);
    Sse::new(Box::pin(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
