use std::path::Path;

use hyper::Method;
use serde::Deserialize;

use super::packed::sendable;
use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::query::Query;
use crate::report::push;

/// What the rules made of the routes.
#[derive(Debug, Deserialize)]
struct Tried {
    announced: u64,
    withdrawn: u64,
    malformed: u64,
    #[serde(default)]
    faults: Vec<String>,
    accepted: u64,
    refused: u64,
    decisions: Vec<Decision>,
    limits: Vec<Limit>,
}

#[derive(Debug, Deserialize)]
struct Decision {
    accepted: bool,
    by: String,
    term: Option<usize>,
    routes: u64,
    examples: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Limit {
    family: String,
    limit: u32,
    received: u32,
    exceeded_at: Option<String>,
}

/// Has the daemon say what a neighbour's rules would make of the routes in a file.
pub(super) fn run(client: &Client, file: &Path, neighbour: &str) -> Done {
    let query = Query::default().and("neighbour", Some(neighbour));
    let path = query.of("/api/v1/bgp/table:try");
    let answer = client.send(Method::POST, &path, None, sendable(file)?)?;
    let tried: Tried = client.read(&answer)?;
    let mut text = String::new();
    let Tried {
        announced,
        withdrawn,
        malformed,
        accepted,
        refused,
        ..
    } = &tried;
    push(
        &mut text,
        &format!("{announced} routes announced and {withdrawn} withdrawn, {malformed} updates malformed"),
    );
    for fault in &tried.faults {
        push(&mut text, &format!("  malformed {fault}"));
    }
    push(&mut text, &format!("{accepted} let in, {refused} not"));
    for Decision {
        accepted,
        by,
        term,
        routes,
        examples,
    } in &tried.decisions
    {
        let outcome = if *accepted { "let in" } else { "not let in" };
        let term = term.map_or_else(String::new, |term| format!(" (term {term})"));
        push(
            &mut text,
            &format!("  {routes} {outcome}, by {by}{term}: {}", examples.join(" ")),
        );
    }
    for Limit {
        family,
        limit,
        received,
        exceeded_at,
    } in &tried.limits
    {
        let line = match exceeded_at {
            Some(prefix) => format!(
                "{family}: {received} prefixes; the session would end at {prefix}, the first one above {limit}"
            ),
            None => format!("{family}: {received} of at most {limit} prefixes"),
        };
        push(&mut text, &line);
    }
    Ok(Answer::done(answer, text))
}
