use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Done};
use crate::client::{Client, Error};
use crate::keys::{Key, push_key};
use crate::outcome::Outcome;
use crate::pki::ders;
use crate::report::{push, push_outage};
use crate::status::Outage;
use crate::{completion, name};

/// Which certificates, or what is done with them.
#[derive(Debug, Args)]
pub(crate) struct Certificates {
    /// Show only this one.
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::certificates))]
    name: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether a certificate would be believed, and if not, which one is to blame and by which rule.
    Verify(Verify),
    /// Have the key of a certificate sign in every way that it may be asked for.
    TestSign {
        /// The certificate.
        #[arg(value_parser = name, add = ArgValueCompleter::new(completion::certificates))]
        name: String,
    },
    /// Show all certificates, those of authorities too, by when they end.
    Timeline,
}

/// A certificate and what it is for.
#[derive(Debug, Args)]
struct Verify {
    /// Files with certificates (PEM or DER): the first one is looked at, the others may lead from it to a root.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// It must lead to what the document has under this name in trust.
    #[arg(long, value_parser = name, conflicts_with = "roots")]
    trust: Option<String>,
    /// It must lead to one of the roots in this file; without either, to the root among the files.
    #[arg(long)]
    roots: Option<PathBuf>,
    /// What it is for.
    #[arg(long, value_enum, default_value_t = Purpose::Peer)]
    purpose: Purpose,
    /// As if it were this time, such as 2027-01-01T00:00:00Z.
    #[arg(long)]
    at: Option<String>,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Purpose {
    Peer,
    Own,
    AzureOutbound,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Own => "own",
            Self::AzureOutbound => "azure-outbound",
        }
    }
}

/// A certificate of ours.
#[derive(Debug, Deserialize)]
struct Certificate {
    provider: String,
    provider_kind: String,
    reference: String,
    source: String,
    key: Option<Key>,
    chain: Vec<X509>,
    used_by: Vec<String>,
}

/// What a certificate says.
#[derive(Debug, Deserialize)]
struct X509 {
    subject: String,
    issuer: String,
    serial: String,
    #[serde(default)]
    names: Vec<String>,
    key: String,
    signature: String,
    usages: Option<Vec<String>>,
    purposes: Option<Vec<String>>,
    #[serde(default)]
    authority: bool,
    path_length: Option<u8>,
    #[serde(flatten)]
    dates: Dates,
    sha1: String,
    sha256: String,
}

#[derive(Debug, Deserialize)]
struct Dates {
    not_before: String,
    not_after: String,
    state: String,
    ends_in_s: i64,
}

/// Does it.
pub(crate) fn run(client: &Client, wanted: &Certificates) -> Done {
    match &wanted.command {
        Some(Command::Verify(verify)) => self::verify(client, verify),
        Some(Command::TestSign { name }) => test_sign(client, name),
        Some(Command::Timeline) => timeline(client),
        None => list(client, wanted.name.as_deref()),
    }
}

fn list(client: &Client, name: Option<&str>) -> Done {
    let Some(name) = name else {
        let answer = client.get("/api/v1/certificates")?;
        let all: BTreeMap<String, Certificate> = client.read(&answer)?;
        let blocks: Vec<String> = all.iter().map(|(name, one)| block(name, one, false)).collect();
        let text = match blocks.as_slice() {
            [] => "no certificate is configured\n".to_owned(),
            blocks => blocks.join("\n"),
        };
        return Ok(Answer::done(answer, text));
    };
    let answer = client.get(&format!("/api/v1/certificates/{name}"))?;
    let text = block(name, &client.read(&answer)?, true);
    Ok(Answer::done(answer, text))
}

/// In short the certificate alone, and else all that each one of the chain says.
fn block(name: &str, certificate: &Certificate, whole: bool) -> String {
    let Certificate {
        provider,
        provider_kind,
        reference,
        source,
        ..
    } = certificate;
    let mut text = String::new();
    push(
        &mut text,
        &format!("{name}: key by {provider} ({provider_kind}), {reference}"),
    );
    if let Some(key) = &certificate.key {
        push_key(&mut text, key);
    }
    let used_by = match certificate.used_by.as_slice() {
        [] => "nothing".to_owned(),
        used_by => used_by.join(", "),
    };
    push(&mut text, &format!("  used at  {used_by}"));
    if certificate.chain.is_empty() {
        push(&mut text, "  has no certificate yet");
    } else {
        push(&mut text, &format!("  told by  the {source}"));
    }
    let shown = if whole { certificate.chain.len() } else { 1 };
    for x509 in certificate.chain.iter().take(shown) {
        push_x509(&mut text, x509, whole);
    }
    text
}

fn push_x509(text: &mut String, x509: &X509, whole: bool) {
    let dates = &x509.dates;
    push(text, &format!("  subject  {}", x509.subject));
    push(
        text,
        &format!(
            "  valid    {} to {}: {}",
            dates.not_before,
            dates.not_after,
            left(dates)
        ),
    );
    if !whole {
        return;
    }
    let listed = |list: Option<&Vec<String>>, none: &str| match list.map(Vec::as_slice) {
        None | Some([]) => none.to_owned(),
        Some(words) => words.join(", "),
    };
    let authority = match (x509.authority, x509.path_length) {
        (false, _) => "no".to_owned(),
        (true, None) => "yes".to_owned(),
        (true, Some(most)) => format!("yes, with {most} intermediates below it at most"),
    };
    for (label, words) in [
        ("issuer   ", x509.issuer.clone()),
        ("names    ", listed(Some(&x509.names), "none")),
        ("key      ", x509.key.clone()),
        ("signature", x509.signature.clone()),
        ("usages   ", listed(x509.usages.as_ref(), "not limited")),
        ("purposes ", listed(x509.purposes.as_ref(), "not limited")),
        ("authority", authority),
        ("serial   ", x509.serial.clone()),
        ("SHA-1    ", x509.sha1.clone()),
        ("SHA-256  ", x509.sha256.clone()),
    ] {
        push(text, &format!("    {label} {words}"));
    }
}

fn left(dates: &Dates) -> String {
    match dates.state.as_str() {
        "valid" => format!("{} days left", dates.ends_in_s / 86_400),
        state => state.to_uppercase(),
    }
}

/// How a key does on trial.
#[derive(Debug, Deserialize)]
struct Trial {
    ok: bool,
    provider: String,
    place: Option<String>,
    kind: Option<String>,
    took_ms: u64,
    outage: Option<Outage>,
    schemes: Vec<Scheme>,
}

#[derive(Debug, Deserialize)]
struct Scheme {
    scheme: String,
    state: String,
    took_ms: u64,
    outage: Option<Outage>,
}

fn test_sign(client: &Client, name: &str) -> Done {
    let answer = client.post(&format!("/api/v1/certificates/{name}:test-sign"))?;
    let trial: Trial = client.read(&answer)?;
    let mut text = String::new();
    let verdict = if trial.ok {
        "signs"
    } else {
        "DOES NOT SIGN as it should"
    };
    let place = trial
        .place
        .map_or_else(String::new, |place| format!(" in {place}"));
    let kind = trial.kind.map_or_else(String::new, |kind| format!(", {kind}"));
    let (provider, took) = (&trial.provider, trial.took_ms);
    push(
        &mut text,
        &format!("{name}: {verdict}; {provider}{place}{kind}, {took} ms"),
    );
    if let Some(outage) = &trial.outage {
        push_outage(&mut text, outage);
    }
    for scheme in &trial.schemes {
        let state = match scheme.state.as_str() {
            "left-out" => "left out: the key would have to leave its vault for it".to_owned(),
            state => format!("{state}, {} ms", scheme.took_ms),
        };
        push(&mut text, &format!("  {}: {state}", scheme.scheme));
        if let Some(outage) = &scheme.outage {
            push_outage(&mut text, outage);
        }
    }
    Ok(Answer::done(answer, text).with(outcome(trial.ok)))
}

/// Whether what is shown is as it should be.
pub(crate) fn outcome(ok: bool) -> Outcome {
    if ok { Outcome::Done } else { Outcome::NotUp }
}

#[derive(Debug, Deserialize)]
struct Timeline {
    certificates: Vec<Dated>,
}

#[derive(Debug, Deserialize)]
struct Dated {
    place: String,
    position: String,
    subject: String,
    #[serde(flatten)]
    dates: Dates,
    next_warning: Option<String>,
    used_by: Vec<String>,
}

fn timeline(client: &Client) -> Done {
    let answer = client.get("/api/v1/certificates:timeline")?;
    let found: Timeline = client.read(&answer)?;
    let mut text = String::new();
    if found.certificates.is_empty() {
        push(&mut text, "no certificate is configured");
    }
    for one in &found.certificates {
        let Dated {
            place,
            position,
            subject,
            dates,
            ..
        } = one;
        push(
            &mut text,
            &format!("{}  {place}, {position}: {subject}", dates.not_after),
        );
        push(
            &mut text,
            &format!("  {} since {}", left(dates), dates.not_before),
        );
        let next = one.next_warning.as_ref();
        let next = next.map_or_else(String::new, |next| format!("; next warning {next}"));
        let used_by = match one.used_by.as_slice() {
            [] => "not used".to_owned(),
            used_by => format!("used at {}", used_by.join(", ")),
        };
        push(&mut text, &format!("  {used_by}{next}"));
    }
    Ok(Answer::done(answer, text))
}

#[derive(Debug, Deserialize)]
struct Verdict {
    believed: bool,
    purpose: String,
    at: String,
    path: Vec<String>,
    fault: Option<Fault>,
    #[serde(default)]
    not_asked: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    certificate: String,
    rule: String,
    reason: String,
    found: String,
    expected: String,
    next_step: String,
    azure_error: Option<String>,
}

fn verify(client: &Client, wanted: &Verify) -> Done {
    let mut found = Vec::new();
    for file in &wanted.files {
        found.extend(encoded(file)?);
    }
    let mut found = found.into_iter();
    let mut body = Map::new();
    body.insert("certificate".to_owned(), found.next().into());
    body.insert("chain".to_owned(), found.collect::<Vec<String>>().into());
    body.insert("purpose".to_owned(), wanted.purpose.word().into());
    if let Some(trust) = &wanted.trust {
        body.insert("trust".to_owned(), json!(trust));
    }
    if let Some(roots) = &wanted.roots {
        body.insert("roots".to_owned(), json!(encoded(roots)?));
    }
    if let Some(at) = &wanted.at {
        body.insert("at".to_owned(), json!(at));
    }
    let body = Value::Object(body).to_string().into_bytes();
    let answer = client.send(Method::POST, "/api/v1/certificates:verify", None, body)?;
    let verdict: Verdict = client.read(&answer)?;
    let text = told(&verdict);
    Ok(Answer::done(answer, text).with(outcome(verdict.believed)))
}

/// The certificates of a file, base64 of their DER; nothing else of it is sent.
fn encoded(file: &Path) -> Result<Vec<String>, Error> {
    let found = ders(file)?;
    Ok(found.iter().map(|one| Base64::encode_string(one)).collect())
}

fn told(verdict: &Verdict) -> String {
    let mut text = String::new();
    let word = if verdict.believed {
        "believed"
    } else {
        "NOT BELIEVED"
    };
    push(
        &mut text,
        &format!("{word} as {} at {}", verdict.purpose, verdict.at),
    );
    for (place, subject) in verdict.path.iter().enumerate() {
        let label = if place == 0 { "path    " } else { "        " };
        push(&mut text, &format!("  {label} {subject}"));
    }
    if let Some(fault) = &verdict.fault {
        for (label, words) in [
            ("why     ", &fault.reason),
            ("blamed  ", &fault.certificate),
            ("rule    ", &fault.rule),
            ("found   ", &fault.found),
            ("expected", &fault.expected),
            ("do next ", &fault.next_step),
        ] {
            if !words.is_empty() {
                push(&mut text, &format!("  {label} {words}"));
            }
        }
        if let Some(error) = &fault.azure_error {
            push(&mut text, &format!("  Azure   {error}"));
        }
    }
    if !verdict.not_asked.is_empty() {
        push(
            &mut text,
            &format!("  not looked at: {}", verdict.not_asked.join(", ")),
        );
    }
    text
}
