use std::collections::BTreeMap;

use appliance_config::model::Name;
use appliance_keys::KeyError;
use appliance_keys::file::{self, Unlocked};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64ct::{Base64, Encoding};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};

use super::body::sent;
use super::error::{Error, ask};
use super::router::Published;
use super::write::Write;
use crate::control::{Order, SecretReport, SetSecret, Violation};

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
    /// The certificates that came with a private key, for `chain` in the document: base64 of the DER, its own first.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<Vec<String>>,
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

/// A private key that a password protects (PKCS#12).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Protected {
    /// The file, base64.
    #[schemars(with = "String")]
    pkcs12: SecretString,
    /// Its password, which is used once and not kept.
    #[schemars(with = "String")]
    password: SecretString,
}

const PROTECTED: &str = "{ \"pkcs12\": base64 of the file, \"password\" }";

/// `PUT /api/v1/secrets/{name}`: the body is the secret, one line end after it is not part of it; or, as JSON, PKCS#12 with its
/// password.
pub(crate) async fn put(State(published): State<Published>, write: Write) -> Result<Json<WasSet>, Error> {
    let name = name(write.place.first().map_or("", String::as_str))?;
    if write.is_json && write.body.starts_with(b"{") {
        let protected: Protected = sent(&write.body, PROTECTED)?;
        let unlocked = unlock(protected).await?;
        let set = set(&published, &write, name, Some(unlocked.pem)).await?;
        let chain = unlocked.chain.iter().map(|der| Base64::encode_string(der));
        return Ok(Json(WasSet {
            chain: Some(chain.collect()),
            ..set.0
        }));
    }
    let value = write.body.strip_suffix(b"\n").unwrap_or(&write.body);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    set(&published, &write, name, Some(value.to_vec().into())).await
}

/// Opens it, once, in a thread that may take its time.
async fn unlock(protected: Protected) -> Result<Unlocked, Error> {
    let octets = Base64::decode_vec(protected.pkcs12.expose_secret());
    let octets =
        octets.map_err(|_| Error::InvalidBody(format!("pkcs12 is no base64; expected {PROTECTED}")))?;
    let octets = SecretSlice::from(octets);
    let unlocked = tokio::task::spawn_blocking(move || file::unlock(&octets, &protected.password)).await;
    let unlocked = unlocked.map_err(|_| Error::Busy)?;
    unlocked.map_err(|error| {
        let is_password = matches!(error, KeyError::PinWrong(_));
        Error::Wrong(Violation {
            path: if is_password { "/password" } else { "/pkcs12" }.to_owned(),
            reason: error.word(),
            detail: error.to_string(),
        })
    })
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
        chain: None,
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
