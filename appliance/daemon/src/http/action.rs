use axum::extract::State;
use axum::http::StatusCode;

use super::error::{Error, ask};
use super::router::Published;
use super::write::Write;
use crate::control::{Act, Action, Order};

/// `POST /api/v1/connections/{name}:{connect|disconnect|reset|rekey|rekey-ike|reauthenticate|try-ikev2}`; answered when the engine has
/// been told.
pub(crate) async fn connection(
    State(published): State<Published>,
    write: Write,
) -> Result<StatusCode, Error> {
    let asked = write.place.concat();
    let Some((name, verb)) = asked.rsplit_once(':') else {
        return Err(Error::UnknownAction(asked));
    };
    let Some(action) = Action::ALL.into_iter().find(|action| action.word() == verb) else {
        return Err(Error::UnknownAction(verb.to_owned()));
    };
    let act = Act {
        author: write.author,
        connection: name.to_owned(),
        action,
    };
    ask(&published, |answer| Order::Act(act, answer)).await?;
    Ok(StatusCode::ACCEPTED)
}
