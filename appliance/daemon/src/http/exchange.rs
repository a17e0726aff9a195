use std::time::{Duration, SystemTime};

use appliance_config::{Config, Edit};
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::body::sent;
use super::config::{Tagged, tagged};
use super::error::{Error, ask};
use super::router::Published;
use super::write::Write;
use crate::clock;
use crate::control::{Commit, Exported, Order, Proposal, Refusal, Report};
use crate::envelope::{Envelope, Secrets, Stuck};

/// Which format of an export this is.
const FORMAT: u32 = 1;
/// Characters of a passphrase.
const PASSPHRASE: std::ops::RangeInclusive<usize> = 8..=1024;
/// How long one who asks for a key waits for those before.
const PATIENCE: Duration = Duration::from_secs(10);
/// Keys from passphrases take memory and time: one at once.
static ONE: Semaphore = Semaphore::const_new(1);

/// All that another machine needs to do the same.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Export {
    /// 1.
    format: u32,
    /// The version of the program that made it.
    causeway: String,
    at: String,
    generation: u32,
    /// Users and their roles among it, and no secret.
    document: Value,
    /// The secrets, under a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Envelope>,
    /// Secrets that could not be read, and are not among those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
}

/// A passphrase for the secrets of an export.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Passphrase {
    /// 8 to 1024 characters.
    #[schemars(with = "String", length(min = 8, max = 1024))]
    passphrase: SecretString,
}

/// What is to be imported.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    export: Export,
    /// Without, secrets stay as they are here.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 8, max = 1024))]
    passphrase: Option<SecretString>,
}

/// What is wrong with an export, or with its passphrase.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// Another passphrase.
    WrongPassphrase,
    /// No passphrase.
    Passphrase,
    /// No export of ours.
    Export(String),
}

impl Unfit {
    /// The reason word, and the same for a human.
    pub(super) fn words(&self) -> (&'static str, String) {
        match self {
            Self::WrongPassphrase => (
                "wrong-passphrase",
                "the passphrase is another one, or the export was changed".to_owned(),
            ),
            Self::Passphrase => (
                "passphrase-invalid",
                "a passphrase has 8 to 1024 characters".to_owned(),
            ),
            Self::Export(detail) => ("export-invalid", detail.clone()),
        }
    }
}

/// `GET /api/v1/export`: the document, users and their roles among it; no secrets.
pub(crate) async fn plain(State(published): State<Published>) -> Result<Json<Export>, Error> {
    let running = ask(&published, Order::Read).await?;
    Ok(Json(Export {
        format: FORMAT,
        causeway: env!("CARGO_PKG_VERSION").to_owned(),
        at: clock::words(SystemTime::now()),
        generation: running.generation,
        document: running.written.clone(),
        sealed: None,
        unreadable: Vec::new(),
    }))
}

/// `POST /api/v1/export` with `{"passphrase": "…"}`: the same with all secrets, sealed under it.
pub(crate) async fn sealed(State(published): State<Published>, write: Write) -> Result<Json<Export>, Error> {
    let Passphrase { passphrase } = sent(&write.body, "{\"passphrase\": \"…\"}")?;
    let passphrase = usable(passphrase)?;
    let Exported {
        running,
        secrets,
        unreadable,
    } = ask(&published, |answer| Order::Export(write.author, answer)).await?;
    let document = running.written.clone();
    let belongs = belongs(&document);
    let sealed = at_length(move || Envelope::seal(&secrets, &passphrase, &belongs)).await?;
    Ok(Json(Export {
        format: FORMAT,
        causeway: env!("CARGO_PKG_VERSION").to_owned(),
        at: clock::words(SystemTime::now()),
        generation: running.generation,
        document,
        sealed: Some(sealed),
        unreadable,
    }))
}

/// `POST /api/v1/import` with `{"export": …, "passphrase": "…"}`: document and secrets, or nothing.
pub(crate) async fn import(
    State(published): State<Published>,
    write: Write,
) -> Result<Tagged<Report>, Error> {
    let said = write.conditioned()?;
    let Import { export, passphrase } = sent(&write.body, "{\"export\": …, \"passphrase\": \"…\"}")?;
    if export.format != FORMAT {
        let format = export.format;
        return Err(unfit(format!(
            "it has format {format} where this program knows {FORMAT}"
        )));
    }
    let document = checked(&export.document)?;
    let secrets = match (export.sealed, passphrase) {
        (Some(envelope), Some(passphrase)) => {
            let (passphrase, belongs) = (usable(passphrase)?, belongs(&export.document));
            at_length(move || envelope.open(&passphrase, &belongs)).await?
        }
        (None, Some(_)) => return Err(unfit("it has no secrets for a passphrase")),
        (_, None) => Secrets::new(),
    };
    let commit = Box::new(Commit {
        said,
        proposal: Proposal::Edit(Vec::new(), Edit::Put(document)),
        comment: write.comment,
        confirm: write.confirm,
        approach: write.approach,
    });
    let report = ask(&published, |answer| Order::Import(commit, secrets, answer)).await?;
    Ok(tagged(report.generation, report))
}

fn unfit(detail: impl Into<String>) -> Error {
    Error::Exchange(Unfit::Export(detail.into()))
}

fn usable(passphrase: SecretString) -> Result<SecretString, Error> {
    if PASSPHRASE.contains(&passphrase.expose_secret().chars().count()) {
        Ok(passphrase)
    } else {
        Err(Error::Exchange(Unfit::Passphrase))
    }
}

/// The document, as it is in a request of its own: what is there twice, say, is refused.
fn checked(document: &Value) -> Result<Value, Error> {
    let of = |problems| Error::Refused(Refusal::of(problems));
    let config = Config::parse(document.to_string().as_bytes()).map_err(|problem| of(vec![problem]))?;
    config.value().map_err(of)
}

/// What the secrets are bound to.
fn belongs(document: &Value) -> Vec<u8> {
    let bound = json!({ "format": FORMAT, "document": appliance_config::canonical(document) });
    bound.to_string().into_bytes()
}

/// In a thread of its own, while tunnels are attended to.
async fn at_length<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Stuck> + Send + 'static,
) -> Result<T, Error> {
    let turn = tokio::time::timeout(PATIENCE, ONE.acquire()).await;
    let _turn = turn.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)?;
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Busy)?.map_err(|stuck| match stuck {
        Stuck::WrongPassphrase => Error::Exchange(Unfit::WrongPassphrase),
        Stuck::Unknown => unfit("what is sealed is no envelope of ours"),
        Stuck::System => Error::Busy,
    })
}
