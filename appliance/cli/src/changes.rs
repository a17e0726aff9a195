use serde::Deserialize;
use serde_json::Value;

use crate::report::{notice_line, push};
use crate::status::Notice;

/// What a document does, as the daemon tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) generation: u32,
    pub(crate) unchanged: bool,
    #[serde(default)]
    pub(crate) difference: Vec<Difference>,
    #[serde(default)]
    pub(crate) impact: Impact,
    #[serde(default)]
    pub(crate) notices: Vec<Notice>,
    pub(crate) confirm_within_s: Option<u64>,
}

/// One place where two documents differ.
#[derive(Debug, Deserialize)]
pub(crate) struct Difference {
    path: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// What becomes of what runs.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Impact {
    #[serde(default)]
    connections: ConnectionImpact,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConnectionImpact {
    reset: Vec<String>,
    changed_in_place: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
}

/// Every place, with what stood there and what does.
pub(crate) fn difference(differences: &[Difference]) -> String {
    let mut text = String::new();
    for Difference { path, before, after } in differences {
        let path = if path.is_empty() { "/" } else { path };
        let line = match (before, after) {
            (Some(before), Some(after)) => format!("~ {path}: {before} -> {after}"),
            (Some(before), None) => format!("- {path}: {before}"),
            (None, Some(after)) => format!("+ {path}: {after}"),
            (None, None) => continue,
        };
        push(&mut text, &line);
    }
    text
}

/// What of it is kept and not acted on.
pub(crate) fn notices(notices: &[Notice]) -> String {
    let mut text = String::new();
    for notice in notices {
        push(&mut text, &format!("notice: {}", notice_line(notice)));
    }
    text
}

/// What it does to which connections.
pub(crate) fn impact(impact: &Impact) -> String {
    let connections = &impact.connections;
    let mut text = String::new();
    for (label, names) in [
        ("reset", &connections.reset),
        ("changed in place", &connections.changed_in_place),
        ("added", &connections.added),
        ("removed", &connections.removed),
    ] {
        if !names.is_empty() {
            push(&mut text, &format!("connections {label}: {}", names.join(", ")));
        }
    }
    text
}
