//! What happened, as the log tells it: one line that an operator would want, under the name of its tunnel.

use std::collections::BTreeMap;

use ike::{ConnectionName, Event, Outage, Reason, Side};
use tracing::{Span, debug, info, info_span, warn};

/// Writes events to the log, the same outage once and not at every attempt.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    outages: BTreeMap<ConnectionName, Outage>,
}

impl Journal {
    /// Writes one event of the engine.
    pub(crate) fn record(&mut self, event: Event) {
        let word = event.word();
        match event {
            Event::Up(connection) => {
                self.outages.remove(&connection);
                span(&connection).in_scope(|| info!("{word}"));
            }
            Event::Down(connection, outage)
            | Event::AttemptFailed(connection, outage)
            | Event::Degraded(connection, outage) => {
                let known = self.outages.get(&connection) == Some(&outage);
                span(&connection).in_scope(|| amiss(word, &outage, known));
                self.outages.insert(connection, outage);
            }
            Event::ChildRekeyed(connection) | Event::IkeRekeyed(connection) | Event::Replaced(connection) => {
                span(&connection).in_scope(|| info!("{word}"));
            }
            Event::PeerMoved(connection, remote) => span(&connection).in_scope(|| info!(%remote, "{word}")),
            Event::Dropped(remote, cause) => debug!(%remote, cause = cause.word(), "message dropped"),
        }
    }
}

/// The span that every line about a tunnel stands in.
pub(crate) fn span(connection: &ConnectionName) -> Span {
    info_span!("tunnel", name = %connection.0)
}

fn amiss(word: &str, outage: &Outage, known: bool) {
    let Outage {
        reason,
        side,
        stage,
        offered,
        expected,
    } = outage;
    let (reason_word, side_word, stage) = (reason.word(), side.word(), stage.word());
    if known {
        return debug!(reason = reason_word, side = side_word, stage, "still {word}");
    }
    match (reason, side) {
        (Reason::Configuration, Side::We) => info!(reason = reason_word, "{word}"),
        _ => {
            let next_step = reason.next_step(*side);
            warn!(
                reason = reason_word,
                side = side_word,
                stage,
                offered,
                expected,
                next_step,
                "{word}"
            );
        }
    }
}
