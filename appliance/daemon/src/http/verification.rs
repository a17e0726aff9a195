//! Whether a certificate would be believed, without any tunnel.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use appliance_config::Reason;
use appliance_config::model::{AzureRule, CertificateProfile, Crl, Unfit, X509};
use axum::Json;
use axum::extract::{Request, State};
use ike::CertificateReason;
use ike::crypto::{Certificate, RevocationList, Trust};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::body;
use super::certificates::running;
use super::error::Error;
use super::router::Published;
use crate::clock;
use crate::control::{Refusal, Running, Violation};
use crate::derive::{Collection, inventory};

/// A question has at most so many octets.
const LARGEST: usize = 256 << 10;
const SHAPE: &str = "{ \"certificate\" or \"name\", \"chain\"?: [], \"trust\"?: a name, or \"roots\"?: [], \"purpose\"?: \"peer\", \"own\" or \"azure-outbound\", \"at\"?: RFC 3339 }";
/// What is never asked: that would need the network.
const NOT_ASKED: &str = "revocation lists";
/// What Azure calls it (*Troubleshoot site-to-site connections with digital certificate authentication*).
const EXPIRED: &str = "VpnConnectionOutBoundAuthenticationCertificateIsExpired";
const CHAIN_FAULT: &str = "VpnConnectionOutBoundAuthenticationCertificateChainFault";

/// A certificate, and whom to believe. Certificates are base64 of the DER, or PEM.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verifiable {
    /// The certificate.
    #[serde(default)]
    certificate: Option<String>,
    /// Or one of ours, by its name, with the certificates that come with it.
    #[serde(default)]
    name: Option<String>,
    /// Certificates that lead from it to a root.
    #[serde(default)]
    chain: Vec<String>,
    /// By name, what of the document it must lead to.
    #[serde(default)]
    trust: Option<String>,
    /// Or the roots, with intermediates if need be; without either, the roots in `chain`.
    #[serde(default)]
    roots: Vec<String>,
    /// What it is for.
    #[serde(default)]
    purpose: Purpose,
    /// At which time, RFC 3339; now if left out.
    #[serde(default)]
    at: Option<String>,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Purpose {
    /// A peer shows it to us.
    #[default]
    Peer,
    /// We show it to a peer.
    Own,
    /// Azure's gateway shows it to a peer: what Azure asks of it holds, too.
    AzureOutbound,
}

/// Whether a certificate would be believed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verdict {
    believed: bool,
    purpose: Purpose,
    /// At which time, RFC 3339.
    at: String,
    /// The subjects from the certificate to its root, as far as it leads.
    path: Vec<String>,
    /// Why it would not.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    /// What was not looked at.
    not_asked: Vec<&'static str>,
}

/// Which certificate is to blame, and by which rule.
#[derive(Debug, Serialize, JsonSchema)]
struct Fault {
    /// Its subject.
    certificate: String,
    rule: String,
    /// The word that a connection would be down with.
    reason: &'static str,
    found: String,
    expected: String,
    next_step: &'static str,
    /// What Azure calls it, where that has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    azure_error: Option<&'static str>,
}

/// What is to be judged.
struct Case {
    sent: Vec<X509>,
    trust: Trust,
}

/// `POST /api/v1/certificates:verify`.
pub(crate) async fn verify(
    State(published): State<Published>,
    request: Request,
) -> Result<Json<Verdict>, Error> {
    let octets = body::read(request.into_body(), LARGEST).await?;
    let asked: Verifiable = body::sent(&octets, SHAPE)?;
    let at = moment(asked.at.as_deref())?;
    let case = asked.case(&published)?;
    let sent: Vec<&[u8]> = case.sent.iter().map(X509::der).collect();
    let known = published.lists.shown.borrow().clone();
    let lists: Vec<RevocationList> = known.values().filter_map(|known| known.list.clone()).collect();
    let explanation = case.trust.explain(&sent, &lists, at);
    let subject = |der: &Vec<u8>| Certificate::read(der).map(|one| one.names().0);
    let fault = explanation.fault.map(|fault| Fault {
        certificate: fault.certificate,
        rule: fault.rule.to_owned(),
        reason: fault.disbelief.reason.word(),
        found: fault.disbelief.found,
        expected: fault.disbelief.expected,
        next_step: asked.purpose.next_step(fault.disbelief.reason),
        azure_error: None,
    });
    let fault = match asked.purpose {
        Purpose::Peer | Purpose::Own => fault,
        Purpose::AzureOutbound => azure(&case.sent, fault),
    };
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(at));
    Ok(Json(Verdict {
        believed: fault.is_none(),
        purpose: asked.purpose,
        at: time.map_or_else(String::new, clock::words),
        path: explanation.path.iter().filter_map(subject).collect(),
        fault,
        not_asked: if lists.is_empty() {
            vec![NOT_ASKED]
        } else {
            Vec::new()
        },
    }))
}

/// In seconds of UNIX time.
fn moment(at: Option<&str>) -> Result<u64, Error> {
    let Some(text) = at else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        return Ok(now.unwrap_or_default().as_secs());
    };
    let read = OffsetDateTime::parse(text, &Rfc3339).ok();
    let read = read.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
    read.ok_or_else(|| {
        Error::InvalidBody("at: expected a time such as 2027-01-01T00:00:00Z, not before 1970".to_owned())
    })
}

impl Verifiable {
    fn case(&self, published: &Published) -> Result<Case, Error> {
        let running = running(published)?;
        let mut sent = match (&self.certificate, &self.name) {
            (Some(text), None) => vec![read(text, "/certificate")?],
            (None, Some(name)) => ours(published, &running, name)?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::InvalidBody(format!("either certificate or name: {SHAPE}")));
            }
        };
        sent.extend(list(&self.chain, "/chain")?);
        for (index, one) in sent.iter().enumerate().skip(1) {
            if sent.iter().take(index).any(|before| before == one) {
                let place = index.saturating_sub(sent.len() - self.chain.len());
                return Err(duplicate(format!("/chain/{place}")));
            }
        }
        let trust = match (&self.trust, self.roots.as_slice()) {
            (Some(_), [_, ..]) => {
                return Err(Error::InvalidBody(format!("either trust or roots: {SHAPE}")));
            }
            (Some(name), []) => of_document(&running, name)?,
            (None, roots) => given(roots, &sent)?,
        };
        Ok(Case { sent, trust })
    }
}

/// One of ours, with what comes with it.
fn ours(published: &Published, running: &Running, name: &str) -> Result<Vec<X509>, Error> {
    let keys = published.keys.borrow().clone();
    let entries = inventory(&running.config, &keys);
    let mut named = entries.iter().filter(|entry| entry.name.as_str() == name);
    let entry = named.find(|entry| entry.collection == Collection::Certificates);
    let entry = entry.ok_or_else(|| Refusal::UnknownCertificate(name.to_owned()))?;
    let chain: Vec<X509> = entry.chain.iter().filter_map(|der| X509::from_der(der)).collect();
    if chain.is_empty() {
        let detail = format!("neither the document nor who has the key has told the certificate {name} yet");
        return Err(wrong("/name", CertificateReason::Missing.word(), detail));
    }
    Ok(chain)
}

/// What the document has in trust.
fn of_document(running: &Running, name: &str) -> Result<Trust, Error> {
    let mut all = running.config.trust.iter();
    let found = all.find(|(known, _)| known.as_str() == name);
    let (_, trust) = found.ok_or_else(|| Error::UnknownTrust(name.to_owned()))?;
    let revoked = trust.revoked.values().map(|print| print.octets().to_vec());
    Ok(Trust {
        revoked: revoked.collect(),
        strict: trust.crl == Crl::Strict,
        ..believed(&trust.chain)
    })
}

/// Those that are given, or the roots of what is sent.
fn given(roots: &[String], sent: &[X509]) -> Result<Trust, Error> {
    if roots.is_empty() {
        let of_chain: Vec<X509> = sent.iter().filter(|one| one.is_root()).cloned().collect();
        return Ok(believed(&of_chain));
    }
    let roots = list(roots, "/roots")?;
    for (index, one) in roots.iter().enumerate() {
        if roots.iter().take(index).any(|before| before == one) {
            return Err(duplicate(format!("/roots/{index}")));
        }
    }
    if !roots.iter().any(X509::is_root) {
        let detail = "none of them is a root, which is its own issuer".to_owned();
        return Err(wrong("/roots", Reason::RootMissing.word(), detail));
    }
    Ok(believed(&roots))
}

fn believed(chain: &[X509]) -> Trust {
    let (roots, others): (Vec<&X509>, Vec<&X509>) = chain.iter().partition(|one| one.is_root());
    let ders = |all: Vec<&X509>| -> BTreeSet<Vec<u8>> { all.iter().map(|one| one.der().to_vec()).collect() };
    Trust {
        roots: ders(roots),
        intermediates: ders(others),
        ..Trust::default()
    }
}

fn list(texts: &[String], place: &str) -> Result<Vec<X509>, Error> {
    if texts.len() > X509::MOST {
        let detail = format!("{} certificates; there can be {}", texts.len(), X509::MOST);
        return Err(wrong(place, Reason::OutOfRange.word(), detail));
    }
    let texts = texts.iter().enumerate();
    texts
        .map(|(index, text)| read(text, &format!("{place}/{index}")))
        .collect()
}

/// What is no certificate is not repeated: it may be a key.
fn read(text: &str, place: &str) -> Result<X509, Error> {
    if text.len() > X509::LONGEST {
        let detail = format!("a certificate has at most {} octets as text", X509::LONGEST);
        return Err(wrong(place, Reason::TooLarge.word(), detail));
    }
    X509::parse(text).map_err(|reason| {
        let detail = if reason == Reason::PrivateKeyInDocument {
            "is a private key, which does not belong here: whoever has seen it can use it, so replace it"
        } else {
            "expected one certificate: base64 of its DER, or PEM"
        };
        wrong(place, reason.word(), detail.to_owned())
    })
}

fn duplicate(place: String) -> Error {
    wrong(
        &place,
        Reason::DuplicateCertificate.word(),
        "is there already".to_owned(),
    )
}

fn wrong(place: &str, reason: &'static str, detail: String) -> Error {
    Error::Wrong(Violation {
        path: place.to_owned(),
        reason,
        detail,
    })
}

impl Purpose {
    /// What can be done, by who has the certificate.
    fn next_step(self, reason: CertificateReason) -> &'static str {
        match (self, reason) {
            (Self::Own | Self::AzureOutbound, CertificateReason::Untrusted) => {
                "Send all certificates up to the root along, each issued by the next, and have the peer believe that root."
            }
            (Self::Own | Self::AzureOutbound, CertificateReason::NotYetValid) => {
                "Wait until it is valid, or set the clock."
            }
            (Self::Peer | Self::Own | Self::AzureOutbound, reason) => reason.next_step(),
        }
    }
}

/// What Azure asks of the certificate that its gateway shows, with its names for what is wrong: first what anybody would say of
/// the certificate, but for its key.
fn azure(sent: &[X509], fault: Option<Fault>) -> Option<Fault> {
    let leaf = sent.first().and_then(|leaf| Certificate::read(leaf.der()));
    let Some(leaf) = leaf else { return fault };
    let name = leaf.names().0;
    let unfit = CertificateProfile::Azure.check(sent).err();
    match (fault, unfit) {
        (Some(fault), unfit) if unfit.as_ref().is_none_or(|unfit| unfit.rule != AzureRule::Rsa) => {
            let is = |reason: CertificateReason| fault.reason == reason.word();
            let error = match unfit {
                _ if fault.certificate != name => Some(CHAIN_FAULT),
                _ if is(CertificateReason::Expired) => Some(EXPIRED),
                Some(unfit) => Some(unfit.rule.error()),
                None => is(CertificateReason::Untrusted).then_some(CHAIN_FAULT),
            };
            Some(Fault {
                azure_error: error,
                ..fault
            })
        }
        (_, unfit) => unfit.map(|unfit| asked(name, unfit)),
    }
}

/// What Azure asks for and others do not.
fn asked(certificate: String, unfit: Unfit) -> Fault {
    let reason = match unfit.rule {
        AzureRule::Rsa | AzureRule::Purposes => CertificateReason::WrongUsage,
        AzureRule::KeyLength => CertificateReason::Weak,
        AzureRule::Root => CertificateReason::Untrusted,
        AzureRule::Present => CertificateReason::Missing,
    };
    Fault {
        certificate,
        rule: format!(
            "{} (Azure VPN Gateway, certificate authentication)",
            unfit.rule.words()
        ),
        reason: reason.word(),
        found: unfit.found,
        expected: unfit.rule.expected().to_owned(),
        next_step: Purpose::AzureOutbound.next_step(reason),
        azure_error: Some(unfit.rule.error()),
    }
}
