use serde::Deserialize;

use crate::report::push;

/// Which documents ran, newest first.
#[derive(Debug, Deserialize)]
pub(super) struct History {
    current: u32,
    trial: Option<u32>,
    pub(super) generations: Vec<Generation>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(super) struct Generation {
    pub(super) generation: u32,
    at: String,
    author: String,
    source: String,
    comment: String,
}

/// One line for each generation.
pub(super) fn text(history: &History) -> String {
    let mut text = String::new();
    for one in &history.generations {
        let mark = match one.generation {
            number if Some(number) == history.trial => "on trial",
            number if number == history.current => "runs",
            _ => "",
        };
        push(&mut text, &line(one, mark));
    }
    text
}

/// Who committed it, when, how and why.
pub(super) fn line(one: &Generation, mark: &str) -> String {
    let (number, at, author, source) = (one.generation, &one.at, &one.author, &one.source);
    let line = format!(
        "{number:>5}  {at}  {mark:<8}  {source:<8}  {author}  {}",
        one.comment
    );
    line.trim_end().to_owned()
}
