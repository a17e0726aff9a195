use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::Error;
use super::router::Published;
use crate::access::Caller;

/// As the gate found out.
impl FromRequestParts<Published> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Published) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::Busy)
    }
}
