use appliance_config::model::Role;
use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};
use tracing::info;

use super::caller::{Arrival, Caller, Identity, Proof};
use super::denial::Denial;
use super::guard::{Access, locked};
use super::password;
use super::session::Opened;
use super::token::{MadeToken, NewToken};
use crate::control::Refusal;
use crate::store::{Audit, Author, Token, fresh_secret, seconds_now};

/// So many tokens there may be.
const MOST_TOKENS: usize = 256;
/// What attempts at the code of a claim are counted by; no user can have this name.
const CLAIM: &str = "/claim";

/// What makes the first admin.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The code of the console.
    pub(crate) code: SecretString,
    /// Who is to be admin.
    pub(crate) user: String,
    /// Their password.
    pub(crate) password: SecretString,
}

/// A denial, or a refusal of the store.
type Tried<T> = Result<Result<T, Denial>, Refusal>;

impl Access {
    /// Begins a session with a name and a password. A name that nobody has costs as much as a wrong password.
    pub(crate) async fn sign_in(
        &self,
        arrival: &Arrival,
        user: &str,
        password: SecretString,
    ) -> Tried<Opened> {
        if let Err(denial) = self.prove(arrival, user, password).await {
            return Ok(Err(denial));
        }
        let Some(role) = self.policy().users.get(user).copied() else {
            return Ok(Err(Denial::WrongPassword));
        };
        let secret = fresh_secret()?;
        let cookie = SecretString::from(String::from_utf8_lossy(secret.expose_secret()).into_owned());
        locked(&self.sessions).open(user, &cookie, Instant::now());
        let author = Author {
            who: user.to_owned(),
            source: arrival.words(),
        };
        info!(user, from = author.source, "signed in");
        self.note_often(Audit::done(&author, "sign in")).await;
        Ok(Ok(Opened {
            cookie,
            user: user.to_owned(),
            role,
        }))
    }

    /// Whether this is the password of a user of the document.
    async fn prove(&self, arrival: &Arrival, user: &str, password: SecretString) -> Result<(), Denial> {
        let source = arrival.source();
        // Longer names are nobody's, and are not remembered.
        let account: String = user.chars().take(64).collect();
        let begun = locked(&self.throttle).attempt(source, &account, Instant::now());
        begun.map_err(Denial::TooManyAttempts)?;
        let known = self.policy().users.contains_key(user);
        let book = self.book();
        let stored = book.passwords.iter().find(|password| password.user == user);
        let stored = stored.filter(|_| known).map(|password| password.hash.clone());
        if self.hashing.is(password, stored).await? {
            locked(&self.throttle).succeeded(source, &account);
            Ok(())
        } else {
            Err(Denial::WrongPassword)
        }
    }

    /// Ends the session that a request came with.
    pub(crate) fn sign_out(&self, caller: &Caller) {
        if let Proof::Session(hash) = &caller.proof {
            locked(&self.sessions).close(hash);
        }
    }

    /// Makes whoever knows the code an admin with a password. The password comes first: until `commit` has made the user,
    /// it is nobody's, and whatever fails leaves the machine as it was, with another code.
    pub(crate) async fn claim<T>(
        &self,
        arrival: &Arrival,
        claim: Claim,
        commit: impl AsyncFnOnce(&Author) -> Result<T, Refusal>,
    ) -> Tried<T> {
        if let Err(denial) = self.check_claim(arrival, &claim) {
            return Ok(Err(denial));
        }
        let author = Author {
            who: claim.user.clone(),
            source: arrival.words(),
        };
        let done = match self.hashing.hash(claim.password).await {
            Ok(hash) => {
                let (user, by) = (claim.user.clone(), author.clone());
                let stored = self
                    .write(move |store| store.set_password(&user, hash, &by))
                    .await;
                match stored {
                    Ok(()) => commit(&author).await.map(Ok),
                    Err(refusal) => Err(refusal),
                }
            }
            Err(denial) => Ok(Err(denial)),
        };
        // Where it failed, this shows another code.
        let _claimed = self.code();
        if let Ok(Ok(_)) = done {
            info!(user = claim.user, from = author.source, "this machine is claimed");
        }
        done
    }

    fn check_claim(&self, arrival: &Arrival, claim: &Claim) -> Result<(), Denial> {
        if !self.is_claimable() {
            return Err(Denial::AlreadyClaimed);
        }
        password::check(&claim.password)?;
        check_name(&claim.user)?;
        let source = arrival.source();
        let begun = locked(&self.throttle).attempt(source, CLAIM, Instant::now());
        begun.map_err(Denial::TooManyAttempts)?;
        if !self.take_code(claim.code.expose_secret()) {
            return Err(Denial::WrongCode);
        }
        locked(&self.throttle).succeeded(source, CLAIM);
        Ok(())
    }

    /// Sets a password: one's own with the one of before, that of others as admin. All other sessions of the user end.
    pub(crate) async fn set_password(
        &self,
        caller: &Caller,
        user: &str,
        (old, new): (Option<SecretString>, SecretString),
    ) -> Tried<()> {
        let own = caller.user() == Some(user);
        if !own && caller.role < Some(Role::Admin) {
            return Ok(Err(Denial::RoleInsufficient(Role::Admin)));
        }
        if !self.policy().users.contains_key(user) {
            return Ok(Err(Denial::UnknownUser(user.to_owned())));
        }
        if let Err(denial) = password::check(&new) {
            return Ok(Err(denial));
        }
        if own {
            let old = old.unwrap_or_else(|| SecretString::from(String::new()));
            if let Err(denial) = self.prove(&caller.arrival, user, old).await {
                return Ok(Err(denial));
            }
        }
        let hash = match self.hashing.hash(new).await {
            Ok(hash) => hash,
            Err(denial) => return Ok(Err(denial)),
        };
        let (name, author) = (user.to_owned(), caller.author());
        self.write(move |store| store.set_password(&name, hash, &author))
            .await?;
        let but = match &caller.proof {
            Proof::Session(hash) => Some(hash),
            Proof::Arrival | Proof::Token(_) => None,
        };
        locked(&self.sessions).close_others(user, but);
        // An admin may have a password from now on: then nobody can claim the machine any more.
        let _claimed = self.code();
        Ok(Ok(()))
    }

    /// Makes a token for the caller, of no larger role; root makes it for a user of the document.
    pub(crate) async fn make_token(&self, caller: &Caller, new: NewToken) -> Tried<MadeToken> {
        if let Err(denial) = self.check_token(caller, &new) {
            return Ok(Err(denial));
        }
        let made = match new.make(seconds_now())? {
            Ok(made) => made,
            Err(denial) => return Ok(Err(denial)),
        };
        let (token, author) = (made.token.clone(), caller.author());
        self.write(move |store| store.add_token(&token, &author)).await?;
        Ok(Ok(made))
    }

    fn check_token(&self, caller: &Caller, new: &NewToken) -> Result<(), Denial> {
        check_name(&new.name)?;
        let policy = self.policy();
        let role = policy.users.get(&new.user);
        let role = *role.ok_or_else(|| Denial::UnknownUser(new.user.clone()))?;
        if role < new.role {
            return Err(Denial::RoleInsufficient(new.role));
        }
        let own = caller.user() == Some(new.user.as_str());
        if !own && !matches!(caller.identity, Identity::Uid(_)) {
            return Err(Denial::UserNeeded);
        }
        let book = self.book();
        if book.tokens.iter().any(|token| token.name == new.name) {
            return Err(Denial::TokenExists(new.name.clone()));
        }
        if book.tokens.len() >= MOST_TOKENS {
            return Err(Denial::TooManyTokens(MOST_TOKENS));
        }
        Ok(())
    }

    /// The tokens that the caller may see: their own, or as admin all.
    pub(crate) fn tokens(&self, caller: &Caller) -> Vec<Token> {
        let book = self.book();
        let seen = book.tokens.iter().filter(|token| sees(caller, token));
        seen.cloned().collect()
    }

    /// Removes a token that the caller may see.
    pub(crate) async fn remove_token(&self, caller: &Caller, name: String) -> Tried<()> {
        let seen = self.tokens(caller).iter().any(|token| token.name == name);
        if !seen {
            return Ok(Err(Denial::UnknownToken(name)));
        }
        let author = caller.author();
        self.write(move |store| store.remove_token(&name, &author))
            .await?;
        Ok(Ok(()))
    }

    /// When and by whom the password of a user was set.
    pub(crate) fn password_of(&self, user: &str) -> Option<(String, String)> {
        let book = self.book();
        let password = book.passwords.iter().find(|password| password.user == user)?;
        Some((password.set_at(), password.author.clone()))
    }
}

fn sees(caller: &Caller, token: &Token) -> bool {
    caller.role == Some(Role::Admin) || caller.user() == Some(token.user.as_str())
}

fn check_name(name: &str) -> Result<(), Denial> {
    let name: Result<appliance_config::model::Name, _> = name.parse();
    name.map(drop).map_err(|_| Denial::NameUnfit)
}
