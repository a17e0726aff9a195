use std::time::Duration;

use appliance_config::{Config, Reason};
use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;
use crate::control::{Refusal, Violation};

/// How long a whole body may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is still taken from a body that is too large, so that its sender hears why: one who is cut off may not.
const DRAINED: usize = 64 << 20;

/// The whole body, of at most `limit` octets.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, Error> {
    let read = tokio::time::timeout(PATIENCE, collect(body, limit)).await;
    read.map_err(|_| Error::BodyTooSlow)?
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let (mut octets, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::BodyBroken)?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= limit {
            octets.extend_from_slice(&data);
        } else if length > DRAINED {
            break;
        }
    }
    if length > limit {
        return Err(Error::BodyTooLarge { limit });
    }
    Ok(octets.into())
}

/// The body in types; `shape` says which are expected. What is wrong with it may hold a secret, so only its place is told.
pub(super) fn sent<T: DeserializeOwned>(body: &[u8], shape: &str) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::InvalidBody(format!("expected {shape}; line {line}, column {column} is wrong"))
    })
}

/// The body as a document, or the part of one that belongs at `place`.
pub(super) fn document(body: &[u8], place: &[String]) -> Result<Value, Error> {
    let config = Config::parse(body).map_err(|problem| {
        if problem.reason == Reason::TooLarge {
            return Error::BodyTooLarge {
                limit: appliance_config::MAX_BYTES,
            };
        }
        Error::NotJson(problem.into())
    })?;
    config.value().map_err(|twice| {
        let problems = match place {
            [] => config.validate().err().unwrap_or(twice),
            _ => twice,
        };
        let prefix: String = place.iter().map(|key| format!("/{key}")).collect();
        let violations = problems.into_iter().map(|problem| {
            let violation = Violation::from(problem);
            Violation {
                path: format!("{prefix}{}", violation.path),
                ..violation
            }
        });
        Error::Refused(Refusal::Violations(violations.collect()))
    })
}
