//! What happened, as the log tells it: one line that an operator would want, under the name of its tunnel.

use ike::{ConnectionName, Event, Outage};
use tracing::{Span, debug, info, info_span, warn};

/// Writes one event of the engine to the log.
pub(crate) fn record(event: &Event) {
    match event {
        Event::Up(connection) => span(connection).in_scope(|| info!("up")),
        Event::Down(connection, outage) => span(connection).in_scope(|| down(outage)),
        Event::Dropped(remote, cause) => debug!(%remote, cause = cause.word(), "message dropped"),
    }
}

/// The span that every line about a tunnel stands in.
pub(crate) fn span(connection: &ConnectionName) -> Span {
    info_span!("tunnel", name = %connection.0)
}

fn down(outage: &Outage) {
    let Outage {
        reason,
        side,
        stage,
        offered,
        expected,
    } = outage;
    warn!(
        reason = reason.word(),
        side = side.word(),
        stage = stage.word(),
        offered,
        expected,
        next_step = reason.next_step(*side),
        "down"
    );
}
