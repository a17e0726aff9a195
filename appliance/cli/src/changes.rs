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
#[serde(default)]
pub(crate) struct Impact {
    connections: Changes,
    bgp_peers: Changes,
    interfaces: InterfaceImpact,
    caller: Option<CallerImpact>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Changes {
    reset: Vec<String>,
    changed_in_place: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InterfaceImpact {
    readdressed: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
}

/// What becomes of the way by which this very request came.
#[derive(Debug, Deserialize)]
struct CallerImpact {
    #[serde(default)]
    path: Option<String>,
    cut_off: bool,
    #[serde(default)]
    why: Option<String>,
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

/// What it does to what runs, and to who asks.
pub(crate) fn impact(impact: &Impact) -> String {
    let mut text = String::new();
    push_changes(&mut text, "connections", &impact.connections);
    push_changes(&mut text, "BGP peers", &impact.bgp_peers);
    let interfaces = &impact.interfaces;
    for (label, names) in [
        ("interfaces readdressed", &interfaces.readdressed),
        ("interfaces added", &interfaces.added),
        ("interfaces removed", &interfaces.removed),
    ] {
        push_names(&mut text, label, names);
    }
    if let Some(caller) = impact.caller.as_ref().filter(|caller| caller.cut_off) {
        let path = caller
            .path
            .as_ref()
            .map_or_else(String::new, |path| format!(", which goes by {path}"));
        let why = caller
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        push(&mut text, &format!("THIS CUTS YOUR OWN ACCESS OFF{path}{why}"));
    }
    text
}

/// What is kept and not acted on.
pub(crate) fn notices(notices: &[Notice]) -> String {
    let mut text = String::new();
    for notice in notices {
        push(&mut text, &format!("notice: {}", notice_line(notice)));
    }
    text
}

fn push_changes(text: &mut String, what: &str, changes: &Changes) {
    for (label, names) in [
        ("reset", &changes.reset),
        ("changed in place", &changes.changed_in_place),
        ("added", &changes.added),
        ("removed", &changes.removed),
    ] {
        push_names(text, &format!("{what} {label}"), names);
    }
}

fn push_names(text: &mut String, label: &str, names: &[String]) {
    if !names.is_empty() {
        push(text, &format!("{label}: {}", names.join(", ")));
    }
}
