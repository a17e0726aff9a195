use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use appliance_config::model::Name;
use axum::Router;
use axum::routing::{get, post};
use ike::Snapshot;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

use super::error::Error;
use super::peer::Peer;
use super::{action, audit, config, events, generation, metrics, secret, status};
use crate::chronicle::Question;
use crate::control::{Order, View};
use crate::datapath::{DatapathSnapshot, Request};
use crate::dhcp::ClientSnapshot;
use crate::ike_owner::Command;
use crate::journal::Pages;

/// What the owners let be seen, and where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// The engine's view.
    pub(crate) ike: watch::Receiver<Arc<Snapshot>>,
    /// What happened.
    pub(crate) pages: watch::Receiver<Arc<Pages>>,
    /// The datapath's view.
    pub(crate) datapath: watch::Receiver<Arc<DatapathSnapshot>>,
    /// What the DHCP clients are doing.
    pub(crate) dhcp: watch::Receiver<Arc<BTreeMap<Name, ClientSnapshot>>>,
    /// Which configuration runs.
    pub(crate) configuration: watch::Receiver<Arc<View>>,
    /// Asks for fresh counters.
    pub(crate) refresh: mpsc::Sender<Request>,
    /// Tells the engine.
    pub(crate) commands: mpsc::Sender<Command>,
    /// Asks the owner of the configuration.
    pub(crate) orders: mpsc::Sender<Order>,
    /// Asks what happened.
    pub(crate) events: mpsc::Sender<Question>,
    /// When causewayd started.
    pub(crate) started: Instant,
}

/// Serves the API until the socket fails.
pub(crate) async fn serve(listener: UnixListener, published: Published) {
    let router = Router::new()
        .route("/api/v1/status", get(status::all))
        .route("/api/v1/status/connections", get(status::connections))
        .route("/api/v1/status/connections/{name}", get(status::connection))
        .route("/api/v1/status/system", get(status::system))
        .route("/api/v1/status/interfaces", get(status::interfaces))
        .route("/api/v1/status/interfaces/{name}", get(status::interface))
        .route("/api/v1/connections/{action}", post(action::connection))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/audit", get(audit::lines))
        .route("/api/v1/metrics", get(metrics::metrics))
        .merge(configuration())
        .fallback(async || Error::UnknownPath)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .with_state(published);
    let service = router.into_make_service_with_connect_info::<Peer>();
    if let Err(error) = axum::serve(listener, service).await {
        tracing::warn!(%error, "the control socket is closed");
    }
}

/// The document, its history, and the secrets that it names.
fn configuration() -> Router<Published> {
    let document = get(config::get).put(config::put).patch(config::patch);
    let part = document.clone().delete(config::delete);
    let secret = get(secret::one)
        .put(secret::put)
        .delete(secret::delete)
        .post(secret::generate);
    Router::new()
        .route("/api/v1/config", document)
        .route("/api/v1/config/{collection}", part.clone())
        .route("/api/v1/config/{collection}/{name}", part)
        .route("/api/v1/config:check", post(config::check))
        .route("/api/v1/config:confirm", post(config::confirm))
        .route("/api/v1/config:rollback", post(config::rollback))
        .route("/api/v1/schema.json", get(config::schema))
        .route("/api/v1/generations", get(generation::all))
        .route("/api/v1/generations/{which}", get(generation::some))
        .route("/api/v1/secrets", get(secret::all))
        .route("/api/v1/secrets/{name}", secret)
}
