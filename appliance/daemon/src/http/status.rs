use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance_config::model::Name;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use ike::{ConnectionName, Snapshot};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::error::Error;
use super::query::{Asked, Limit, encoded, next_page};
use super::router::Published;
use crate::bgp_owner::{self, BgpView};
use crate::control::View;
use crate::datapath::{DatapathSnapshot, Request};
use crate::dhcp::ClientSnapshot;
use crate::firmware::Naming;
use crate::ike_owner::Command;
use crate::journal::Pages;
use crate::signer::KeySnapshots;
use crate::status::{self, ConnectionStatus, InterfaceStatus, KeyStatus, STATES, Status, SystemStatus};
use crate::timekeeping::Timekeeping;

/// How long fresh views are waited for before the last ones are shown.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(500);

/// Which connections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// In one of these states, separated by commas.
    state: Option<String>,
    limit: Option<Limit>,
    /// Those after this name.
    after: Option<String>,
}

/// The last views of the owners.
pub(super) struct Views {
    pub(super) ike: Arc<Snapshot>,
    pub(super) bgp: Arc<BgpView>,
    pub(super) datapath: Arc<DatapathSnapshot>,
    pub(super) dhcp: Arc<BTreeMap<Name, ClientSnapshot>>,
    pub(super) pages: Arc<Pages>,
    pub(super) configuration: Arc<View>,
    pub(super) keys: Arc<KeySnapshots>,
    pub(super) timekeeping: Timekeeping,
    /// Of a firmware image.
    pub(super) naming: Option<Naming>,
}

/// `GET /api/v1/status`.
pub(crate) async fn all(State(published): State<Published>) -> Json<Status> {
    Json(current(&published).await)
}

/// `GET /api/v1/status/system`: what concerns all connections.
pub(crate) async fn system(State(published): State<Published>) -> Json<SystemStatus> {
    let views = fresh(&published).await;
    Json(SystemStatus::new(
        (&views.ike, &views.datapath),
        (&views.pages, &views.timekeeping, views.naming.as_ref()),
        &views.configuration,
        published.started.elapsed(),
    ))
}

/// `GET /api/v1/status/connections`: by name, those in some states, and not all at once.
pub(crate) async fn connections(
    State(published): State<Published>,
    Asked(wanted): Asked<Wanted>,
) -> Result<impl IntoResponse, Error> {
    let states = states(wanted.state.as_deref())?;
    let mut connections = current(&published).await.connections;
    connections.retain(|_, connection| {
        states
            .as_ref()
            .is_none_or(|states| states.contains(connection.state))
    });
    if let Some(after) = &wanted.after {
        connections = connections.split_off(after);
        connections.remove(after);
    }
    let limit = wanted.limit.map_or(usize::MAX, Limit::items);
    let beyond = connections.keys().nth(limit).cloned();
    let mut next = None;
    if let Some(beyond) = beyond {
        connections.split_off(&beyond);
        let state = wanted.state.map(|state| format!("state={}&", encoded(&state)));
        let last = connections.keys().next_back().map(String::as_str);
        next = last.map(|last| {
            let state = state.unwrap_or_default();
            format!("{state}limit={limit}&after={}", encoded(last))
        });
    }
    Ok((next_page(next), Json(connections)))
}

fn states(asked: Option<&str>) -> Result<Option<BTreeSet<&str>>, Error> {
    let Some(asked) = asked else { return Ok(None) };
    let states: BTreeSet<&str> = asked.split(',').collect();
    match states.iter().find(|state| !STATES.contains(state)) {
        None => Ok(Some(states)),
        Some(unknown) => Err(Error::InvalidQuery(format!(
            "state {unknown:?} is none of {}",
            STATES.join(", ")
        ))),
    }
}

/// `GET /api/v1/status/connections/{name}`.
pub(crate) async fn connection(
    State(published): State<Published>,
    Path(name): Path<String>,
) -> Result<Json<ConnectionStatus>, Error> {
    let found = current(&published).await.connections.remove(&name);
    let pages = published.pages.borrow().clone();
    let history = pages.histories.of(&ConnectionName(name.as_str().into()));
    let found = found.map(|found| found.with_events(history));
    found.map(Json).ok_or(Error::UnknownConnection(name))
}

/// `GET /api/v1/status/interfaces`.
pub(crate) async fn interfaces(
    State(published): State<Published>,
) -> Json<BTreeMap<String, InterfaceStatus>> {
    Json(current(&published).await.interfaces)
}

/// `GET /api/v1/status/interfaces/{name}`.
pub(crate) async fn interface(
    State(published): State<Published>,
    Path(name): Path<String>,
) -> Result<Json<InterfaceStatus>, Error> {
    let found = current(&published).await.interfaces.remove(&name);
    found.map(Json).ok_or(Error::UnknownInterface(name))
}

/// `GET /api/v1/status/keys`: private keys by the names of their certificates.
pub(crate) async fn keys(State(published): State<Published>) -> Json<BTreeMap<String, KeyStatus>> {
    Json(status::keys(&published.keys.borrow()))
}

/// `GET /api/v1/status/keys/{name}`.
pub(crate) async fn key(
    State(published): State<Published>,
    Path(name): Path<String>,
) -> Result<Json<KeyStatus>, Error> {
    let found = status::keys(&published.keys.borrow()).remove(&name);
    found.map(Json).ok_or(Error::UnknownKey(name))
}

/// Whether a connection is configured, enabled or not.
pub(super) async fn is_known(published: &Published, name: &str) -> bool {
    current(published).await.connections.contains_key(name)
}

async fn current(published: &Published) -> Status {
    let views = fresh(published).await;
    Status::new(
        (&views.ike, &views.bgp, &views.datapath, &views.dhcp),
        (&views.pages, &views.timekeeping, views.naming.as_ref()),
        (&views.configuration, &views.keys),
        (published.started, Instant::now()),
    )
}

/// What the owners show now, or showed last if they have no time.
pub(super) async fn fresh(published: &Published) -> Views {
    let ((counted, counters), (written, snapshot)) = (oneshot::channel(), oneshot::channel());
    let (spoken, sessions) = oneshot::channel();
    // A full queue or a late answer leaves the last published view, which is shown then.
    let _late = published.refresh.try_send(Request::Refresh(counted));
    let _late = published.commands.try_send(Command::Publish(written));
    let _late = published
        .bgp
        .commands
        .try_send(bgp_owner::Command::Publish(spoken));
    let all = async { (counters.await, snapshot.await, sessions.await) };
    let _late = tokio::time::timeout(REFRESH_TIMEOUT, all).await;
    Views {
        ike: published.ike.borrow().clone(),
        bgp: published.bgp.view.borrow().clone(),
        datapath: published.datapath.borrow().clone(),
        dhcp: published.dhcp.borrow().clone(),
        pages: published.pages.borrow().clone(),
        configuration: published.configuration.borrow().clone(),
        keys: published.keys.borrow().clone(),
        timekeeping: published.timekeeping.borrow().clone(),
        naming: published.firmware.as_ref().map(|firmware| firmware.naming()),
    }
}
