use crate::report::{duration, push, side};
use crate::status::Event;

/// What happened to a connection, in one line.
pub(crate) fn line(event: &Event) -> String {
    let mut text = String::new();
    push(&mut text, &format!("{}{}", brief(event), said(event)));
    text
}

/// The same of an event among those of all, with to what it happened.
pub(crate) fn line_of_all(event: &Event) -> String {
    let connection = event
        .connection
        .as_ref()
        .map_or_else(String::new, |name| format!("{name}: "));
    let mut words = format!("{}  {connection}{}", event.at, what(event));
    for about in [&event.object, &event.detail].into_iter().flatten() {
        words += &format!(": {about}");
    }
    if let Some(generation) = event.generation {
        words += &format!(", generation {generation}");
    }
    if let Some(author) = &event.author {
        words += &format!(", by {author}");
    }
    let mut text = String::new();
    push(&mut text, &format!("{words}{}", said(event)));
    text
}

/// What happened to a connection, without what was offered and expected.
pub(crate) fn brief(event: &Event) -> String {
    format!("{}  {}", event.at, what(event))
}

fn what(event: &Event) -> String {
    let mut words = event.event.clone();
    match (event.event.as_str(), event.lasted_s) {
        ("up", Some(seconds)) => words += &format!(" after {} down", duration(seconds)),
        ("down", Some(seconds)) => words += &format!(" after {} up", duration(seconds)),
        _ => {}
    }
    if let Some(peer) = &event.peer {
        words += &format!(" to {peer}");
    }
    if let Some(reason) = event.reason.as_ref().filter(|reason| **reason != event.event) {
        words += &format!(": {reason}");
    }
    if let (Some(found_by), Some(stage)) = (event.side, &event.stage) {
        words += &format!(", said by {} at {stage}", side(found_by));
    }
    if let Some(first) = &event.first {
        words += &format!("; {} times since {first}", event.times);
    }
    words
}

fn said(event: &Event) -> String {
    let mut words = String::new();
    for (label, said) in [("offered", &event.offered), ("expected", &event.expected)] {
        if !said.is_empty() {
            words += &format!("; {label} {said}");
        }
    }
    words
}
