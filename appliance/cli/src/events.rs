use crate::report::{duration, push, side};
use crate::status::Event;

/// What happened, in one line.
pub(crate) fn line(event: &Event) -> String {
    let mut text = String::new();
    push(&mut text, &words(event));
    text
}

/// The same without what was offered and expected.
pub(crate) fn brief(event: &Event) -> String {
    let mut words = format!("{}  {}", event.at, event.event);
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

fn words(event: &Event) -> String {
    let mut words = brief(event);
    for (label, said) in [("offered", &event.offered), ("expected", &event.expected)] {
        if !said.is_empty() {
            words += &format!("; {label} {said}");
        }
    }
    words
}
