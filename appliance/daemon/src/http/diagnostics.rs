use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::error::{Error, ask};
use super::events::{self, Events};
use super::generation::{self, Generations};
use super::router::Published;
use super::{bgp, certificates, revocation, status};
use crate::clock;
use crate::control::Order;
use crate::logbook::{LOGBOOK, Log};
use crate::status::{KeyStatus, ListStatus, PeerStatus, Status, TimelineStatus};

/// So many events are told, the last ones.
const EVENTS: usize = 1000;

/// What helps somebody else to see what is amiss: how everything stands, what happened, and the document; no secret, and no key
/// but public ones.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Diagnostics {
    /// The version of the program.
    causeway: &'static str,
    /// RFC 3339.
    at: String,
    status: Status,
    bgp_peers: BTreeMap<String, PeerStatus>,
    keys: BTreeMap<String, KeyStatus>,
    certificates: TimelineStatus,
    revocation_lists: BTreeMap<String, ListStatus>,
    /// The documents that are kept, by their headings.
    generations: Generations,
    /// The document that runs, as it was written. It names secrets and has none.
    document: Value,
    /// The last 1,000.
    events: Events,
    /// What was logged last, at most 512 KiB.
    log: Log,
}

/// `GET /api/v1/diagnostics`.
pub(crate) async fn bundle(State(published): State<Published>) -> Result<impl IntoResponse, Error> {
    let here = || State(published.clone());
    let Json(status) = status::all(here()).await;
    let Json(bgp_peers) = bgp::all(here()).await;
    let Json(keys) = status::keys(here()).await;
    let Json(certificates) = certificates::timeline(here()).await?;
    let Json(revocation_lists) = revocation::told(here()).await;
    let Json(generations) = generation::all(here()).await?;
    let running = ask(&published, Order::Read).await?;
    let diagnostics = Diagnostics {
        causeway: env!("CARGO_PKG_VERSION"),
        at: clock::words(SystemTime::now()),
        status,
        bgp_peers,
        keys,
        certificates,
        revocation_lists,
        generations,
        document: running.written.clone(),
        events: events::last(&published, EVENTS).await?,
        log: LOGBOOK.told(),
    };
    let name = "attachment; filename=\"causeway-diagnostics.json\"";
    Ok(([(CONTENT_DISPOSITION, name)], Json(diagnostics)))
}
