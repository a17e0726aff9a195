use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use image_slots::Content;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::body::{self, sent};
use super::error::Error;
use super::query::Asked;
use super::router::Published;
use crate::access::Caller;
use crate::firmware::{Firmware, FirmwareFault, Writing};
use crate::status::FirmwareStatus;

/// How long nothing may come of a bundle.
const PATIENCE: Duration = Duration::from_secs(30);
/// Parts of a bundle that wait for the disk.
const PARTS: usize = 8;
/// What is still taken of a bundle that is refused, so that its sender hears why.
const DRAINED: usize = 1 << 30;

/// Whether what is older may take the place of what runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manner {
    #[serde(default)]
    allow_downgrade: bool,
}

/// `GET /api/v1/firmware`.
pub(crate) async fn told(State(published): State<Published>) -> Result<Json<FirmwareStatus>, Error> {
    status(slots(&published)?).await
}

/// `POST /api/v1/firmware:upload`: a bundle, written to the idle slot as it comes.
pub(crate) async fn upload(
    State(published): State<Published>,
    request: Request,
) -> Result<Json<FirmwareStatus>, Error> {
    let (mut parts, mut body) = request.into_parts();
    let manner = Asked::<Manner>::from_request_parts(&mut parts, &published).await;
    let begun = match (slots(&published), manner) {
        (Ok(firmware), Ok(Asked(manner))) => begin(firmware, &manner),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    };
    let (firmware, writing) = match begun {
        Ok(begun) => begun,
        Err(error) => return Err(drained(&mut body, error).await),
    };
    let caller = Caller::from_request_parts(&mut parts, &published).await?;
    // In a task of its own, which goes on to its end although whoever sends may be gone.
    let done = tokio::spawn(conclude(firmware.clone(), writing, (body, caller)));
    done.await.map_err(|_| Error::Busy)??;
    status(firmware).await
}

async fn conclude(
    firmware: Arc<Firmware>,
    writing: Writer,
    (mut body, caller): (Body, Caller),
) -> Result<(), Error> {
    let done = written(writing, &mut body).await;
    let told = done.as_ref().map_err(|error| {
        let (_, reason, detail) = error.words();
        (reason, detail)
    });
    firmware.conclude(&caller.author().who, told);
    done.map(drop)
}

/// `POST /api/v1/firmware:install`: the machine starts again, with what is in the other slot on trial.
pub(crate) async fn install(
    State(published): State<Published>,
    caller: Caller,
    Asked(manner): Asked<Manner>,
) -> Result<StatusCode, Error> {
    let firmware = slots(&published)?;
    firmware
        .install(&caller.author().who, manner.allow_downgrade)
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// `POST /api/v1/firmware:schedule`: the same, in the next maintenance window.
pub(crate) async fn schedule(
    State(published): State<Published>,
    caller: Caller,
    Asked(manner): Asked<Manner>,
) -> Result<Json<FirmwareStatus>, Error> {
    let firmware = slots(&published)?;
    firmware.schedule(&caller.author().who, manner.allow_downgrade)?;
    status(firmware).await
}

/// `POST /api/v1/firmware:cancel`: nothing is installed by itself.
pub(crate) async fn cancel(
    State(published): State<Published>,
    caller: Caller,
) -> Result<Json<FirmwareStatus>, Error> {
    let firmware = slots(&published)?;
    firmware.cancel(&caller.author().who)?;
    status(firmware).await
}

/// `POST /api/v1/firmware:mark-good`: what is on trial works, says whoever can say so.
pub(crate) async fn mark_good(
    State(published): State<Published>,
    caller: Caller,
) -> Result<Json<FirmwareStatus>, Error> {
    let firmware = slots(&published)?;
    firmware.mark_good(&caller.author().who)?;
    status(firmware).await
}

/// `POST /api/v1/firmware:fallback`: the machine starts again, with the system before.
pub(crate) async fn fall_back(
    State(published): State<Published>,
    caller: Caller,
) -> Result<StatusCode, Error> {
    slots(&published)?.fall_back(&caller.author().who).await?;
    Ok(StatusCode::ACCEPTED)
}

/// What is asked of whoever has a box wiped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FactoryReset {
    /// The name of the box: `system.hostname` of the document, or `causeway` where it has none.
    name: String,
}

/// Longer than any name.
const LIMIT: usize = 4 << 10;

/// `POST /api/v1/system:factory-reset` with `{"name": "edge-1"}`: the machine starts again, as new.
pub(crate) async fn factory_reset(
    State(published): State<Published>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, Error> {
    let firmware = slots(&published)?;
    let body = body::read(request.into_body(), LIMIT).await?;
    let FactoryReset { name } = sent(&body, r#"{"name": "…"}"#)?;
    firmware.factory_reset(&caller.author().who, &name)?;
    Ok(StatusCode::ACCEPTED)
}

fn slots(published: &Published) -> Result<Arc<Firmware>, Error> {
    Ok(published.firmware.clone().ok_or(FirmwareFault::NoSlots)?)
}

async fn status(firmware: Arc<Firmware>) -> Result<Json<FirmwareStatus>, Error> {
    let told = spawn_blocking(move || FirmwareStatus::of(&firmware)).await;
    Ok(Json(told.map_err(|_| Error::Busy)??))
}

/// Where the octets of a bundle go, and what comes of them.
type Writer = (mpsc::Sender<Bytes>, JoinHandle<Result<Content, FirmwareFault>>);

/// A thread that writes what it is sent, to its end.
fn begin(firmware: Arc<Firmware>, manner: &Manner) -> Result<(Arc<Firmware>, Writer), Error> {
    let mut writing = Writing::begin(&firmware, manner.allow_downgrade)?;
    let (parts, mut coming) = mpsc::channel::<Bytes>(PARTS);
    let task = spawn_blocking(move || {
        while let Some(octets) = coming.blocking_recv() {
            writing.take(&octets)?;
        }
        writing.finish()
    });
    Ok((firmware, (parts, task)))
}

async fn written((parts, task): Writer, body: &mut Body) -> Result<Content, Error> {
    let mut came = Ok(());
    while let Some(octets) = next(body).await {
        let octets = match octets {
            Ok(octets) => octets,
            Err(error) => {
                came = Err(error);
                break;
            }
        };
        if parts.send(octets).await.is_err() {
            break;
        }
    }
    drop(parts);
    let done = task.await.map_err(|_| Error::Busy)?;
    match (done, came) {
        (Ok(content), Ok(())) => Ok(content),
        (Err(FirmwareFault::Bundle(_)) | Ok(_), Err(error)) => Err(error),
        (Err(fault), _) => Err(drained(body, fault.into()).await),
    }
}

/// The next octets of a body.
async fn next(body: &mut Body) -> Option<Result<Bytes, Error>> {
    loop {
        let Ok(frame) = timeout(PATIENCE, body.frame()).await else {
            return Some(Err(Error::BodyTooSlow));
        };
        let Ok(frame) = frame? else {
            return Some(Err(Error::BodyBroken));
        };
        if let Ok(octets) = frame.into_data() {
            return Some(Ok(octets));
        }
    }
}

/// The error, once the rest of the body has come.
async fn drained(body: &mut Body, error: Error) -> Error {
    let mut length = 0_usize;
    while let Some(Ok(octets)) = next(body).await {
        length = length.saturating_add(octets.len());
        if length > DRAINED {
            break;
        }
    }
    error
}
