use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::{self, sent};
use super::error::Error;
use super::router::Published;
use crate::access::Caller;

const LIMIT: usize = 4 << 10;

/// `GET /api/v1/users`: everybody in the running document, and when and by whom their password was set.
pub(crate) async fn all(State(published): State<Published>) -> Json<Value> {
    let access = &published.access;
    let policy = access.policy();
    let told = policy.users.iter().map(|(user, role)| {
        let (at, by) = access.password_of(user).unzip();
        let told = json!({ "role": role.word(), "password_set_at": at, "password_set_by": by });
        (user.clone(), told)
    });
    Json(Value::Object(told.collect::<Map<_, _>>()))
}

/// `PUT /api/v1/users/{name}/password` with `{"password": "…"}`, one's own with `"old_password"` too.
pub(crate) async fn password(
    State(published): State<Published>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<StatusCode, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NewPassword {
        password: SecretString,
        old_password: Option<SecretString>,
    }
    let body = body::read(request.into_body(), LIMIT).await?;
    let new: NewPassword = sent(&body, r#"{"password": "…", "old_password": "…"}"#)?;
    let passwords = (new.old_password, new.password);
    published.access.set_password(&caller, &name, passwords).await??;
    Ok(StatusCode::NO_CONTENT)
}
