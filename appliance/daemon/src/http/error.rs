use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that is answered with an error.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nothing lives at this path.
    UnknownPath,
    /// No connection has this name.
    UnknownConnection(String),
    /// No such action on a connection.
    UnknownAction(String),
    /// The engine does not take requests now.
    Busy,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, reason, detail) = match self {
            Self::UnknownPath => (
                StatusCode::NOT_FOUND,
                "unknown-path",
                "nothing lives at this path".to_owned(),
            ),
            Self::UnknownConnection(name) => (
                StatusCode::NOT_FOUND,
                "unknown-connection",
                format!("no enabled connection is named {name:?}"),
            ),
            Self::UnknownAction(action) => (
                StatusCode::NOT_FOUND,
                "unknown-action",
                format!("{action:?} is not an action of a connection"),
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "the daemon is busy or stopping: try again".to_owned(),
            ),
        };
        (status, Json(json!({ "reason": reason, "detail": detail }))).into_response()
    }
}
