use clap::Args;
use serde::Deserialize;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::query::Query;
use crate::report::push;

/// Which lines are shown.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Only what this one did or tried, as the log names it.
    #[arg(long, value_name = "WHO")]
    who: Option<String>,
    /// Only what came to this: done, or the reason word of a refusal.
    #[arg(long, value_name = "WORD")]
    result: Option<String>,
    /// Only what is older than the line with this number.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

#[derive(Debug, Deserialize)]
struct Log {
    entries: Vec<Entry>,
    #[serde(default)]
    more: bool,
}

#[derive(Debug, Deserialize)]
struct Entry {
    id: u64,
    at: String,
    who: String,
    #[serde(default)]
    source: String,
    what: String,
    result: String,
}

/// Shows who did what, or tried to, newest first.
pub(crate) fn run(client: &Client, wanted: &Wanted) -> Done {
    let query = Query::default()
        .and("who", wanted.who.as_deref())
        .and("result", wanted.result.as_deref())
        .and(
            "before",
            wanted.before.map(|before| before.to_string()).as_deref(),
        )
        .and("limit", Some(&wanted.limit.to_string()));
    let answer = client.get(&query.of("/api/v1/audit"))?;
    let log: Log = client.read(&answer)?;
    let mut text = String::new();
    for entry in &log.entries {
        let source = match entry.source.as_str() {
            "" => String::new(),
            source => format!(" from {source}"),
        };
        let Entry {
            at,
            who,
            what,
            result,
            ..
        } = entry;
        push(&mut text, &format!("{at}  {who}{source}  {result}  {what}"));
    }
    if let (true, Some(oldest)) = (log.more, log.entries.last()) {
        push(
            &mut text,
            &format!("There are older ones: causeway audit --before {}", oldest.id),
        );
    }
    Ok(Answer::done(answer, text))
}
