use appliance_config::model::Role;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{HeaderName, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{self, sent};
use super::error::Error;
use super::gate::{SESSION, cookie};
use super::router::Published;
use crate::access::{Caller, Claim, Identity, Proof, csrf_token};
use crate::control::{Commit, Condition, Confirm, Order, Proposal, Said};

/// Longer than what these bodies hold.
const LIMIT: usize = 4 << 10;

type WithCookie = ([(HeaderName, String); 1], Json<Value>);

/// `GET /api/v1/session`: who the caller is, what they may do, and what writes by cookie must repeat.
pub(crate) async fn told(caller: Caller, headers: HeaderMap) -> Json<Value> {
    let kind = match (&caller.identity, &caller.proof) {
        (Identity::Nobody, _) => "nobody",
        (Identity::Uid(_), _) => "socket",
        (_, Proof::Token(_)) => "token",
        (_, Proof::Session(_)) => "session",
        (_, Proof::Arrival) => "certificate",
    };
    let csrf_token = match &caller.proof {
        Proof::Session(_) => cookie(&headers).map(csrf_token),
        Proof::Arrival | Proof::Token(_) => None,
    };
    let (who, role) = (caller.author().who, caller.role.map(Role::word));
    Json(json!({ "who": who, "user": caller.user(), "role": role, "by": kind, "csrf_token": csrf_token }))
}

/// `POST /api/v1/session` with `{"user": "alice", "password": "…"}`.
pub(crate) async fn open(
    State(published): State<Published>,
    caller: Caller,
    request: Request,
) -> Result<WithCookie, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SignIn {
        user: String,
        password: SecretString,
    }
    let body = body::read(request.into_body(), LIMIT).await?;
    let SignIn { user, password } = sent(&body, r#"{"user": "alice", "password": "…"}"#)?;
    let opened = published
        .access
        .sign_in(&caller.arrival, &user, password)
        .await??;
    let cookie = opened.cookie.expose_secret();
    let set = format!("{SESSION}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict");
    let told = json!({ "user": opened.user, "role": opened.role.word(), "csrf_token": csrf_token(cookie) });
    Ok(([(SET_COOKIE, set)], Json(told)))
}

/// `DELETE /api/v1/session`.
pub(crate) async fn close(
    State(published): State<Published>,
    caller: Caller,
) -> impl axum::response::IntoResponse {
    published.access.sign_out(&caller);
    let set = format!("{SESSION}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    (StatusCode::NO_CONTENT, [(SET_COOKIE, set)])
}

/// `GET /api/v1/claim`: the code, for root on the machine.
pub(crate) async fn claim_code(State(published): State<Published>) -> Result<Json<Value>, Error> {
    let code = published.access.code()?;
    Ok(Json(json!({ "code": code.expose_secret() })))
}

/// `POST /api/v1/claim` with `{"code": "…", "user": "alice", "password": "…"}`: the first admin.
pub(crate) async fn claim(
    State(published): State<Published>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Claiming {
        code: SecretString,
        user: String,
        password: SecretString,
    }
    let body = body::read(request.into_body(), LIMIT).await?;
    let shape = r#"{"code": "…", "user": "alice", "password": "…"}"#;
    let Claiming { code, user, password } = sent(&body, shape)?;
    let name = user.clone();
    let commit = async |author: &_| {
        let place = vec!["users".to_owned(), name.clone()];
        let commit = Commit {
            said: Said {
                author: Clone::clone(author),
                condition: Condition::Any,
            },
            proposal: Proposal::Edit(place, appliance_config::Edit::Put(json!({ "role": "admin" }))),
            comment: "the machine was claimed".to_owned(),
            confirm: Confirm::Never,
            approach: None,
        };
        super::error::order(&published, |answer| Order::Commit(Box::new(commit), answer)).await
    };
    let claim = Claim { code, user, password };
    let report = published.access.claim(&caller.arrival, claim, commit).await??;
    let told = json!({ "user": name, "role": "admin", "generation": report.generation });
    Ok((StatusCode::CREATED, Json(told)))
}
