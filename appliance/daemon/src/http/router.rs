use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use appliance_config::model::Name;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};
use axum::{Extension, Router};
use ike::Snapshot;
use tokio::sync::{mpsc, watch};

use super::error::Error;
use super::gate::gate;
use super::{
    action, assets, audit, bgp, capture, certificate, certificates, comparison, config, diagnostics, events,
    exchange, firmware, generation, ike_log, metrics, mrt, nat, openapi, recording, revocation, secret,
    session, status, token, trial, user, verification,
};
use crate::access::Access;
use crate::bgp_owner::Speaking;
use crate::capture::Captures;
use crate::chronicle::Question;
use crate::control::{Order, View};
use crate::datapath::{DatapathSnapshot, Request};
use crate::dhcp::ClientSnapshot;
use crate::firmware::Firmware;
use crate::https::Https;
use crate::ike_log::IkeLogReader;
use crate::ike_owner::Command;
use crate::journal::Pages;
use crate::revocation::Lists;
use crate::signer::KeySnapshots;
use crate::timekeeping::Timekeeping;

/// What the owners let be seen, and where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// The engine's view.
    pub(crate) ike: watch::Receiver<Arc<Snapshot>>,
    /// What happened.
    pub(crate) pages: watch::Receiver<Arc<Pages>>,
    /// What IKE did for each connection.
    pub(crate) ike_log: IkeLogReader,
    /// The BGP speaker: its view, and where it is told and asked.
    pub(crate) bgp: Speaking,
    /// The datapath's view.
    pub(crate) datapath: watch::Receiver<Arc<DatapathSnapshot>>,
    /// What the DHCP clients are doing.
    pub(crate) dhcp: watch::Receiver<Arc<BTreeMap<Name, ClientSnapshot>>>,
    /// How private keys do.
    pub(crate) keys: watch::Receiver<Arc<KeySnapshots>>,
    /// Lists of revoked certificates.
    pub(crate) lists: Lists,
    /// How the clock does.
    pub(crate) timekeeping: watch::Receiver<Timekeeping>,
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
    /// Who may do what.
    pub(crate) access: Arc<Access>,
    /// The API over the network, where it is.
    pub(crate) https: Option<Arc<Https>>,
    /// The slots of the firmware image, where this machine has them.
    pub(crate) firmware: Option<Arc<Firmware>>,
}

/// The API. What a route is open to stands in `access/routes.rs`.
pub(crate) fn router(published: Published) -> Router {
    Router::new()
        .route("/api/v1/status", get(status::all))
        .route("/api/v1/status/connections", get(status::connections))
        .route("/api/v1/status/connections/{name}", get(status::connection))
        .route("/api/v1/status/connections/{name}/log", get(ike_log::log))
        .route("/api/v1/status/system", get(status::system))
        .route("/api/v1/status/interfaces", get(status::interfaces))
        .route("/api/v1/status/interfaces/{name}", get(status::interface))
        .route("/api/v1/status/keys", get(status::keys))
        .route("/api/v1/status/keys/{name}", get(status::key))
        .route("/api/v1/certificates", get(certificates::all))
        .route("/api/v1/certificates:verify", post(verification::verify))
        .route("/api/v1/certificates:timeline", get(certificates::timeline))
        .route(
            "/api/v1/certificates/{name}",
            get(certificates::one).post(certificates::act),
        )
        .route("/api/v1/trust", get(certificates::trust))
        .route("/api/v1/trust/{name}", get(certificates::trust_of))
        .route("/api/v1/key-providers/{action}", post(certificates::try_provider))
        .route("/api/v1/status/revocation-lists", get(revocation::told))
        .route("/api/v1/revocation-lists:refresh", post(revocation::refresh))
        .route("/api/v1/status/nat", get(nat::rules))
        .route("/api/v1/explain/nat", post(nat::explain))
        .route("/api/v1/explain/routes", post(comparison::compare))
        .route("/api/v1/status/bgp/peers", get(bgp::all))
        .route("/api/v1/status/bgp/peers/{name}", get(bgp::one))
        .route("/api/v1/status/bgp/routes", get(bgp::routes))
        .route("/api/v1/status/bgp/explain", get(bgp::explain))
        .route("/api/v1/bgp/peers/{action}", post(bgp::act))
        .route("/api/v1/bgp/table.mrt", get(mrt::table))
        .route("/api/v1/bgp/table:try", post(trial::file))
        .route("/api/v1/connections/{action}", post(action::connection))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/audit", get(audit::lines))
        .route("/api/v1/export", get(exchange::plain).post(exchange::sealed))
        .route("/api/v1/import", post(exchange::import))
        .route("/api/v1/metrics", get(metrics::metrics))
        .route("/api/v1/diagnostics", get(diagnostics::bundle))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/api/v1/firmware", get(firmware::told))
        .route("/api/v1/firmware:upload", post(firmware::upload))
        .route("/api/v1/firmware:install", post(firmware::install))
        .route("/api/v1/system:factory-reset", post(firmware::factory_reset))
        .route("/api/v1/firmware:schedule", post(firmware::schedule))
        .route("/api/v1/firmware:cancel", post(firmware::cancel))
        .route("/api/v1/firmware:mark-good", post(firmware::mark_good))
        .route("/api/v1/firmware:fallback", post(firmware::fall_back))
        .merge(recordings())
        .merge(configuration())
        .merge(entrance())
        .merge(console())
        .fallback(async || Error::UnknownPath)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(from_fn_with_state(published.clone(), gate))
        .with_state(published)
}

/// The console: what a browser is given before anybody has signed in.
fn console() -> Router<Published> {
    Router::new()
        .route("/", get(assets::page))
        .route("/icon.svg", get(assets::icon))
        .route("/assets/{name}", get(assets::named))
}

/// Messages of BGP that are written down.
fn recordings() -> Router<Published> {
    Router::new()
        .route("/api/v1/bgp/recording", get(recording::stands))
        .route("/api/v1/bgp/recording.mrt", get(recording::written))
        .route("/api/v1/bgp/recording:start", post(recording::start))
        .route("/api/v1/bgp/recording:stop", post(recording::stop))
        .route("/api/v1/connections/{name}/capture", post(capture::capture))
        .layer(Extension(Captures::default()))
}

/// How people and programs come in.
fn entrance() -> Router<Published> {
    let certificate = get(certificate::told)
        .put(certificate::install)
        .delete(certificate::renew);
    let session = get(session::told).post(session::open).delete(session::close);
    Router::new()
        .route("/api/v1/claim", get(session::claim_code).post(session::claim))
        .route("/api/v1/session", session)
        .route("/api/v1/tokens", get(token::all).post(token::make))
        .route("/api/v1/tokens/{name}", delete(token::remove))
        .route("/api/v1/users", get(user::all))
        .route("/api/v1/users/{name}/password", put(user::password))
        .route("/api/v1/certificate", certificate)
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
