use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};

use super::body;
use super::error::Error;
use super::router::Published;
use crate::https::{Certificate, Https};

/// Longer than ten certificates and their key.
const LIMIT: usize = 128 << 10;

/// `GET /api/v1/certificate`: what the API shows over TLS, so that it can be compared and trusted.
pub(crate) async fn told(State(published): State<Published>) -> Result<Json<Value>, Error> {
    Ok(Json(words(&https(&published)?.certificate())))
}

/// `PUT /api/v1/certificate`: chain and private key in PEM; new connections have it at once.
pub(crate) async fn install(
    State(published): State<Published>,
    request: Request,
) -> Result<Json<Value>, Error> {
    let https = https(&published)?;
    let pem = body::read(request.into_body(), LIMIT).await?;
    let certificate = Certificate::parse(pem.to_vec().into()).map_err(Error::Certificate)?;
    replace(https, Some(certificate)).await
}

/// `DELETE /api/v1/certificate`: the machine makes another one of its own.
pub(crate) async fn renew(State(published): State<Published>) -> Result<Json<Value>, Error> {
    replace(https(&published)?, None).await
}

async fn replace(https: Arc<Https>, certificate: Option<Certificate>) -> Result<Json<Value>, Error> {
    let installed = tokio::task::spawn_blocking(move || https.install(certificate)).await;
    let installed = installed.map_err(|_| Error::Busy)?.map_err(Error::Certificate)?;
    Ok(Json(words(&installed)))
}

fn https(published: &Published) -> Result<Arc<Https>, Error> {
    published.https.clone().ok_or(Error::UnknownPath)
}

fn words(certificate: &Certificate) -> Value {
    json!({
        "sha256": certificate.fingerprint(),
        "self_made": certificate.is_own,
        "chain": certificate.chain(),
    })
}
