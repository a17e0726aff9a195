use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::header::{HeaderName, LINK};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Error;

/// What stands after the question mark; with anything that is not known there, the request is refused.
pub(crate) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        let Query(asked) = read.map_err(|rejection| Error::InvalidQuery(rejection.body_text()))?;
        Ok(Self(asked))
    }
}

/// At most so many of something.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit(u32);

/// More is not told at once.
const MOST: u32 = 1000;

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=MOST).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("limit is {limit}; expected 1 to {MOST}"))
        }
    }
}

impl Limit {
    /// In a database.
    pub(super) fn rows(self) -> u32 {
        self.0
    }

    /// In memory.
    pub(super) fn items(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Where the next page is (RFC 8288), if there is one.
pub(super) fn next_page(next: Option<String>) -> Option<[(HeaderName, String); 1]> {
    next.map(|query| [(LINK, format!("<?{query}>; rel=\"next\""))])
}

/// A value in a query, so written that it is read as it is (RFC 3986 §2.1).
pub(super) fn encoded(value: &str) -> String {
    let octet = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        octet => format!("%{octet:02X}"),
    };
    value.bytes().map(octet).collect()
}
