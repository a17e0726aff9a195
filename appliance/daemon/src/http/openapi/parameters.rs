use serde_json::{Value, json};

use crate::http::write::{COLLECTIONS, PARTS};
use crate::status::STATES;

/// A part of a path.
pub(super) fn of_path(name: &str) -> Value {
    let schema = match name {
        "collection" => json!({ "enum": COLLECTIONS.iter().chain(&PARTS).collect::<Vec<_>>() }),
        "number" | "from" | "to" => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        _ => json!({ "type": "string", "pattern": "^[a-zA-Z0-9._-]{1,63}$" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// What may stand after the question mark; `after_name` is `after` where that is a name.
pub(super) fn of_query(name: &str) -> Value {
    let (told, what) = match name {
        "defaults" => ("Write every default out", json!({ "type": "boolean" })),
        "confirm_within_s" => (
            "Return to what ran before unless it is confirmed within so many seconds",
            json!({ "type": "integer", "minimum": 1, "maximum": 86400 }),
        ),
        "comment" => (
            "What its author says of it",
            json!({ "type": "string", "maxLength": 1000, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$" }),
        ),
        "state" => (
            "In one of these states, separated by commas",
            json!({ "type": "string", "pattern": format!("^({0})(,({0}))*$", STATES.join("|")) }),
        ),
        "limit" => (
            "At most so many",
            json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        ),
        "after_name" => ("Those after this name", json!({ "type": "string" })),
        "after" => (
            "Those after this number",
            json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        ),
        "before" => (
            "Those before this number",
            json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        ),
        "since" => (
            "Not older than this",
            json!({ "type": "string", "format": "date-time" }),
        ),
        "connection" => ("Of this connection only", json!({ "type": "string" })),
        "rule" => ("Of this rule only", json!({ "type": "string" })),
        "after_rule" => (
            "Those after this rule on this connection: to-b/depot-in",
            json!({ "type": "string" }),
        ),
        "who" => ("By this author only", json!({ "type": "string" })),
        "result" => (
            "With this result only: done, or the reason word of a refusal",
            json!({ "type": "string" }),
        ),
        "allow_downgrade" => (
            "Take what is older than what runs, too",
            json!({ "type": "boolean" }),
        ),
        other => of_routes(other),
    };
    let needed = name.ends_with("_needed");
    let suffixes = ["_name", "_needed", "_prefix", "_rule", "_table"];
    let name = suffixes
        .into_iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name);
    json!({ "name": name, "in": "query", "description": told, "schema": what, "required": needed })
}

/// Which routes of BGP; what ends with `_needed` must be there.
fn of_routes(name: &str) -> (&'static str, Value) {
    match name {
        "kind" => (
            "At which point of their way; the best ones if left out",
            json!({ "enum": ["received", "accepted", "best", "advertised"] }),
        ),
        "kind_table" => (
            "As they came, or those that are used; as they came if left out",
            json!({ "enum": ["received", "best"] }),
        ),
        "family" => (
            "Of this address family; IPv4, or that of the prefix, if left out",
            json!({ "enum": ["ipv4", "ipv6"] }),
        ),
        "relation" => (
            "How they lie to the prefix; exact if left out",
            json!({ "enum": ["exact", "inside", "containing"] }),
        ),
        "neighbour" => ("From or to this neighbour only", json!({ "type": "string" })),
        "neighbour_needed" => ("The neighbour", json!({ "type": "string" })),
        "direction_needed" => (
            "From it to us, or from us to it",
            json!({ "enum": ["import", "export"] }),
        ),
        "prefix" | "prefix_needed" => ("A prefix such as 10.1.0.0/16", json!({ "type": "string" })),
        "after_prefix" => ("Those after this prefix", json!({ "type": "string" })),
        _ => ("", json!({})),
    }
}

/// If-Match (RFC 9110 §13.1.1).
pub(super) fn if_match(needed: bool) -> Value {
    json!({
        "name": "If-Match", "in": "header", "required": needed,
        "description": "The ETag of what was read: nothing is changed if another generation runs by now; or *",
        "schema": { "type": "string" },
    })
}
