use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use ike::Snapshot;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

use super::{action, error::Error, status};
use crate::datapath::{DatapathSnapshot, Request};
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
    /// Asks for fresh counters.
    pub(crate) refresh: mpsc::Sender<Request>,
    /// Tells the engine.
    pub(crate) commands: mpsc::Sender<Command>,
}

/// Serves the API until the socket fails.
pub(crate) async fn serve(listener: UnixListener, published: Published) {
    let router = Router::new()
        .route("/api/v1/status", get(status::all))
        .route("/api/v1/status/connections", get(status::connections))
        .route("/api/v1/status/connections/{name}", get(status::connection))
        .route("/api/v1/connections/{action}", post(action::connection))
        .fallback(async || Error::UnknownPath)
        .with_state(published);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::warn!(%error, "the control socket is closed");
    }
}
