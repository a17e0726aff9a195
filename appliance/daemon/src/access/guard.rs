use appliance_config::model::Role;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tracing::{error, info, warn};

use super::caller::{Arrival, Caller, Identity, Proof};
use super::claim::Code;
use super::denial::Denial;
use super::password::Hashing;
use super::policy::Policy;
use super::refusals::Refusals;
use super::routes::Needs;
use super::session::{Sessions, hash, is_csrf_token};
use super::throttle::Throttle;
use super::token::{covers, find, role};
use crate::control::{Refusal, SharedStore};
use crate::store::{Audit, Password, Store, StoreError, Token, seconds_now};

/// How long what happens often is counted before it is written.
const COUNTS: Duration = Duration::from_secs(60);

/// What the store has of those who may come in.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) passwords: Vec<Password>,
    pub(super) tokens: Vec<Token>,
}

impl Book {
    fn read(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            passwords: store.passwords()?,
            tokens: store.tokens()?,
        })
    }
}

/// Decides who comes in and what they may do. Shared by all connections and by the owner of the configuration.
#[derive(Debug)]
pub(crate) struct Access {
    pub(super) store: Option<SharedStore>,
    policy: RwLock<Arc<Policy>>,
    book: RwLock<Arc<Book>>,
    pub(super) sessions: Mutex<Sessions>,
    pub(super) throttle: Mutex<Throttle>,
    code: Mutex<Option<Code>>,
    pub(super) hashing: Hashing,
    refusals: Mutex<Refusals>,
}

/// What a request shows of who asks.
#[derive(Debug, Default)]
pub(crate) struct Shown<'r> {
    /// What stands after `Bearer`; the inner `None` for another scheme.
    pub(crate) authorization: Option<Option<&'r str>>,
    /// The cookie of a session.
    pub(crate) cookie: Option<&'r str>,
    /// X-Csrf-Token.
    pub(crate) csrf_token: Option<&'r str>,
    /// It would change something.
    pub(crate) writes: bool,
}

/// A lock whose holder panicked guards what is still whole: each change is one step.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Access {
    /// Over a store, or none.
    pub(crate) fn new(store: Option<SharedStore>) -> Result<Self, StoreError> {
        let book = store
            .as_ref()
            .map(|store| store.at_once(|store| Book::read(store)));
        Ok(Self {
            store,
            policy: RwLock::default(),
            book: RwLock::new(Arc::new(book.transpose()?.unwrap_or_default())),
            sessions: Mutex::default(),
            throttle: Mutex::default(),
            code: Mutex::default(),
            hashing: Hashing::new(),
            refusals: Mutex::new(Refusals::new(Instant::now())),
        })
    }

    /// What the running document says.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another document runs; a machine that has nobody left who could sign in as admin shows a code.
    pub(crate) fn follow(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        self.show_code();
    }

    /// Only these users can come back: what others had is forgotten.
    pub(crate) async fn keep(&self, users: BTreeSet<String>) {
        let book = self.book();
        let owners = book.passwords.iter().map(|password| &password.user);
        let mut owners = owners.chain(book.tokens.iter().map(|token| &token.user));
        if owners.all(|owner| users.contains(owner)) {
            return;
        }
        if let Err(error) = self.write(move |store| store.keep_access_of(&users)).await {
            error!(%error, "store-failed: what users had who are gone is still there");
        }
    }

    pub(super) fn book(&self) -> Arc<Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the store, and what is known of it here.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.store.as_ref().ok_or(Refusal::ReadOnly)?;
        let work = |store: &mut Store| {
            let done = work(store)?;
            Ok((done, Book::read(store)?))
        };
        let (done, book) = store.with(work).await?;
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
        Ok(done)
    }

    /// Nobody could sign in as admin: no user with that role has a password.
    pub(crate) fn is_claimable(&self) -> bool {
        let (policy, book) = (self.policy(), self.book());
        let admin = |password: &Password| policy.users.get(&password.user) == Some(&Role::Admin);
        self.store.is_some() && !book.passwords.iter().any(admin)
    }

    /// The code with which the first admin is made, while there is none.
    pub(crate) fn code(&self) -> Result<SecretString, Denial> {
        self.show_code();
        locked(&self.code)
            .as_ref()
            .map(Code::shown)
            .ok_or(Denial::AlreadyClaimed)
    }

    /// Makes a code where one is needed, and forgets it where none is.
    fn show_code(&self) {
        let mut code = locked(&self.code);
        if !self.is_claimable() {
            *code = None;
        } else if code.is_none() {
            match Code::new() {
                Ok(fresh) => {
                    info!(
                        code = fresh.shown().expose_secret(),
                        "nobody can sign in as admin yet: claim this machine with this code"
                    );
                    *code = Some(fresh);
                }
                Err(error) => error!(%error, "no code to claim this machine with"),
            }
        }
    }

    /// Takes the code away if this is it, so that it is used once.
    pub(super) fn take_code(&self, typed: &str) -> bool {
        let mut code = locked(&self.code);
        let right = code.as_ref().is_some_and(|code| code.is(typed));
        if right {
            *code = None;
        }
        right
    }

    /// Who asks: a token or a cookie says so before the way does that the request came.
    pub(crate) fn identify(&self, arrival: Arrival, shown: &Shown<'_>) -> Result<Caller, Denial> {
        let policy = self.policy();
        if let Some(bearer) = shown.authorization {
            return self.bearer(arrival, bearer.ok_or(Denial::TokenInvalid)?);
        }
        if let Some(cookie) = shown.cookie {
            let hash = hash(cookie);
            let user = locked(&self.sessions).user(&hash, Instant::now());
            let user = user.filter(|user| policy.users.contains_key(user));
            let user = user.ok_or(Denial::SessionExpired)?;
            if shown.writes && !shown.csrf_token.is_some_and(|given| is_csrf_token(given, cookie)) {
                return Err(Denial::CsrfTokenNeeded);
            }
            return Ok(Caller {
                role: policy.users.get(&user).copied(),
                identity: Identity::User(user),
                proof: Proof::Session(hash),
                arrival,
            });
        }
        let (identity, role) = match &arrival {
            Arrival::Socket(Some(user)) => {
                let ours = *user == 0 || *user == nix::unistd::geteuid().as_raw();
                (Identity::Uid(*user), ours.then_some(Role::Admin))
            }
            Arrival::Socket(None) => (Identity::Nobody, None),
            Arrival::Network { certificate, .. } => {
                let believed = certificate
                    .as_ref()
                    .filter(|verified| policy.client_trust.as_ref() == Some(&verified.trust));
                let user = believed.and_then(|verified| policy.users.get_key_value(&verified.name));
                user.map_or((Identity::Nobody, None), |(user, role)| {
                    (Identity::User(user.clone()), Some(*role))
                })
            }
        };
        Ok(Caller {
            identity,
            proof: Proof::Arrival,
            role,
            arrival,
        })
    }

    fn bearer(&self, arrival: Arrival, text: &str) -> Result<Caller, Denial> {
        let (policy, book) = (self.policy(), self.book());
        let token = find(&book.tokens, text, seconds_now())?;
        let maker = policy.users.get(&token.user).ok_or(Denial::TokenInvalid)?;
        let role = role(&token.role).ok_or(Denial::TokenInvalid)?;
        Ok(Caller {
            identity: Identity::Token {
                name: token.name.clone(),
                user: token.user.clone(),
            },
            proof: Proof::Token(token.scope.clone()),
            role: Some(role.min(*maker)),
            arrival,
        })
    }

    /// Whether somebody may do what needs this, at this path.
    pub(crate) fn admit(&self, caller: &Caller, needs: Needs, path: &str) -> Result<(), Denial> {
        let needed = match needs {
            Needs::Nothing => return Ok(()),
            Needs::Root => {
                let root = matches!(
                    (&caller.identity, &caller.arrival),
                    (Identity::Uid(0), Arrival::Socket(_))
                );
                return if root { Ok(()) } else { Err(Denial::RootNeeded) };
            }
            Needs::Role(role) | Needs::User(role) => role,
        };
        let role = caller.role.ok_or(Denial::SignInNeeded)?;
        if let Proof::Token(scope) = &caller.proof {
            if !covers(scope, path) {
                return Err(Denial::OutOfScope);
            }
            if matches!(needs, Needs::User(_)) {
                return Err(Denial::UserNeeded);
            }
        }
        if role < needed {
            return Err(Denial::RoleInsufficient(needed));
        }
        Ok(())
    }

    /// Writes down what may happen often, as what is refused does, or counts it.
    pub(crate) async fn note_often(&self, audit: Audit) {
        let now = locked(&self.refusals).note(audit, Instant::now());
        self.note(now).await;
    }

    /// Writes down every minute how often the same was noted, as long as there is anybody who notes.
    pub(crate) async fn count(access: Weak<Self>) {
        loop {
            tokio::time::sleep(COUNTS).await;
            let Some(access) = access.upgrade() else { return };
            let counted = locked(&access.refusals).counted();
            access.note(counted).await;
        }
    }

    /// Writes down what was done.
    pub(crate) async fn note_done(&self, audit: Audit) {
        self.note([audit]).await;
    }

    /// Makes all sessions as if they had been idle for so long.
    #[cfg(test)]
    pub(crate) fn age_sessions(&self, by: Duration) {
        locked(&self.sessions).age(by);
    }

    /// Stores a password and nothing else.
    #[cfg(test)]
    pub(crate) async fn store_password(&self, user: &'static str, password: &str) {
        let hash = self.hashing.hash(password.into()).await.unwrap();
        let store = move |store: &mut Store| store.set_password(user, hash, &crate::store::Author::system());
        self.write(store).await.unwrap();
    }

    /// Who, from where, what and the result, oldest first.
    #[cfg(test)]
    pub(crate) fn audit_lines(&self) -> Vec<String> {
        self.store.as_ref().unwrap().at_once(|store| store.audit_lines())
    }

    async fn note(&self, audits: impl IntoIterator<Item = Audit>) {
        let Some(store) = &self.store else { return };
        let audits: Vec<Audit> = audits.into_iter().collect();
        if audits.is_empty() {
            return;
        }
        let written = store.with(move |store| audits.iter().try_for_each(|audit| store.audit(audit)));
        if let Err(error) = written.await {
            warn!(%error, "not in the audit log");
        }
    }
}
