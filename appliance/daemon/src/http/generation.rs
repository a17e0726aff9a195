use appliance_config::{Difference, difference};
use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::error::{Error, ask};
use super::router::Published;
use crate::control::Order;
use crate::store::Head;

/// The generations that are kept, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Generations {
    current: u32,
    /// What the next start begins with; `null` where a file is the only source.
    startup: Option<u32>,
    trial: Option<u32>,
    generations: Vec<Heading>,
}

/// A generation without its document.
#[derive(Debug, Serialize, JsonSchema)]
struct Heading {
    generation: u32,
    at: String,
    author: String,
    source: String,
    comment: String,
}

/// One generation.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WholeGeneration {
    #[serde(flatten)]
    heading: Heading,
    /// As it was written.
    document: Value,
}

/// In what two generations differ.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Between {
    from: u32,
    to: u32,
    difference: Vec<Difference>,
}

/// One generation, or two.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum OneOrTwo {
    /// One.
    One(Box<WholeGeneration>),
    /// Two.
    Two(Between),
}

/// `GET /api/v1/generations`: newest first.
pub(crate) async fn all(State(published): State<Published>) -> Result<Json<Generations>, Error> {
    let heads = ask(&published, Order::Generations).await?;
    let view = published.configuration.borrow().clone();
    Ok(Json(Generations {
        current: view.generation,
        startup: view.startup,
        trial: view.trial.as_ref().map(|trial| trial.generation),
        generations: heads.into_iter().map(heading).collect(),
    }))
}

/// `GET /api/v1/generations/{n}` and `/{a}..{b}`: one document, or in what two differ.
pub(crate) async fn some(
    State(published): State<Published>,
    Path(which): Path<String>,
) -> Result<Json<OneOrTwo>, Error> {
    let unknown = || Error::UnknownPath;
    let Some((from, to)) = which.split_once("..") else {
        let number = which.parse().map_err(|_| unknown())?;
        let generation = ask(&published, |answer| Order::Generation(number, answer)).await?;
        let whole = WholeGeneration {
            heading: heading(generation.head()),
            document: json(&generation.document)?,
        };
        return Ok(Json(OneOrTwo::One(Box::new(whole))));
    };
    let (from, to) = (
        from.parse().map_err(|_| unknown())?,
        to.parse().map_err(|_| unknown())?,
    );
    let (before, after) = (document(&published, from).await?, document(&published, to).await?);
    Ok(Json(OneOrTwo::Two(Between {
        from,
        to,
        difference: difference(&before, &after),
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

fn heading(head: Head) -> Heading {
    let Head {
        number,
        at,
        author,
        source,
        comment,
    } = head;
    Heading {
        generation: number,
        at,
        author,
        source,
        comment,
    }
}
