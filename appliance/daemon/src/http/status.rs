use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use ike::ConnectionName;
use tokio::sync::oneshot;

use super::error::Error;
use super::router::Published;
use crate::datapath::Request;
use crate::ike_owner::Command;
use crate::status::{ConnectionStatus, Status};

/// How long fresh views are waited for before the last ones are shown.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(500);

/// `GET /api/v1/status`.
pub(crate) async fn all(State(published): State<Published>) -> Json<Status> {
    Json(current(&published).await)
}

/// `GET /api/v1/status/connections`.
pub(crate) async fn connections(
    State(published): State<Published>,
) -> Json<BTreeMap<String, ConnectionStatus>> {
    Json(current(&published).await.connections)
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

async fn current(published: &Published) -> Status {
    let ((counted, counters), (written, snapshot)) = (oneshot::channel(), oneshot::channel());
    // A full queue or a late answer leaves the last published view, which is shown then.
    let _late = published.refresh.try_send(Request::Refresh(counted));
    let _late = published.commands.try_send(Command::Publish(written));
    let _late = tokio::time::timeout(REFRESH_TIMEOUT, async { (counters.await, snapshot.await) }).await;
    let (ike, datapath) = (
        published.ike.borrow().clone(),
        published.datapath.borrow().clone(),
    );
    let pages = published.pages.borrow().clone();
    let configuration = published.configuration.borrow().clone();
    Status::new((&ike, &datapath), &pages, &configuration, Instant::now())
}
