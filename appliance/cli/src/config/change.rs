use clap::Args;
use hyper::Method;
use serde_json::Value;

use crate::changes::{self, Report};
use crate::client::{Client, Error};
use crate::query::Query;
use crate::report::push;

/// How a document is committed.
#[derive(Debug, Args)]
pub(crate) struct Manner {
    /// The one of before comes back by itself after so many seconds, unless `config confirm` is said in time.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    confirm_within: Option<u32>,
    /// What to remember of it.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl Manner {
    /// The same in a query.
    pub(crate) fn query(&self) -> Query {
        let confirm_within = self.confirm_within.map(|seconds| seconds.to_string());
        Query::default()
            .and("confirm_within_s", confirm_within.as_deref())
            .and("comment", self.comment.as_deref())
    }
}

/// Asks what a document would do.
pub(super) fn check(client: &Client, document: Vec<u8>) -> Result<(Value, Report), Error> {
    let answer = client.send(Method::POST, "/api/v1/config:check", None, document)?;
    let report = client.read(&answer)?;
    Ok((answer, report))
}

/// Has a document run from now on, if what `tag` names still runs.
pub(super) fn commit(
    client: &Client,
    tag: &str,
    document: Vec<u8>,
    manner: &Manner,
) -> Result<(Value, Report), Error> {
    let path = manner.query().of("/api/v1/config");
    let answer = client.send(Method::PUT, &path, Some(tag), document)?;
    let report = client.read(&answer)?;
    Ok((answer, report))
}

/// Keeps what is on trial.
pub(super) fn confirm(client: &Client) -> Result<Value, Error> {
    client.post("/api/v1/config:confirm")
}

/// What changes, and what that does.
pub(super) fn would_do(report: &Report) -> String {
    let mut text = changes::difference(&report.difference);
    text += &changes::notices(&report.notices);
    text += &changes::impact(&report.impact);
    if report.unchanged {
        let generation = report.generation;
        push(
            &mut text,
            &format!("Nothing changes: generation {generation} says the same."),
        );
    }
    text
}

/// The same, and what runs now.
pub(crate) fn does(report: &Report) -> String {
    let generation = report.generation;
    let last = match (report.unchanged, report.confirm_within_s) {
        (true, _) => String::new(),
        (false, Some(seconds)) => {
            format!("Generation {generation} runs for {seconds} s. To keep it: causeway config confirm\n")
        }
        (false, None) => format!("Generation {generation} runs.\n"),
    };
    would_do(report) + &last
}
