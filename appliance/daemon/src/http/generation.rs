use appliance_config::difference;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::error::{Error, ask};
use super::router::Published;
use crate::control::Order;
use crate::store::Head;

/// `GET /api/v1/generations`: newest first.
pub(crate) async fn all(State(published): State<Published>) -> Result<Json<Value>, Error> {
    let heads = ask(&published, Order::Generations).await?;
    let view = published.configuration.borrow().clone();
    let trial = view.trial.as_ref().map(|trial| trial.generation);
    let generations: Vec<Value> = heads.iter().map(head).collect();
    Ok(Json(json!({
        "current": view.generation,
        "startup": view.startup,
        "trial": trial,
        "generations": generations,
    })))
}

/// `GET /api/v1/generations/{n}` and `/{a}..{b}`: one document, or in what two differ.
pub(crate) async fn some(
    State(published): State<Published>,
    Path(which): Path<String>,
) -> Result<Json<Value>, Error> {
    let unknown = || Error::UnknownPath;
    let Some((from, to)) = which.split_once("..") else {
        let number = which.parse().map_err(|_| unknown())?;
        let generation = ask(&published, |answer| Order::Generation(number, answer)).await?;
        let mut told = head(&generation.head());
        if let Value::Object(members) = &mut told {
            members.insert("document".to_owned(), json(&generation.document)?);
        }
        return Ok(Json(told));
    };
    let (from, to) = (
        from.parse().map_err(|_| unknown())?,
        to.parse().map_err(|_| unknown())?,
    );
    let (before, after) = (document(&published, from).await?, document(&published, to).await?);
    Ok(Json(json!({
        "from": from,
        "to": to,
        "difference": difference(&before, &after),
    })))
}

/// The document of a generation; nothing is configured in generation 0.
async fn document(published: &Published, number: u32) -> Result<Value, Error> {
    if number == 0 {
        return Ok(json!({}));
    }
    let generation = ask(published, |answer| Order::Generation(number, answer)).await?;
    json(&generation.document)
}

fn json(document: &str) -> Result<Value, Error> {
    serde_json::from_str(document).map_err(|_| Error::Busy)
}

fn head(head: &Head) -> Value {
    json!({
        "generation": head.number,
        "at": head.at,
        "author": head.author,
        "source": head.source,
        "comment": head.comment,
    })
}
