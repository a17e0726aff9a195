use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::{self, sent};
use super::error::Error;
use super::router::Published;
use crate::access::{Caller, NewToken, role};
use crate::store::Token;

const LIMIT: usize = 16 << 10;

/// `GET /api/v1/tokens`: by name, one's own, or as admin all; never the token itself.
pub(crate) async fn all(State(published): State<Published>, caller: Caller) -> Json<Value> {
    let tokens = published.access.tokens(&caller);
    let told = tokens.iter().map(|token| (token.name.clone(), told(token)));
    Json(Value::Object(told.collect::<Map<_, _>>()))
}

/// `POST /api/v1/tokens`: makes one for the caller; root says with `user` for whom. It is told this once.
pub(crate) async fn make(
    State(published): State<Published>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        name: String,
        role: String,
        #[serde(default)]
        scope: Vec<String>,
        expires_in_s: Option<u64>,
        user: Option<String>,
    }
    let body = body::read(request.into_body(), LIMIT).await?;
    let shape = r#"{"name": "backup", "role": "viewer", "scope": ["/config"], "expires_in_s": 86400}"#;
    let wanted: Wanted = sent(&body, shape)?;
    let user = wanted.user.or_else(|| caller.user().map(str::to_owned));
    let user = user.ok_or_else(|| Error::InvalidBody("say with \"user\" whose token it is".to_owned()))?;
    let new = NewToken {
        name: wanted.name,
        user,
        role: role(&wanted.role)
            .ok_or_else(|| Error::InvalidBody("a role is viewer, operator or admin".to_owned()))?,
        scope: wanted.scope,
        expires_in_s: wanted.expires_in_s,
    };
    let made = published.access.make_token(&caller, new).await??;
    let mut told = told(&made.token);
    if let Value::Object(members) = &mut told {
        members.insert("name".to_owned(), made.token.name.into());
        members.insert("token".to_owned(), made.text.expose_secret().into());
    }
    Ok((StatusCode::CREATED, Json(told)))
}

/// `DELETE /api/v1/tokens/{name}`.
pub(crate) async fn remove(
    State(published): State<Published>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    published.access.remove_token(&caller, name).await??;
    Ok(StatusCode::NO_CONTENT)
}

fn told(token: &Token) -> Value {
    let scope = token.scope.split_whitespace().collect::<Vec<_>>();
    json!({
        "user": token.user,
        "role": token.role,
        "scope": scope,
        "made_at": token.made_at(),
        "expires_at": token.ends_at(),
    })
}
