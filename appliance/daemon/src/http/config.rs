use appliance_config::{Edit, with_defaults};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, RawPathParams, State};
use axum::http::header::{ETAG, HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::body;
use super::error::{Error, ask};
use super::router::Published;
use super::write::{Write, check_place};
use crate::control::{Commit, Order, Proposal, Report, Running, Said};

/// An answer with the generation that runs as its ETag.
pub(super) type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

/// An answer about this generation.
pub(super) fn tagged<T>(generation: u32, answer: T) -> Tagged<T> {
    ([(ETAG, format!("\"{generation}\""))], Json(answer))
}

/// How the document is to be shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manner {
    /// With every default written out.
    #[serde(default)]
    defaults: bool,
}

/// `GET /api/v1/schema.json`: JSON Schema of the document.
pub(crate) async fn schema() -> Json<Value> {
    Json(appliance_config::schema().to_value())
}

/// `GET /api/v1/config[/{collection}[/{name}]]`: as it was written, or with `?defaults=true` every default too.
pub(crate) async fn get(
    State(published): State<Published>,
    parameters: RawPathParams,
    manner: Result<Query<Manner>, QueryRejection>,
) -> Result<Tagged<Value>, Error> {
    let Query(manner) = manner.map_err(|rejection| Error::InvalidQuery(rejection.body_text()))?;
    let place: Vec<&str> = parameters.iter().map(|(_, value)| value).collect();
    check_place(&place.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())?;
    let running = ask(&published, Order::Read).await?;
    let written = shown(&running, &manner);
    let found = match place.as_slice() {
        [] => Some(written),
        [part] => Some(written.get(part).cloned().unwrap_or_else(|| json!({}))),
        [collection, name, ..] => written.get(collection).and_then(|items| items.get(name)).cloned(),
    };
    let found = found.ok_or_else(|| Error::UnknownItem(place.join("/")))?;
    Ok(tagged(running.generation, found))
}

fn shown(running: &Running, manner: &Manner) -> Value {
    let filled = manner
        .defaults
        .then(|| with_defaults(&running.written).ok())
        .flatten();
    filled.unwrap_or_else(|| running.written.clone())
}

/// `PUT /api/v1/config[/{collection}[/{name}]]`.
pub(crate) async fn put(State(published): State<Published>, write: Write) -> Result<Tagged<Report>, Error> {
    let said = write.conditioned()?;
    check_place(&write.place)?;
    let edit = Edit::Put(body::document(&write.body, &write.place)?);
    commit(&published, write, said, edit).await
}

/// `PATCH /api/v1/config[/{collection}[/{name}]]`: a merge patch (RFC 7396).
pub(crate) async fn patch(State(published): State<Published>, write: Write) -> Result<Tagged<Report>, Error> {
    let said = write.conditioned()?;
    check_place(&write.place)?;
    let edit = Edit::Merge(body::document(&write.body, &write.place)?);
    commit(&published, write, said, edit).await
}

/// `DELETE /api/v1/config/{collection}[/{name}]`.
pub(crate) async fn delete(
    State(published): State<Published>,
    write: Write,
) -> Result<Tagged<Report>, Error> {
    let said = write.conditioned()?;
    check_place(&write.place)?;
    commit(&published, write, said, Edit::Remove).await
}

/// `POST /api/v1/config:check`: a whole document, or a merge patch by its media type; changes nothing.
pub(crate) async fn check(State(published): State<Published>, write: Write) -> Result<Tagged<Report>, Error> {
    let document = body::document(&write.body, &[])?;
    let edit = if write.is_patch {
        Edit::Merge(document)
    } else {
        Edit::Put(document)
    };
    let proposal = Proposal::Edit(Vec::new(), edit);
    let report = ask(&published, |answer| {
        Order::Check(proposal, write.approach, answer)
    })
    .await?;
    Ok(tagged(report.generation, report))
}

/// What is kept.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Confirmed {
    generation: u32,
}

/// `POST /api/v1/config:confirm`.
pub(crate) async fn confirm(
    State(published): State<Published>,
    write: Write,
) -> Result<Tagged<Confirmed>, Error> {
    let said = write.said();
    let generation = ask(&published, |answer| Order::Confirm(said, answer)).await?;
    Ok(tagged(generation, Confirmed { generation }))
}

/// Which generation is to come back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    generation: u32,
}

/// `POST /api/v1/config:rollback` with `{"generation": 7}`.
pub(crate) async fn rollback(
    State(published): State<Published>,
    write: Write,
) -> Result<Tagged<Report>, Error> {
    let Rollback { generation } = serde_json::from_slice(&write.body)
        .map_err(|error| Error::InvalidBody(format!("expected {{\"generation\": 7}}: {error}")))?;
    let said = write.said();
    order(&published, write, said, Proposal::Generation(generation)).await
}

async fn commit(
    published: &Published,
    write: Write,
    said: Said,
    edit: Edit,
) -> Result<Tagged<Report>, Error> {
    let proposal = Proposal::Edit(write.place.clone(), edit);
    order(published, write, said, proposal).await
}

async fn order(
    published: &Published,
    write: Write,
    said: Said,
    proposal: Proposal,
) -> Result<Tagged<Report>, Error> {
    let commit = Box::new(Commit {
        said,
        proposal,
        comment: write.comment,
        confirm: write.confirm,
        approach: write.approach,
    });
    let report = ask(published, |answer| Order::Commit(commit, answer)).await?;
    Ok(tagged(report.generation, report))
}
