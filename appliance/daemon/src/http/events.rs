use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse;
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, oneshot};

use super::error::Error;
use super::query::{Asked, Limit};
use super::router::Published;
use super::stream;
use crate::chronicle::{Event, Followed, From, Gap, Page, Question, Select, Told};

const USUAL: usize = 100;

/// Which events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    connection: Option<String>,
    /// Not older than this, RFC 3339.
    #[serde(default, deserialize_with = "moment")]
    since: Option<i64>,
    /// After the event with this number.
    after: Option<u64>,
    limit: Option<Limit>,
}

/// Some events, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Events {
    #[schemars(with = "Vec<Told>")]
    events: Vec<Value>,
    /// Why some may be missing before them.
    gap: Option<&'static str>,
    /// There are others: older ones, or with `after`, newer ones.
    more: bool,
}

/// `GET /api/v1/events`: the last ones, or with `Accept: text/event-stream` those to come.
pub(crate) async fn events(
    State(published): State<Published>,
    headers: HeaderMap,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Error> {
    let select = Select {
        connection: wanted.connection.clone(),
        since: wanted.since,
    };
    if stream::is_wanted(&headers) {
        let from = beginning(&headers, &wanted);
        let followed = ask(&published, |answer| {
            Question::Follow(from, select.clone(), answer)
        })
        .await?;
        let followed = followed.ok_or(Error::TooManyListeners)?;
        return Ok(streamed(followed, select).into_response());
    }
    let (from, limit) = (
        wanted.after.map(From::After),
        wanted.limit.map_or(USUAL, Limit::items),
    );
    let page = ask(&published, |answer| Question::Read(from, select, limit, answer)).await?;
    Ok(Json(listed(&page)).into_response())
}

/// The last ones of all.
pub(super) async fn last(published: &Published, limit: usize) -> Result<Events, Error> {
    let select = Select::default();
    let page = ask(published, |answer| Question::Read(None, select, limit, answer)).await?;
    Ok(listed(&page))
}

async fn ask<T>(
    published: &Published,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, Error> {
    let (answer, said) = oneshot::channel();
    let sent = published.events.try_send(question(answer));
    sent.map_err(|_| Error::Busy)?;
    said.await.map_err(|_| Error::Busy)
}

fn listed(page: &Page) -> Events {
    // They were JSON when they were written.
    let told = |event: &Arc<Event>| serde_json::from_str(&event.text).unwrap_or_default();
    Events {
        events: page.events.iter().map(told).collect(),
        gap: page.gap.map(Gap::word),
        more: page.more,
    }
}

/// Where a listener goes on, or begins.
fn beginning(headers: &HeaderMap, wanted: &Wanted) -> From {
    match (stream::last_heard(headers).or(wanted.after), wanted.since) {
        (Some(last), _) => From::After(last),
        (None, Some(_)) => From::Oldest,
        (None, None) => From::Now,
    }
}

/// Somebody who listens. What is to be said waits here only while they read; who falls behind is told so, and no more.
struct Listener {
    waiting: VecDeque<sse::Event>,
    past: VecDeque<Arc<Event>>,
    live: broadcast::Receiver<Arc<Event>>,
    select: Select,
    over: bool,
    _place: OwnedSemaphorePermit,
}

fn streamed(followed: Followed, select: Select) -> impl IntoResponse {
    let Followed { past, live, place } = followed;
    let mut waiting = VecDeque::from([stream::opening("events")]);
    waiting.extend(past.gap.map(|gap| stream::gap(gap.word())));
    let listener = Listener {
        waiting,
        past: past.events.into(),
        live,
        select,
        over: false,
        _place: place,
    };
    stream::streamed(unfold(listener, async |mut listener| {
        Some((listener.next().await?, listener))
    }))
}

impl Listener {
    async fn next(&mut self) -> Option<sse::Event> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(event);
        }
        if let Some(event) = self.past.pop_front() {
            return Some(told(&event));
        }
        while !self.over {
            match self.live.recv().await {
                Ok(event) if self.select.wants(&event) => return Some(told(&event)),
                Ok(_) => (),
                Err(RecvError::Lagged(_)) => {
                    self.over = true;
                    return Some(stream::gap(Gap::TooSlow.word()));
                }
                Err(RecvError::Closed) => self.over = true,
            }
        }
        None
    }
}

fn told(event: &Event) -> sse::Event {
    sse::Event::default()
        .id(event.id.to_string())
        .data(event.text.as_ref())
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let moment = OffsetDateTime::parse(&text, &Rfc3339);
    let moment = moment.map_err(|_| de::Error::custom("expected a time such as 2026-01-02T03:04:05Z"))?;
    Ok(Some(moment.unix_timestamp()))
}
