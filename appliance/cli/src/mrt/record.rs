use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Done};
use crate::client::Client;
use crate::report::push;

const PATH: &str = "/api/v1/bgp/recording";

/// How a recording stands.
#[derive(Debug, Deserialize)]
struct Recording {
    state: String,
    neighbour: Option<String>,
    since: Option<String>,
    messages: u64,
    bytes: u64,
    dropped: u64,
    max_bytes: Option<u64>,
    max_seconds: Option<u64>,
}

/// What is to be written down, where it is not as usual.
pub(super) struct Bounds<'a> {
    pub(super) neighbour: Option<&'a str>,
    pub(super) bytes: Option<u32>,
    pub(super) seconds: Option<u32>,
}

pub(super) fn start(client: &Client, bounds: &Bounds<'_>) -> Done {
    let mut body = json!({});
    if let Some(fields) = body.as_object_mut() {
        fields.extend(bounds.neighbour.map(|name| ("neighbour".to_owned(), name.into())));
        fields.extend(bounds.bytes.map(|bytes| ("max_bytes".to_owned(), bytes.into())));
        fields.extend(
            bounds
                .seconds
                .map(|seconds| ("max_seconds".to_owned(), seconds.into())),
        );
    }
    let answer = client.send(
        Method::POST,
        &format!("{PATH}:start"),
        None,
        body.to_string().into_bytes(),
    )?;
    told(client, answer)
}

pub(super) fn stop(client: &Client) -> Done {
    let answer = client.post(&format!("{PATH}:stop"))?;
    told(client, answer)
}

pub(super) fn status(client: &Client) -> Done {
    let answer = client.get(PATH)?;
    told(client, answer)
}

fn told(client: &Client, answer: serde_json::Value) -> Done {
    let recording: Recording = client.read(&answer)?;
    let mut text = String::new();
    let Recording {
        state,
        messages,
        bytes,
        dropped,
        ..
    } = &recording;
    let of = recording.neighbour.as_deref().unwrap_or("all neighbours");
    match (&recording.since, recording.max_bytes, recording.max_seconds) {
        (Some(since), Some(most), Some(seconds)) => {
            let line = format!("{}, of {of}, since {since}", state.to_uppercase());
            push(&mut text, &line);
            push(
                &mut text,
                &format!(
                    "  written {messages} messages, {bytes} of at most {most} bytes, for at most {seconds} s"
                ),
            );
            push(&mut text, &format!("  dropped {dropped}"));
        }
        _ => push(&mut text, "nothing was recorded since the daemon started"),
    }
    Ok(Answer::done(answer, text))
}
