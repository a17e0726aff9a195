use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::error::Error;
use super::query::{Asked, Limit, encoded, next_page};
use super::router::Published;
use super::status::fresh;
use crate::status::NatStatus;

/// How many rules are told where nobody says.
const RULES: usize = 100;

/// Which rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// On this connection only.
    connection: Option<String>,
    /// By this name only.
    rule: Option<String>,
    limit: Option<Limit>,
    /// Those after this rule on this connection, with a slash between.
    after: Option<String>,
}

/// `GET /api/v1/status/nat`: one page, by connection and rule.
pub(crate) async fn rules(
    State(published): State<Published>,
    Asked(wanted): Asked<Wanted>,
) -> Result<impl IntoResponse, Error> {
    let after = wanted.after.as_deref().map(|after| {
        after.split_once('/').ok_or_else(|| {
            Error::InvalidQuery(format!(
                "after is {after:?}; expected a connection and a rule, such as to-b/depot-in"
            ))
        })
    });
    let after = after.transpose()?;
    let limit = wanted.limit.map_or(RULES, Limit::items);
    let views = fresh(&published).await;
    let all = NatStatus::new(&views.datapath.translation);
    let page = all
        .of(wanted.connection.as_deref(), wanted.rule.as_deref())
        .page(after, limit);
    let next = page.next().map(|next| wanted.after(next, limit));
    Ok((next_page(next), Json(page)))
}

impl Wanted {
    /// The same question about those after a rule.
    fn after(&self, after: &str, limit: usize) -> String {
        let mut parts = Vec::new();
        let named = |key: &str, name: &String| format!("{key}={}", encoded(name));
        parts.extend(self.connection.as_ref().map(|name| named("connection", name)));
        parts.extend(self.rule.as_ref().map(|name| named("rule", name)));
        parts.push(format!("limit={limit}&after={}", encoded(after)));
        parts.join("&")
    }
}
