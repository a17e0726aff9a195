//! Requests to one key vault.

use std::time::Duration;

use hyper::Method;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::Access;
use super::answers::{self, Certificate};
use super::reference::VaultReference;
use crate::error::KeyError;
use crate::http::{Answer, Question, Server};
use crate::managed_identity::ManagedIdentity;
use crate::outstanding::Outstanding;
use crate::pace::{ATTEMPTS, Pace};

/// The version of its interface that Key Vault has had longest.
const VERSION: &str = "api-version=7.4";
/// How many requests are under way at a time: connections, as HTTP/1.1 has one request on each.
const MOST_REQUESTS: usize = 64;

/// A vault, asked about one certificate.
pub(super) struct Vault {
    pub(super) reference: VaultReference,
    server: Server,
    identity: ManagedIdentity,
    audience: String,
    pace: Pace,
    outstanding: Outstanding,
}

impl Vault {
    pub(super) fn new(reference: VaultReference, access: &Access) -> Result<Self, KeyError> {
        let server = Server::new(reference.origin.clone(), &access.roots, access.limits.request);
        let unusable = |why| KeyError::VaultUnreachable(format!("{reference}: {why}"));
        Ok(Self {
            server: server.map_err(unusable)?,
            identity: access.identity.clone(),
            audience: access.audience.clone().unwrap_or_else(|| reference.audience()),
            pace: Pace::new(access.limits.first_delay),
            outstanding: Outstanding::new(MOST_REQUESTS),
            reference,
        })
    }

    /// The certificate: that of the version that is named, else the newest.
    pub(super) async fn certificate(&self) -> Result<Certificate, KeyError> {
        let VaultReference { name, version, .. } = &self.reference;
        let version = version
            .as_ref()
            .map_or_else(String::new, |version| format!("/{version}"));
        let path = format!("/certificates/{name}{version}?{VERSION}");
        let answer = self.ask(Method::GET, &path, String::new()).await?;
        answers::certificate(&answer, &self.reference)
    }

    /// The secret at this path.
    pub(super) async fn secret(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let answer = self
            .ask(Method::GET, &format!("{path}?{VERSION}"), String::new())
            .await?;
        answers::secret(&answer, &self.reference)
    }

    /// The signature of a hash by the key at this path.
    pub(super) async fn sign(&self, path: &str, algorithm: &str, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let path = format!("{path}/sign?{VERSION}");
        let answer = self
            .ask(Method::POST, &path, answers::to_sign(algorithm, digest))
            .await?;
        answers::signature(&answer, &self.reference)
    }

    /// Asks until there is an answer that is not going to change. All that is asked may be asked twice.
    async fn ask(&self, method: Method, path: &str, body: String) -> Result<Answer, KeyError> {
        let _turn = self.outstanding.turn().await?;
        let whose = self.reference.to_string();
        let mut last = KeyError::VaultUnreachable(format!("{whose}: is asked again later"));
        let mut question = Question {
            method,
            path,
            authorization: None,
            is_metadata: false,
            body,
        };
        let mut is_renewed = false;
        for _ in 0..ATTEMPTS {
            self.pace
                .wait()
                .await
                .map_err(|rest| Self::throttled(&whose, rest))?;
            let token = self.identity.token(&self.audience).await?;
            question.authorization = Some(bearer(&token));
            let answer = match self.server.ask(&question).await {
                Ok(answer) => answer,
                Err(no) => match answers::silence(no, &whose) {
                    error @ KeyError::VaultAnswerInvalid(_) => return Err(error),
                    error => {
                        self.pace.failed(None);
                        last = error;
                        continue;
                    }
                },
            };
            match answer.status {
                200 => {
                    self.pace.worked();
                    return Ok(answer);
                }
                401 => {
                    self.check_audience(&answer)?;
                    last = answers::refusal(&answer, &whose);
                    // It may have been taken back before its time.
                    self.identity.forget(&token);
                    if std::mem::replace(&mut is_renewed, true) {
                        return Err(last);
                    }
                }
                408 | 429 | 500..=599 => {
                    self.pace.failed(answer.retry_after);
                    last = answers::refusal(&answer, &whose);
                }
                _ => return Err(answers::refusal(&answer, &whose)),
            }
        }
        Err(last)
    }

    fn check_audience(&self, answer: &Answer) -> Result<(), KeyError> {
        let wanted = answers::wanted_audience(answer);
        let same = |wanted: &String| wanted.trim_end_matches('/') == self.audience.trim_end_matches('/');
        match wanted.filter(|wanted| !same(wanted)) {
            None => Ok(()),
            Some(wanted) => Err(KeyError::TokenAudience(format!(
                "{} wants {wanted}, and it is for {}",
                self.reference, self.audience
            ))),
        }
    }

    fn throttled(whose: &str, rest: Duration) -> KeyError {
        KeyError::VaultThrottled(format!("{whose} is not to be asked for {} s", rest.as_secs()))
    }
}

fn bearer(token: &SecretString) -> SecretString {
    SecretString::from(format!("Bearer {}", token.expose_secret()))
}
