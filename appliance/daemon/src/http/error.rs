use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{AppendHeaders, IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::oneshot;

use super::capture::CaptureFault;
use super::exchange::Unfit;
use super::mrt::FileFault;
use super::router::Published;
use crate::access::{Denial, seconds};
use crate::control::{Order, Refusal, Violation};
use crate::datapath::Refused;
use crate::firmware::FirmwareFault;
use crate::https::CertificateFault;

const BUSY: &str = "the daemon is busy or stopping: try again";

/// A request that is answered with an error.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nothing lives at this path.
    UnknownPath,
    /// Something lives at this path, and does not take this verb.
    MethodNotAllowed,
    /// No connection has this name.
    UnknownConnection(String),
    /// The document has no such interface.
    UnknownInterface(String),
    /// No certificate of a connection has this name.
    UnknownKey(String),
    /// Something in the body is not what it should be.
    Wrong(Violation),
    /// Nothing that certificates may lead to has this name.
    UnknownTrust(String),
    /// A newer version of this key is still being looked for.
    LookLate(String),
    /// No connection that runs has a BGP session by this name.
    UnknownPeer(String),
    /// No such action on a connection.
    UnknownAction(String),
    /// The document has nothing at this place.
    UnknownItem(String),
    /// What stands after the question mark.
    InvalidQuery(String),
    /// A body of another shape.
    InvalidBody(String),
    /// A body that is not JSON.
    NotJson(Violation),
    /// A body that is too large.
    BodyTooLarge {
        /// What is taken, in octets.
        limit: usize,
    },
    /// A body that came too slowly.
    BodyTooSlow,
    /// A body that ended in the middle.
    BodyBroken,
    /// A name that no secret can have.
    InvalidName,
    /// A change without If-Match.
    ConditionNeeded,
    /// The owner of the configuration refuses.
    Refused(Refusal),
    /// An export that cannot be made or used.
    Exchange(Unfit),
    /// Too many listen to events already.
    TooManyListeners,
    /// No file of routes or messages.
    File(FileFault),
    /// No packets of a connection.
    Capture(CaptureFault),
    /// An update that does not go on.
    Firmware(FirmwareFault),
    /// The caller may not.
    Denied(Denial),
    /// A certificate that cannot be used.
    Certificate(CertificateFault),
    /// The kernel does not say what it was asked.
    KernelSilent(Refused),
    /// The daemon does not take requests now.
    Busy,
}

/// The reason word of an answer, for the audit log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why(pub(super) &'static str);

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<FirmwareFault> for Error {
    fn from(fault: FirmwareFault) -> Self {
        Self::Firmware(fault)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An error as it is told (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Told {
    title: &'static str,
    status: u16,
    reason: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
}

/// Has the owner of the configuration do something.
pub(super) async fn ask<T>(
    published: &Published,
    order: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Order,
) -> Result<T, Error> {
    self::order(published, order).await.map_err(Error::Refused)
}

/// The same, with the refusal as it is said.
pub(super) async fn order<T>(
    published: &Published,
    order: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Order,
) -> Result<T, Refusal> {
    let (answer, said) = oneshot::channel();
    let sent = published.orders.try_send(order(answer));
    sent.map_err(|_| Refusal::Stopping)?;
    said.await.map_err(|_| Refusal::Stopping)?
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, reason, detail) = self.words();
        let after = if let Self::Denied(Denial::TooManyAttempts(wait)) = &self {
            Some((RETRY_AFTER, seconds(*wait).to_string()))
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            Some((RETRY_AFTER, "1".to_owned()))
        } else if status == StatusCode::UNAUTHORIZED {
            Some((WWW_AUTHENTICATE, "Bearer realm=\"causeway\"".to_owned()))
        } else {
            None
        };
        let violations = if let Self::Refused(Refusal::Violations(violations)) = self {
            violations
        } else if let Self::NotJson(violation) | Self::Wrong(violation) = self {
            vec![violation]
        } else {
            Vec::new()
        };
        let told = Told {
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            reason,
            detail,
            violations,
        };
        let media = [(CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, media, AppendHeaders(after), Json(told)).into_response();
        response.extensions_mut().insert(Why(reason));
        response
    }
}

impl Error {
    pub(super) fn words(&self) -> (StatusCode, &'static str, String) {
        let (status, reason, detail) = match self {
            Self::Refused(refusal) => return (status_of(refusal), refusal.reason(), refusal.to_string()),
            Self::Denied(denial) => {
                let (status, reason) = denial.words();
                (status, reason, denial.to_string())
            }
            Self::Certificate(fault) => {
                let (status, reason) = words_of(fault);
                (status, reason, fault.to_string())
            }
            Self::UnknownPath => (404, "unknown-path", "nothing lives at this path".to_owned()),
            Self::MethodNotAllowed => (405, "method-not-allowed", "this path has other verbs".to_owned()),
            Self::UnknownConnection(name) => (404, "unknown-connection", unnamed("connection", name)),
            Self::UnknownKey(name) => (404, "unknown-key", unnamed("certificate with a key", name)),
            Self::Wrong(violation) => at_place(violation),
            Self::UnknownTrust(name) => (404, "unknown-trust", unnamed("trust", name)),
            Self::LookLate(name) => late(name),
            Self::UnknownInterface(name) => (404, "unknown-interface", unnamed("interface", name)),
            Self::UnknownPeer(name) => (404, "unknown-peer", unnamed("BGP session", name)),
            Self::UnknownAction(action) => {
                let detail = format!("{action:?} is not an action of what is named there");
                (404, "unknown-action", detail)
            }
            Self::UnknownItem(place) => (404, "unknown-item", format!("the document has no {place:?}")),
            Self::InvalidQuery(detail) => (400, "invalid-query", detail.clone()),
            Self::InvalidBody(detail) => (400, "invalid-body", detail.clone()),
            Self::NotJson(violation) => (400, violation.reason, violation.detail.clone()),
            Self::BodyTooLarge { limit } => (413, "too-large", format!("at most {limit} bytes are taken")),
            Self::BodyTooSlow => (408, "too-slow", "the body did not arrive in time".to_owned()),
            Self::BodyBroken => (400, "broken-body", "the body ended in the middle".to_owned()),
            Self::InvalidName => (
                400,
                "invalid-name",
                "a name has 1 to 63 of a-z A-Z 0-9 . _ - and is neither \".\" nor \"..\"".to_owned(),
            ),
            Self::ConditionNeeded => (
                428,
                "if-match-needed",
                "say with If-Match which generation you change: the ETag of what you read".to_owned(),
            ),
            Self::Exchange(unfit) => {
                let (reason, detail) = unfit.words();
                (422, reason, detail)
            }
            Self::TooManyListeners => (
                503,
                "too-many-listeners",
                "too many listen to events already: try again".to_owned(),
            ),
            Self::File(fault) => of_file(*fault),
            Self::Capture(fault) => fault.words(),
            Self::Firmware(fault) => of_update(fault),
            Self::KernelSilent(refused) => (500, "kernel-refused", refused.to_string()),
            Self::Busy => (503, "busy", BUSY.to_owned()),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, reason, detail)
    }
}

fn unnamed(kind: &str, name: &str) -> String {
    format!("no {kind} is named {name:?}")
}

fn at_place(violation: &Violation) -> (u16, &'static str, String) {
    let Violation { path, reason, detail } = violation;
    (422, reason, format!("{path}: {detail}"))
}

fn late(name: &str) -> (u16, &'static str, String) {
    let detail = format!("a newer version of {name} is still being looked for: see /status/keys/{name}");
    (503, "signer-slow", detail)
}

fn of_file(fault: FileFault) -> (u16, &'static str, String) {
    let (status, reason, detail) = fault.words();
    (status, reason, detail.to_owned())
}

fn of_update(fault: &FirmwareFault) -> (u16, &'static str, String) {
    let (status, reason) = fault.words();
    (status, reason, fault.to_string())
}

fn words_of(fault: &CertificateFault) -> (u16, &'static str) {
    match fault {
        CertificateFault::Unreadable(_) => (422, "certificate-unreadable"),
        CertificateFault::OtherKey => (422, "key-mismatch"),
        CertificateFault::File { .. } | CertificateFault::NotMade(_) => (500, "store-failed"),
    }
}

fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::ReadOnly => StatusCode::FORBIDDEN,
        Refusal::NoStore
        | Refusal::UnknownItem(_)
        | Refusal::UnknownGeneration(_)
        | Refusal::UnknownSecret(_)
        | Refusal::UnknownPeer(_)
        | Refusal::UnknownCertificate(_)
        | Refusal::UnknownKeyProvider(_)
        | Refusal::UnknownConnection(_) => StatusCode::NOT_FOUND,
        Refusal::Stale { .. } => StatusCode::PRECONDITION_FAILED,
        Refusal::Violations(_) | Refusal::SecretInvalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::OnTrial(..)
        | Refusal::NothingOnTrial
        | Refusal::ConnectionDisabled(_)
        | Refusal::ConnectionHeld(_)
        | Refusal::SpeaksIkev2(_)
        | Refusal::SecretInUse { .. }
        | Refusal::NotApplied(_) => StatusCode::CONFLICT,
        Refusal::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    }
}
