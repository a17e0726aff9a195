use axum::extract::{Path, State};
use axum::http::StatusCode;
use ike::{ConnectionName, Input};

use super::error::Error;
use super::router::Published;
use crate::ike_owner::Command;

/// `POST /api/v1/connections/{name}:{connect|rekey|rekey-ike}`; answered when the engine has been told.
pub(crate) async fn connection(
    State(published): State<Published>,
    Path(action): Path<String>,
) -> Result<StatusCode, Error> {
    let Some((name, verb)) = action.rsplit_once(':') else {
        return Err(Error::UnknownAction(action));
    };
    let connection = ConnectionName(name.into());
    if !published.ike.borrow().connections.contains_key(&connection) {
        return Err(Error::UnknownConnection(name.to_owned()));
    }
    let input = match verb {
        "connect" => Input::Connect(connection),
        "rekey" => Input::RekeyChild(connection),
        "rekey-ike" => Input::RekeyIke(connection),
        _ => return Err(Error::UnknownAction(verb.to_owned())),
    };
    published
        .commands
        .try_send(Command::Tell(input))
        .map_err(|_| Error::Busy)?;
    Ok(StatusCode::ACCEPTED)
}
