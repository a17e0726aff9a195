use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{Error, ask};
use super::query::{Asked, Limit, encoded, next_page};
use super::router::Published;
use crate::control::Order;
use crate::store::{AuditLine, AuditQuery};

const USUAL: u32 = 100;

/// Which lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    who: Option<String>,
    result: Option<String>,
    before: Option<i64>,
    limit: Option<Limit>,
}

/// Some lines of the audit log, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditLog")]
pub(crate) struct Lines {
    entries: Vec<Line>,
    /// There are older ones.
    more: bool,
}

/// One line of the audit log.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditLine")]
struct Line {
    id: i64,
    at: String,
    who: String,
    source: String,
    what: String,
    result: String,
}

/// `GET /api/v1/audit`: newest first.
pub(crate) async fn lines(
    State(published): State<Published>,
    Asked(wanted): Asked<Wanted>,
) -> Result<impl IntoResponse, Error> {
    let query = AuditQuery {
        who: wanted.who.clone(),
        result: wanted.result.clone(),
        before: wanted.before,
        limit: wanted.limit.map_or(USUAL, Limit::rows),
    };
    let limit = query.limit;
    let page = ask(&published, |answer| Order::AuditLog(query, answer)).await?;
    let oldest = page.lines.last().filter(|_| page.more);
    let same = [("who", &wanted.who), ("result", &wanted.result)];
    let next = oldest.map(|oldest| {
        let same = same.into_iter().filter_map(|(key, value)| {
            let value = encoded(value.as_ref()?);
            Some(format!("{key}={value}&"))
        });
        let same: String = same.collect();
        format!("{same}limit={limit}&before={}", oldest.id)
    });
    let lines = Lines {
        entries: page.lines.into_iter().map(line).collect(),
        more: page.more,
    };
    Ok((next_page(next), Json(lines)))
}

fn line(line: AuditLine) -> Line {
    let AuditLine {
        id,
        at,
        who,
        source,
        what,
        result,
    } = line;
    Line {
        id,
        at,
        who,
        source,
        what,
        result,
    }
}
