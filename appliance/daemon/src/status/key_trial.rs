use std::time::Duration;

use ike::{Reason, Stage};
use schemars::JsonSchema;
use serde::Serialize;

use super::{KeyStatus, OutageStatus};
use crate::signer::{KeyTrial, Refreshed, SchemeTrial, Step, TrialFault};

/// How the key of a certificate does when it signs in every way that it may be asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyTrialStatus {
    /// Every way that was tried works, and nothing else is amiss.
    ok: bool,
    /// Who has the key: `file`, `pkcs11` or `key-vault`.
    provider: &'static str,
    /// Where it is: in this machine's `memory`, in a `token`, or in a `vault` that does not give it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'static str>,
    /// What kind of key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Its version, where its provider has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// How long all of it took.
    took_ms: u64,
    /// What is amiss however it signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<OutageStatus>,
    /// Each way to sign.
    schemes: Vec<SchemeStatus>,
}

/// One way to sign.
#[derive(Debug, Serialize, JsonSchema)]
struct SchemeStatus {
    /// In words.
    scheme: String,
    /// `works` (the signature was checked by the certificate), `fails`, or `left-out`: the key would have to leave its vault.
    state: &'static str,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<OutageStatus>,
}

/// How who has private keys does.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProviderTrialStatus {
    /// Nothing that was tried failed.
    ok: bool,
    /// What was tried, in this order; what comes after a failure and depends on it is not tried.
    steps: Vec<StepStatus>,
}

/// One thing that was tried.
#[derive(Debug, Serialize, JsonSchema)]
struct StepStatus {
    /// `file`, `module`, `token`, `pin`, `identity` or `vault`.
    step: &'static str,
    /// Which: a secret, a path, a URI, for whom a token is, or the identifier of a certificate.
    subject: String,
    ok: bool,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<OutageStatus>,
}

/// What a look for a newer version of a key found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RefreshStatus {
    /// There is another version than before; connections take it for their next authentication.
    renewed: bool,
    /// How the key does now.
    key: KeyStatus,
}

impl KeyTrialStatus {
    /// As the API tells it.
    pub(crate) fn new(trial: &KeyTrial) -> Self {
        let schemes: Vec<SchemeStatus> = trial
            .schemes
            .iter()
            .map(|(scheme, tried)| SchemeStatus::new(scheme.to_string(), tried))
            .collect();
        let opened = trial.opened.as_ref();
        Self {
            ok: trial.fault.is_none() && schemes.iter().all(|scheme| scheme.outage.is_none()),
            provider: trial.provider,
            place: opened.map(|(place, _, _)| place.word()),
            kind: opened.map(|(_, kind, _)| kind.to_string()),
            version: opened.and_then(|(_, _, version)| version.clone()),
            took_ms: milliseconds(trial.took),
            outage: trial.fault.as_ref().map(outage),
            schemes,
        }
    }
}

impl SchemeStatus {
    fn new(scheme: String, tried: &SchemeTrial) -> Self {
        let (state, took, fault) = match tried {
            SchemeTrial::Works(took) => ("works", *took, None),
            SchemeTrial::Fails(fault, took) => ("fails", *took, Some(fault)),
            SchemeTrial::LeftOut => ("left-out", Duration::ZERO, None),
        };
        Self {
            scheme,
            state,
            took_ms: milliseconds(took),
            outage: fault.map(outage),
        }
    }
}

impl ProviderTrialStatus {
    /// As the API tells it.
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let steps = steps.into_iter().map(|step| StepStatus {
            step: step.step,
            ok: step.fault.is_none(),
            took_ms: milliseconds(step.took),
            outage: step.fault.as_ref().map(outage),
            subject: step.subject,
        });
        let steps: Vec<StepStatus> = steps.collect();
        Self {
            ok: steps.iter().all(|step| step.ok),
            steps,
        }
    }
}

impl RefreshStatus {
    /// As the API tells it.
    pub(crate) fn new(refreshed: &Refreshed) -> Self {
        Self {
            renewed: refreshed.renewed,
            key: KeyStatus::new(&refreshed.key),
        }
    }
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn outage(fault: &TrialFault) -> OutageStatus {
    let ours = |reason, offered, expected: String, next_step: String| {
        OutageStatus::of_ours((reason, Stage::Idle.word()), offered, expected, next_step)
    };
    match fault {
        TrialFault::Signer(fault) => OutageStatus::of_signer(fault),
        TrialFault::NoSecret(secret) => ours(
            Reason::SecretUnusable.word(),
            String::new(),
            format!("the secret {secret}"),
            format!("Set it again: causeway secret set {secret}"),
        ),
        TrialFault::NoCertificate => ours(
            Reason::Certificate(ike::CertificateReason::Missing).word(),
            "no certificate".to_owned(),
            "a certificate of the key".to_owned(),
            "Write it to \"chain\" in the document, or store it beside its key.".to_owned(),
        ),
        TrialFault::OtherKey(name) => ours(
            "key-mismatch",
            format!("a signature that is not of the key of {name}"),
            "certificate and key that belong together".to_owned(),
            "Name the certificate of this key in \"chain\", or the key of this certificate.".to_owned(),
        ),
    }
}
