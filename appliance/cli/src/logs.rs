use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::query::Query;
use crate::report::push;
use crate::status::Event;
use crate::stream::{Followed, follow, gap};
use crate::{completion, events, name};

/// So many are asked for at once.
const MOST: &str = "1000";
/// So many are shown before those to come.
const LATELY: &str = "10";

/// Which events are shown.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Go on with what happens from now on, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// Only of this connection.
    #[arg(long, value_name = "NAME", value_parser = name, add = ArgValueCompleter::new(completion::connections))]
    connection: Option<String>,
    /// Not older than this: 90s, 15m, 2h, 3d, or a time such as 2026-01-02T03:04:05Z.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<String>,
}

/// What the daemon gives.
#[derive(Debug, Deserialize)]
struct Events {
    events: Vec<Event>,
    gap: Option<String>,
    #[serde(default)]
    more: bool,
}

/// Shows what happened.
pub(crate) fn run(client: &Client, wanted: &Wanted, json: bool) -> Done {
    let limit = match (wanted.follow, &wanted.since) {
        (true, None) => LATELY,
        (true | false, Some(_)) | (false, None) => MOST,
    };
    let of = || Query::default().and("connection", wanted.connection.as_deref());
    let query = of()
        .and("since", wanted.since.as_deref())
        .and("limit", Some(limit));
    let answer = client.get(&query.of("/api/v1/events"))?;
    let told: Events = client.read(&answer)?;
    if wanted.follow {
        let followed = Followed {
            path: &of().of("/api/v1/events"),
            before: answer.get("events"),
            json,
            words: |client, event| Ok(events::line_of_all(&client.read(event)?)),
        };
        return follow(client, &followed);
    }
    let mut text = told.gap.map_or_else(String::new, |why| gap(&why));
    if told.more && wanted.since.is_some() {
        push(&mut text, &format!("(only the last {MOST})"));
    }
    text.extend(told.events.iter().map(events::line_of_all));
    Ok(Answer::done(answer, text))
}

/// A moment, or how long ago it was, as the API takes it.
fn moment(text: &str) -> Result<String, String> {
    if OffsetDateTime::parse(text, &Rfc3339).is_ok() {
        return Ok(text.to_owned());
    }
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let ago = units.iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(*seconds)
    });
    let then = ago.and_then(|seconds| {
        let seconds = i64::try_from(Duration::from_secs(seconds).as_secs()).ok()?;
        OffsetDateTime::now_utc().checked_sub(time::Duration::seconds(seconds))
    });
    let then = then.and_then(|then| then.replace_nanosecond(0).ok()?.format(&Rfc3339).ok());
    then.ok_or_else(|| "expected 90s, 15m, 2h, 3d, or a time such as 2026-01-02T03:04:05Z".to_owned())
}
