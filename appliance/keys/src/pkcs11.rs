//! Private keys of PKCS#11 tokens: hardware security modules, smart cards and TPMs, which sign without giving the key away.

mod failure;
mod mechanism;
mod module;
mod probe;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::KeyError;
use crate::evp::Evp;
use crate::file::usable;
use crate::outstanding::Outstanding;
use crate::provider::{Key, KeyKind, Place, Scheme, Signing};
use crate::uri::Pkcs11Uri;
use failure::Failure;
use module::{InUse, Module};
pub use probe::Probed;
use session::{Found, TokenSession};

/// How many sessions there are with a token per key, and so threads in its module.
const MOST_SESSIONS: usize = 4;

/// How often a signature is tried: by a session that was open, by a new one, and by the module begun anew.
const ATTEMPTS: usize = 3;

/// The modules that are loaded, and which PINs their tokens did not take. There is one of these in a process, as a module can
/// be initialized only once in it.
#[derive(Default)]
pub struct Modules(Mutex<BTreeMap<PathBuf, Arc<Module>>>);

impl Modules {
    /// Opens the private key that a URI names. A PIN that the token refused before is not tried again.
    pub async fn open(&self, uri: Pkcs11Uri, pin: Option<SecretString>) -> Result<TokenKey, KeyError> {
        let module = self.module(&uri);
        let token = Arc::new(Token {
            whose: format!("{} of {}", key_name(&uri), uri.module_path.display()),
            module,
            uri,
            pin,
            idle: Mutex::default(),
        });
        let turn = token.module.opening.turn().await?;
        let asked = Arc::clone(&token);
        let found = apart(turn, move || {
            asked.insist(|session| session.describe(&asked.whose))
        })
        .await?;
        let kind = usable(&found.public, &token.whose)?;
        Ok(TokenKey {
            token,
            kind,
            found: Arc::new(found),
            outstanding: Outstanding::new(MOST_SESSIONS),
        })
    }

    fn module(&self, uri: &Pkcs11Uri) -> Arc<Module> {
        let mut loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = uri.module_path.clone();
        let fresh = || Arc::new(Module::new(path.clone()));
        Arc::clone(loaded.entry(path.clone()).or_insert_with(fresh))
    }

    /// Tries, of what a URI names, the module, the token and the PIN, in this order and as far as that comes; without a token only the module. A PIN that the
    /// token refused before is not tried again.
    pub async fn probe(&self, uri: Pkcs11Uri, pin: Option<SecretString>) -> Probed {
        let module = self.module(&uri);
        let turn = match module.opening.turn().await {
            Ok(turn) => turn,
            Err(error) => return Probed::failed(error),
        };
        let tried = apart(turn, move || Ok(Probed::of(&module, &uri, pin.as_ref()))).await;
        tried.unwrap_or_else(Probed::failed)
    }

    /// Forgets which PINs tokens did not take: call it when a user sets a PIN, even to what it was.
    pub fn forget_refused(&self) {
        let loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for module in loaded.values() {
            module.forget_refused();
        }
    }
}

/// A private key in a token.
pub struct TokenKey {
    token: Arc<Token>,
    kind: KeyKind,
    found: Arc<Found>,
    outstanding: Outstanding,
}

impl Key for TokenKey {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.found.info
    }

    fn place(&self) -> Place {
        Place::Token
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.found.chain
    }

    fn sign<'a>(&'a self, scheme: Scheme, message: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            scheme.check(self.kind)?;
            let turn = self.outstanding.turn().await?;
            let (token, found, message) =
                (Arc::clone(&self.token), Arc::clone(&self.found), message.to_vec());
            apart(turn, move || token.sign(scheme, &message, &found.public)).await
        })
    }
}

/// A token, and the sessions with it that nobody uses at this moment.
struct Token {
    module: Arc<Module>,
    uri: Pkcs11Uri,
    pin: Option<SecretString>,
    idle: Mutex<Vec<TokenSession>>,
    whose: String,
}

impl Token {
    fn sign(&self, scheme: Scheme, message: &[u8], public: &Evp) -> Result<Vec<u8>, KeyError> {
        let signature = self.insist(|session| session.sign(scheme, message, &self.whose))?;
        // A token that was exchanged for another with the same label has another key.
        if !public.verify(scheme, message, &signature) {
            let foreign = format!("{} made a signature that is not of its public key", self.whose);
            return Err(KeyError::ModuleFailed(foreign));
        }
        Ok(signature)
    }

    /// Asks by a session, and again by a new one if that was lost.
    fn insist<T>(&self, ask: impl Fn(&TokenSession) -> Result<T, Failure>) -> Result<T, KeyError> {
        let mut attempt = 1;
        loop {
            let in_use = self.module.in_use()?;
            let generation = in_use.generation;
            let failure = match self.ask_once(&in_use, &ask) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            close(&in_use, self.take_idle());
            drop(in_use);
            if !failure.is_lost || attempt == ATTEMPTS {
                return Err(failure.into());
            }
            if attempt > 1 {
                self.module.begin_anew(generation);
            }
            attempt += 1;
        }
    }

    fn ask_once<T>(
        &self,
        in_use: &InUse<'_>,
        ask: impl Fn(&TokenSession) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let idle = self.idle().pop();
        let session = match idle.filter(|session| session.generation == in_use.generation) {
            Some(session) => session,
            None => TokenSession::open(&self.module, in_use, &self.uri, self.pin.as_ref())?,
        };
        let answer = ask(&session);
        match &answer {
            Ok(_) => self.idle().push(session),
            Err(_) => session.close(in_use),
        }
        answer
    }

    fn take_idle(&self) -> Vec<TokenSession> {
        std::mem::take(&mut *self.idle())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<TokenSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let (idle, module) = (self.take_idle(), Arc::clone(&self.module));
        if idle.is_empty() {
            return;
        }
        // Elsewhere, as the module may be slow. If there is no thread, its sessions end with the module.
        let _ = thread::Builder::new().spawn(move || {
            if let Some(in_use) = module.if_loaded() {
                close(&in_use, idle);
            }
        });
    }
}

fn close(in_use: &InUse<'_>, sessions: Vec<TokenSession>) {
    for session in sessions {
        session.close(in_use);
    }
}

/// Runs what may block on a thread of its own, which keeps its turn until it is done: a module that never answers holds no more
/// threads than there are turns, and none that the process waits for at its end.
async fn apart<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, KeyError> {
    let (answer, answered) = oneshot::channel();
    let thread = thread::Builder::new().name("pkcs11".to_owned());
    let spawned = thread.spawn(move || {
        let _turn = turn;
        // Nobody listens if the caller gave up.
        let _ = answer.send(work());
    });
    spawned.map_err(|error| KeyError::ModuleFailed(format!("no thread for it: {error}")))?;
    let ended = |_| KeyError::ModuleFailed("its thread ended without an answer".to_owned());
    answered.await.map_err(ended)?
}

/// What a URI calls the key.
fn key_name(uri: &Pkcs11Uri) -> String {
    let token = uri.token.as_ref().or(uri.serial.as_ref());
    let token = token.map_or_else(String::new, |token| format!(" in token {token:?}"));
    match &uri.object {
        Some(label) => format!("key {label:?}{token}"),
        None => format!("the key{token}"),
    }
}
