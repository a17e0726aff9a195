use std::time::Duration;

use appliance_config::Approach;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use serde::Deserialize;

use super::body;
use super::error::Error;
use super::router::Published;
use crate::access::Caller;
use crate::control::{Condition, Confirm, Said};
use crate::store::Author;

const COMMENT: usize = 1000;
/// A document, and in an import its secrets beside it.
const LARGEST: usize = 2 * appliance_config::MAX_BYTES;
const CONFIRM_WITHIN_S: std::ops::RangeInclusive<u64> = 1..=86_400;

/// Collections of the document, and the two parts that are no collections.
pub(super) const COLLECTIONS: [&str; 10] = [
    "interfaces",
    "sites",
    "policies",
    "connections",
    "nat_rules",
    "route_policies",
    "certificates",
    "trust",
    "key_providers",
    "users",
];
/// What is no collection.
pub(super) const PARTS: [&str; 2] = ["system", "gateway"];

/// A request that would change something. Its body may be a secret, so it cannot be printed.
pub(crate) struct Write {
    /// Who asks.
    pub(super) author: Author,
    /// If-Match, if it is there.
    pub(super) condition: Option<Condition>,
    /// The rest of the path: keys into the document, or a name.
    pub(super) place: Vec<String>,
    /// What its author says of it.
    pub(super) comment: String,
    /// Whether it must be confirmed.
    pub(super) confirm: Confirm,
    /// By which way its author comes, if it is the network.
    pub(super) approach: Option<Approach>,
    /// The body is a merge patch by its type.
    pub(super) is_patch: bool,
    /// The body is JSON by its type.
    pub(super) is_json: bool,
    /// What was sent.
    pub(super) body: Bytes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    confirm_within_s: Option<u64>,
    comment: Option<String>,
}

impl FromRequest<Published> for Write {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Published) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        // Before anything is judged: whoever is refused with the body still under way finds the connection closed.
        let body = body::read(body, LARGEST).await?;
        let options = Query::<Options>::from_request_parts(&mut parts, state).await;
        let Query(options) = options.map_err(|rejection| Error::InvalidQuery(rejection.body_text()))?;
        let place = place(&RawPathParams::from_request_parts(&mut parts, state).await);
        let confirm = confirm(options.confirm_within_s)?;
        let comment = comment(options.comment.unwrap_or_default())?;
        let media = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        Ok(Self {
            author: caller.author(),
            condition: condition(&parts.headers),
            place: place?,
            comment,
            confirm,
            approach: caller.approach(&state.access.policy()),
            is_patch: media.is_some_and(|media| media.starts_with("application/merge-patch+json")),
            is_json: media.is_some_and(|media| media.starts_with("application/json")),
            body,
        })
    }
}

impl Write {
    /// Who says so, on which condition; one is needed.
    pub(super) fn conditioned(&self) -> Result<Said, Error> {
        Ok(Said {
            author: self.author.clone(),
            condition: self.condition.clone().ok_or(Error::ConditionNeeded)?,
        })
    }

    /// Who says so, whatever runs unless If-Match says which.
    pub(super) fn said(&self) -> Said {
        Said {
            author: self.author.clone(),
            condition: self.condition.clone().unwrap_or(Condition::Any),
        }
    }
}

fn place<E>(parameters: &Result<RawPathParams, E>) -> Result<Vec<String>, Error> {
    let parameters = parameters.as_ref().map_err(|_| Error::UnknownPath)?;
    Ok(parameters.iter().map(|(_, value)| value.to_owned()).collect())
}

/// The keys of a path are those of a part of the document.
pub(super) fn check_place(place: &[String]) -> Result<(), Error> {
    let known = match place {
        [] => true,
        [part] => PARTS.contains(&part.as_str()) || COLLECTIONS.contains(&part.as_str()),
        [collection, ..] => COLLECTIONS.contains(&collection.as_str()),
    };
    if known { Ok(()) } else { Err(Error::UnknownPath) }
}

/// If-Match (RFC 9110 §13.1.1). A weak tag, or one that is no generation, never matches.
fn condition(headers: &HeaderMap) -> Option<Condition> {
    let mut fields = headers.get_all(IF_MATCH).iter().peekable();
    fields.peek()?;
    let text: Vec<&str> = fields.filter_map(|field| field.to_str().ok()).collect();
    let mut tags = text.iter().flat_map(|field| field.split(',')).map(str::trim);
    if tags.clone().any(|tag| tag == "*") {
        return Some(Condition::Any);
    }
    let number = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    let generations = tags.by_ref().filter_map(number).collect();
    Some(Condition::OneOf(generations))
}

fn confirm(seconds: Option<u64>) -> Result<Confirm, Error> {
    match seconds {
        None => Ok(Confirm::IfCutOff),
        Some(0) => Ok(Confirm::Never),
        Some(seconds) if !CONFIRM_WITHIN_S.contains(&seconds) => Err(Error::InvalidQuery(format!(
            "confirm_within_s is {seconds}; expected {} to {}, or 0 for no trial",
            CONFIRM_WITHIN_S.start(),
            CONFIRM_WITHIN_S.end()
        ))),
        Some(seconds) => Ok(Confirm::Within(Duration::from_secs(seconds))),
    }
}

fn comment(comment: String) -> Result<String, Error> {
    if comment.chars().count() > COMMENT || comment.chars().any(char::is_control) {
        let detail = format!("a comment has at most {COMMENT} characters and no control characters");
        return Err(Error::InvalidQuery(detail));
    }
    Ok(comment)
}
