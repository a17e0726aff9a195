use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;

use super::router::Published;
use crate::status::{ListStatus, lists};

type Told = Json<BTreeMap<String, ListStatus>>;

/// `GET /api/v1/status/revocation-lists`: lists of revoked certificates by where they are.
pub(crate) async fn told(State(published): State<Published>) -> Told {
    Json(lists(&published.lists.shown.borrow(), SystemTime::now()))
}

/// `POST /api/v1/revocation-lists:refresh`: fetches them all anew; answered with what came of that.
pub(crate) async fn refresh(State(published): State<Published>) -> Told {
    published.lists.librarian.refresh().await;
    told(State(published)).await
}
