//! What was before and what is to come, each on a line of its own as it comes.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::Value;

use crate::answer::{Answer, Done};
use crate::client::{Client, Error, Event as Sent};
use crate::report::push;

/// What is followed, until interrupted.
pub(crate) struct Followed<'a> {
    /// Where it streams from when nothing was before.
    pub(crate) path: &'a str,
    /// What was before, oldest first.
    pub(crate) before: Option<&'a Value>,
    /// One object in a line, as it is given.
    pub(crate) json: bool,
    /// One in words, with the end of its line.
    pub(crate) words: fn(&Client, &Value) -> Result<String, Error>,
}

/// Prints it.
pub(crate) fn follow(client: &Client, followed: &Followed) -> Done {
    let mut last = None;
    let done = || Ok(Answer::done(Value::Null, String::new()).silent());
    let before = followed.before.and_then(Value::as_array);
    for one in before.into_iter().flatten() {
        if print(client, followed, one)?.is_break() {
            return done();
        }
        last = one.get("id").map(Value::to_string).or(last);
    }
    let mut failed = None;
    client.follow(followed.path, last, |sent| {
        told(client, followed, sent).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failed.map_or_else(done, Err)
}

fn told(client: &Client, followed: &Followed, sent: &Sent) -> Result<ControlFlow<()>, Error> {
    let one: Value = serde_json::from_str(&sent.data).unwrap_or_else(|_| sent.data.as_str().into());
    match sent.kind.as_deref() {
        Some("gap") if !followed.json => {
            let why = one.get("reason").and_then(Value::as_str).unwrap_or_default();
            Ok(out(&gap(why)))
        }
        Some(_) | None => print(client, followed, &one),
    }
}

fn print(client: &Client, followed: &Followed, one: &Value) -> Result<ControlFlow<()>, Error> {
    if followed.json {
        return Ok(out(&format!("{one}\n")));
    }
    Ok(out(&(followed.words)(client, one)?))
}

/// Nobody listens any more once this fails.
fn out(text: &str) -> ControlFlow<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// That some are missing, and why.
pub(crate) fn gap(why: &str) -> String {
    let mut text = String::new();
    push(&mut text, &format!("(some are missing: {why})"));
    text
}
