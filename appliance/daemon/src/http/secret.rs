use std::collections::BTreeMap;

use appliance_config::model::Name;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;

use super::error::{Error, ask};
use super::router::Published;
use super::write::Write;
use crate::control::{Order, SecretReport, SetSecret};

/// What is told of a secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Secret")]
pub(crate) struct Told {
    set_at: String,
    set_by: String,
    /// Another one for another value; tells nothing else.
    fingerprint: String,
    /// Where the document names it, as JSON pointers.
    used_by: Vec<String>,
}

/// What is told of a secret that was set.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SecretThatWasSet")]
pub(crate) struct WasSet {
    #[serde(flatten)]
    told: Told,
    /// It had this value before.
    unchanged: bool,
    /// The value, if it was made up: it is told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// `GET /api/v1/secrets`: by name, when and by whom each was set, and which it is; never its value.
pub(crate) async fn all(State(published): State<Published>) -> Result<Json<BTreeMap<String, Told>>, Error> {
    let reports = ask(&published, Order::Secrets).await?;
    let told = reports
        .into_iter()
        .map(|report| (report.head.name.clone(), told(report)));
    Ok(Json(told.collect()))
}

/// `GET /api/v1/secrets/{name}`.
pub(crate) async fn one(
    State(published): State<Published>,
    Path(name): Path<String>,
) -> Result<Json<Told>, Error> {
    let report = ask(&published, |answer| Order::Secret(name, answer)).await?;
    Ok(Json(told(report)))
}

/// `PUT /api/v1/secrets/{name}`: the body is the secret; one line end after it is not part of it.
pub(crate) async fn put(State(published): State<Published>, write: Write) -> Result<Json<WasSet>, Error> {
    let name = name(write.place.first().map_or("", String::as_str))?;
    let value = write.body.strip_suffix(b"\n").unwrap_or(&write.body);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    set(&published, &write, name, Some(value.to_vec().into())).await
}

/// `POST /api/v1/secrets/{name}:generate`: a new one, told this once.
pub(crate) async fn generate(
    State(published): State<Published>,
    write: Write,
) -> Result<Json<WasSet>, Error> {
    let place = write.place.first().map_or("", String::as_str);
    match place.rsplit_once(':') {
        Some((text, "generate")) => set(&published, &write, name(text)?, None).await,
        _ => Err(Error::UnknownPath),
    }
}

/// `DELETE /api/v1/secrets/{name}`: one that nothing uses.
pub(crate) async fn delete(State(published): State<Published>, write: Write) -> Result<StatusCode, Error> {
    let (said, name) = (write.said(), write.place.concat());
    ask(&published, |answer| Order::RemoveSecret(said, name, answer)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set(
    published: &Published,
    write: &Write,
    name: Name,
    value: Option<SecretSlice<u8>>,
) -> Result<Json<WasSet>, Error> {
    let set = SetSecret {
        said: write.said(),
        name: name.to_string(),
        value,
    };
    let (report, made) = ask(published, |answer| Order::SetSecret(set, answer)).await?;
    Ok(Json(WasSet {
        unchanged: report.unchanged,
        told: told(report),
        value: made.map(|made| String::from_utf8_lossy(made.expose_secret()).into_owned()),
    }))
}

fn name(text: &str) -> Result<Name, Error> {
    text.parse().map_err(|_| Error::InvalidName)
}

fn told(report: SecretReport) -> Told {
    Told {
        set_at: report.head.at,
        set_by: report.head.author,
        fingerprint: report.head.fingerprint,
        used_by: report.used_by,
    }
}
