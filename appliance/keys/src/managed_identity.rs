//! Tokens of the identity that Azure gave this machine: a virtual machine there, or one elsewhere that runs the agent of Azure
//! Arc.

mod challenge;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::error::KeyError;
use crate::http::{Answer, NoAnswer, Origin, Question, Server, encoded};
use crate::limits::Limits;
use crate::pace::{ATTEMPTS, Pace};

/// Where a virtual machine of Azure asks.
const AZURE_VM: &str = "http://169.254.169.254";
/// Where the agent of Azure Arc listens.
const AZURE_ARC: &str = "http://127.0.0.1:40342";
/// Where that agent puts what only this machine can read.
const ARC_TOKENS: &str = "/var/opt/azcmagent/tokens";
/// What has an identity is back after an update within this time.
const UPDATE: Duration = Duration::from_secs(70);
/// How long after an early renewal that failed the next one is tried.
const NEXT_RENEWAL: Duration = Duration::from_secs(30);
/// No token is used for longer than this, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Which of the identities that a virtual machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The only one.
    Only,
    /// That with this client identifier.
    Client(String),
    /// That with this object identifier.
    Object(String),
    /// That with this resource identifier.
    Resource(String),
}

/// Who gives tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The metadata service of a virtual machine of Azure.
    AzureVm {
        /// Where it is.
        endpoint: String,
        /// Whose tokens.
        which: Which,
    },
    /// The agent of Azure Arc.
    AzureArc {
        /// Where it is.
        endpoint: String,
        /// The folder of its challenges.
        tokens: PathBuf,
    },
}

/// The identity of this machine, and the token that it has.
#[derive(Clone)]
pub struct ManagedIdentity(Arc<Inner>);

struct Inner {
    source: Source,
    server: Server,
    pace: Pace,
    cached: Mutex<Option<Cached>>,
    /// Held by the one who asks.
    asking: Arc<tokio::sync::Mutex<()>>,
}

struct Cached {
    token: SecretString,
    audience: String,
    renew_at: Instant,
    expires_at: Instant,
}

/// What is answered (*How to use managed identities to acquire an access token*); numbers are strings there.
#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: Value,
    resource: Option<String>,
}

impl Source {
    /// The metadata service, where every virtual machine of Azure has it.
    pub fn azure_vm(which: Which) -> Self {
        Self::AzureVm {
            endpoint: AZURE_VM.to_owned(),
            which,
        }
    }

    /// The agent of Azure Arc, where it listens on every machine.
    pub fn azure_arc() -> Self {
        Self::AzureArc {
            endpoint: AZURE_ARC.to_owned(),
            tokens: PathBuf::from(ARC_TOKENS),
        }
    }

    fn endpoint(&self) -> &str {
        match self {
            Self::AzureVm { endpoint, which: _ } | Self::AzureArc { endpoint, tokens: _ } => endpoint,
        }
    }

    /// The path of a request for an audience.
    fn path(&self, audience: &str) -> String {
        let version = match self {
            Self::AzureVm { .. } => "2018-02-01",
            Self::AzureArc { .. } => "2020-06-01",
        };
        let resource = encoded(audience);
        let mut path = format!("/metadata/identity/oauth2/token?api-version={version}&resource={resource}");
        if let Self::AzureVm { endpoint: _, which } = self {
            let named = match which {
                Which::Only => None,
                Which::Client(id) => Some(("client_id", id)),
                Which::Object(id) => Some(("object_id", id)),
                Which::Resource(id) => Some(("mi_res_id", id)),
            };
            if let Some((name, id)) = named {
                path.push_str(&format!("&{name}={}", encoded(id)));
            }
        }
        path
    }
}

impl ManagedIdentity {
    /// Gets ready to ask; nothing is asked yet.
    pub fn open(source: Source, limits: Limits) -> Result<Self, KeyError> {
        let unusable = |why: &str| KeyError::IdentityUnavailable(format!("{}: {why}", source.endpoint()));
        let (origin, _) = Origin::of_uri(source.endpoint()).ok_or_else(|| unusable("is no address"))?;
        let server = Server::new(origin, &[], limits.request).map_err(|why| unusable(&why))?;
        Ok(Self(Arc::new(Inner {
            source,
            server,
            pace: Pace::new(limits.first_delay),
            cached: Mutex::default(),
            asking: Arc::default(),
        })))
    }

    /// A token for an audience. One that has less than a quarter of its life left is renewed meanwhile.
    pub async fn token(&self, audience: &str) -> Result<SecretString, KeyError> {
        if let Some((token, is_old)) = self.0.usable(audience) {
            if is_old {
                self.renew(audience);
            }
            return Ok(token);
        }
        let _asking = self.0.asking.lock().await;
        // Somebody else may have asked while we waited.
        if let Some((token, _)) = self.0.usable(audience) {
            return Ok(token);
        }
        self.0.ask(audience).await
    }

    /// Forgets a token that was not taken.
    pub(crate) fn forget(&self, token: &SecretString) {
        let mut cached = self.0.cached();
        if cached
            .as_ref()
            .is_some_and(|cached| cached.token.expose_secret() == token.expose_secret())
        {
            *cached = None;
        }
    }

    /// Asks for another token without anybody waiting for it.
    fn renew(&self, audience: &str) {
        let Ok(asking) = Arc::clone(&self.0.asking).try_lock_owned() else {
            return;
        };
        let (inner, audience) = (Arc::clone(&self.0), audience.to_owned());
        tokio::spawn(async move {
            if inner.ask(&audience).await.is_err()
                && let Some(cached) = inner.cached().as_mut()
            {
                cached.renew_at = Instant::now() + NEXT_RENEWAL;
            }
            drop(asking);
        });
    }
}

impl Inner {
    /// The token that is there, and whether it is old.
    fn usable(&self, audience: &str) -> Option<(SecretString, bool)> {
        let cached = self.cached();
        let now = Instant::now();
        let cached = cached
            .as_ref()
            .filter(|cached| cached.audience == audience && now < cached.expires_at)?;
        Some((cached.token.clone(), now >= cached.renew_at))
    }

    fn cached(&self) -> MutexGuard<'_, Option<Cached>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until there is a token, or what is answered is not going to change.
    async fn ask(&self, audience: &str) -> Result<SecretString, KeyError> {
        let mut last = self.unavailable("is asked again later");
        for _ in 0..ATTEMPTS {
            if let Err(rest) = self.pace.wait().await {
                return Err(self.unavailable(&format!("is not to be asked for {} s", rest.as_secs())));
            }
            let answer = match self.ask_once(audience).await {
                Ok(answer) => answer,
                Err(Refused::Passing(why)) => {
                    self.pace.failed(None);
                    last = self.unavailable(&why);
                    continue;
                }
                Err(Refused::Lasting(error)) => return Err(error),
            };
            match answer.status {
                200 => {
                    self.pace.worked();
                    return self.granted(&answer, audience);
                }
                404 | 408 | 410 | 429 | 500..=599 => {
                    let updating = (answer.status == 410).then_some(UPDATE / 7);
                    self.pace.failed(answer.retry_after.or(updating));
                    last = self.unavailable(&format!("answers {}", answer.status));
                }
                status => {
                    self.pace.worked();
                    let word = Refusal::word(&answer);
                    let said = format!("{} answers {status} {word}", self.source.endpoint());
                    return Err(KeyError::IdentityRefused(said));
                }
            }
        }
        Err(last)
    }

    async fn ask_once(&self, audience: &str) -> Result<Answer, Refused> {
        let path = self.source.path(audience);
        let answer = self.question(&path, None).await?;
        let Source::AzureArc { endpoint: _, tokens } = &self.source else {
            return Ok(answer);
        };
        if answer.status != 401 {
            return Ok(answer);
        }
        let lasting = |why: String| Refused::Lasting(self.unavailable(&why));
        let challenge = answer.challenge.as_deref().unwrap_or_default();
        let shown = challenge::answered(challenge, tokens).await.map_err(lasting)?;
        self.question(&path, Some(shown)).await
    }

    async fn question(&self, path: &str, authorization: Option<SecretString>) -> Result<Answer, Refused> {
        let question = Question {
            method: Method::GET,
            path,
            authorization,
            is_metadata: true,
            body: String::new(),
        };
        self.server.ask(&question).await.map_err(|no| match no {
            NoAnswer::Unresolved(why) | NoAnswer::Unreachable(why) | NoAnswer::Malformed(why) => {
                Refused::Passing(why)
            }
        })
    }

    /// Keeps the token that was granted, if it is for whom it is to be.
    fn granted(&self, answer: &Answer, audience: &str) -> Result<SecretString, KeyError> {
        let invalid = || self.unavailable("answers what is no token");
        let granted: Granted = answer.json().ok_or_else(invalid)?;
        let same = |resource: &String| resource.trim_end_matches('/') == audience.trim_end_matches('/');
        if let Some(resource) = granted.resource.filter(|resource| !same(resource)) {
            let shown = printable(&resource);
            return Err(KeyError::TokenAudience(format!("for {shown}, not {audience}")));
        }
        let seconds = match &granted.expires_in {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        let life = Duration::from_secs(seconds.ok_or_else(invalid)?).min(LONGEST);
        let now = Instant::now();
        *self.cached() = Some(Cached {
            token: granted.access_token.clone(),
            audience: audience.to_owned(),
            renew_at: now + life * 3 / 4,
            expires_at: now + life,
        });
        Ok(granted.access_token)
    }

    fn unavailable(&self, why: &str) -> KeyError {
        KeyError::IdentityUnavailable(format!("{}: {why}", self.source.endpoint()))
    }
}

/// Why there is no answer.
enum Refused {
    Passing(String),
    Lasting(KeyError),
}

/// How Azure says no; only the word is taken over, as the text is not to be relied upon.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Refusal {
    fn word(answer: &Answer) -> String {
        let refusal: Option<Self> = answer.json();
        refusal
            .map(|refusal| printable(&refusal.error))
            .unwrap_or_default()
    }
}

/// What somebody else wrote, short and without what a terminal would act upon.
pub(crate) fn printable(text: &str) -> String {
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || " -_.:/".contains(*letter);
    text.chars().filter(is_plain).take(80).collect()
}
