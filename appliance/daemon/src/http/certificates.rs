//! Certificates of connections: ours, with their keys, and what those of peers lead to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::error::{Error, ask};
use super::router::Published;
use super::write::Write;
use crate::control::{Order, Refusal, Running};
use crate::signer::TRIAL;
use crate::status::{
    self, CertificateStatus, KeyTrialStatus, ProviderTrialStatus, RefreshStatus, TimelineStatus,
    TrustEntryStatus,
};

/// `GET /api/v1/certificates`: ours by name, with what they say.
pub(crate) async fn all(
    State(published): State<Published>,
) -> Result<Json<BTreeMap<String, CertificateStatus>>, Error> {
    Ok(Json(ours(&published)?))
}

/// `GET /api/v1/certificates/{name}`.
pub(crate) async fn one(
    State(published): State<Published>,
    Path(name): Path<String>,
) -> Result<Json<CertificateStatus>, Error> {
    if name.contains(':') {
        return Err(Error::UnknownPath);
    }
    let found = ours(&published)?.remove(&name);
    found
        .map(Json)
        .ok_or_else(|| Refusal::UnknownCertificate(name).into())
}

/// `GET /api/v1/trust`: what certificates of others may lead to, by name.
pub(crate) async fn trust(
    State(published): State<Published>,
) -> Result<Json<BTreeMap<String, TrustEntryStatus>>, Error> {
    let running = running(&published)?;
    Ok(Json(status::trust(&running.config, SystemTime::now())))
}

/// `GET /api/v1/trust/{name}`.
pub(crate) async fn trust_of(
    State(published): State<Published>,
    Path(name): Path<String>,
) -> Result<Json<TrustEntryStatus>, Error> {
    let running = running(&published)?;
    let found = status::trust(&running.config, SystemTime::now()).remove(&name);
    found.map(Json).ok_or(Error::UnknownTrust(name))
}

/// `GET /api/v1/certificates:timeline`: all of them, those of authorities too, by when they end.
pub(crate) async fn timeline(State(published): State<Published>) -> Result<Json<TimelineStatus>, Error> {
    let (running, keys) = (running(&published)?, published.keys.borrow().clone());
    Ok(Json(TimelineStatus::new(
        &running.config,
        &keys,
        SystemTime::now(),
    )))
}

fn ours(published: &Published) -> Result<BTreeMap<String, CertificateStatus>, Error> {
    let (running, keys) = (running(published)?, published.keys.borrow().clone());
    Ok(status::certificates(&running.config, &keys, SystemTime::now()))
}

/// What runs; the daemon is only starting while there is nothing.
pub(super) fn running(published: &Published) -> Result<Arc<Running>, Error> {
    let view = published.configuration.borrow();
    view.running.clone().ok_or(Error::Busy)
}

/// `POST /api/v1/certificates/{name}:{test-sign|refresh}`: the key signs what nobody chose in every way that it may be asked
/// for; a newer version of it is looked for now.
pub(crate) async fn act(State(published): State<Published>, write: Write) -> Result<Response, Error> {
    let asked = write.place.concat();
    let (name, verb) = asked
        .rsplit_once(':')
        .ok_or_else(|| Error::UnknownAction(asked.clone()))?;
    let name = name.to_owned();
    match verb {
        "test-sign" => {
            let trial = ask(&published, |answer| Order::TryKey(name, answer)).await?;
            Ok(Json(KeyTrialStatus::new(&trial)).into_response())
        }
        "refresh" => {
            let asked = name.clone();
            let looked = ask(&published, |answer| Order::RefreshKey(asked, answer));
            let looked = tokio::time::timeout(TRIAL, looked).await;
            let looked = looked.map_err(|_| Error::LookLate(name.clone()))??;
            let refreshed = looked.ok_or(Error::UnknownKey(name))?;
            Ok(Json(RefreshStatus::new(&refreshed)).into_response())
        }
        _ => Err(Error::UnknownAction(verb.to_owned())),
    }
}

/// `POST /api/v1/key-providers/{name}:self-test`: whether who has private keys can be had, step by step.
pub(crate) async fn try_provider(
    State(published): State<Published>,
    write: Write,
) -> Result<Json<ProviderTrialStatus>, Error> {
    let asked = write.place.concat();
    let Some((name, "self-test")) = asked.rsplit_once(':') else {
        return Err(Error::UnknownAction(asked));
    };
    let name = name.to_owned();
    let steps = ask(&published, |answer| Order::TryProvider(name, answer)).await?;
    Ok(Json(ProviderTrialStatus::new(steps)))
}
