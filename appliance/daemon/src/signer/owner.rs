use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance_keys::pkcs11::Modules;
use appliance_keys::{Key, KeyError, Scheme};
use ike::{Input, KeyName, SaId, SignerFault, ToBeSigned};
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tracing::{info, warn};

use super::fault::{fault, scheme};
use super::held::Held;
use super::open::{Opened, open};
use super::provider_trial::{Step, TryProvider, try_provider};
use super::snapshot::{KeySnapshot, KeySnapshots, KeyState};
use super::spec::KeySpec;
use super::trial::{KeyTrial, TRIAL, TrialFault, TryKey, late, try_open};

/// How long a signature may take; the engine would wait a little longer.
const LIMIT: Duration = Duration::from_secs(18);
/// So many questions may wait.
const QUESTIONS: usize = 256;

/// So many trials may be under way.
const TRIALS: usize = 4;

/// Asks for signatures.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    questions: mpsc::Sender<Question>,
    trials: Arc<Semaphore>,
}

/// What a look for a newer version found.
#[derive(Debug)]
pub(crate) struct Refreshed {
    /// There is another version than before.
    pub(crate) renewed: bool,
    /// How the key does now.
    pub(crate) key: KeySnapshot,
}

#[derive(Debug)]
enum Question {
    Configure(BTreeMap<KeyName, KeySpec>),
    Sign(SaId, ToBeSigned),
    Try(Box<TryKey>, OwnedSemaphorePermit, oneshot::Sender<KeyTrial>),
    TryProvider(TryProvider, OwnedSemaphorePermit, oneshot::Sender<Vec<Step>>),
    Refresh(KeyName, oneshot::Sender<Option<Refreshed>>),
}

/// What became of something that was begun.
enum Outcome {
    Opened(KeyName, u64, Result<Option<Opened>, KeyError>),
    Signed(KeyName, u64, Option<SignerFault>),
}

struct Owner {
    keys: BTreeMap<KeyName, Held>,
    last: u64,
    /// Signatures by keys that are being opened.
    postponed: Vec<(SaId, ToBeSigned)>,
    modules: Arc<Modules>,
    answers: mpsc::Sender<Input>,
    outcomes: mpsc::Sender<Outcome>,
    shown: watch::Sender<Arc<KeySnapshots>>,
}

/// Starts the owner of private keys, who answers the engine here.
pub(crate) fn start(answers: mpsc::Sender<Input>) -> (Signer, watch::Receiver<Arc<KeySnapshots>>) {
    let (questions, asked) = mpsc::channel(QUESTIONS);
    let (outcomes, begun) = mpsc::channel(QUESTIONS);
    let (shown, view) = watch::channel(Arc::default());
    let owner = Owner {
        keys: BTreeMap::new(),
        last: 0,
        postponed: Vec::new(),
        modules: Arc::new(Modules::default()),
        answers,
        outcomes,
        shown,
    };
    tokio::spawn(owner.run(asked, begun));
    let trials = Arc::new(Semaphore::new(TRIALS));
    (Signer { questions, trials }, view)
}

impl Signer {
    /// These are the keys from now on.
    pub(crate) async fn configure(&self, keys: BTreeMap<KeyName, KeySpec>) {
        // Only when everything stops.
        let _stopped = self.questions.send(Question::Configure(keys)).await;
    }

    /// Asks for a signature. There is one answer, in whatever time.
    pub(crate) fn sign(&self, sa: SaId, to_be_signed: ToBeSigned) -> Option<Input> {
        let asked = self.questions.try_send(Question::Sign(sa, to_be_signed));
        asked.err().map(|_| {
            let busy = KeyError::SignerSlow("too many signatures are asked for".to_owned());
            Input::Signed(sa, Err(fault(&busy)))
        })
    }

    /// Has a key sign in every way that it may be asked for; `None` while too many trials are under way.
    pub(crate) fn try_key(&self, asked: TryKey) -> Option<oneshot::Receiver<KeyTrial>> {
        let turn = Arc::clone(&self.trials).try_acquire_owned().ok()?;
        let (answer, tried) = oneshot::channel();
        let question = Question::Try(Box::new(asked), turn, answer);
        self.questions.try_send(question).ok()?;
        Some(tried)
    }

    /// Tries who has keys; `None` while too many trials are under way.
    pub(crate) fn try_provider(&self, asked: TryProvider) -> Option<oneshot::Receiver<Vec<Step>>> {
        let turn = Arc::clone(&self.trials).try_acquire_owned().ok()?;
        let (answer, tried) = oneshot::channel();
        let question = Question::TryProvider(asked, turn, answer);
        self.questions.try_send(question).ok()?;
        Some(tried)
    }

    /// Looks for a newer version of a key now; what is answered is `None` if nobody uses it.
    pub(crate) fn refresh(&self, name: KeyName) -> Option<oneshot::Receiver<Option<Refreshed>>> {
        let (answer, looked) = oneshot::channel();
        self.questions.try_send(Question::Refresh(name, answer)).ok()?;
        Some(looked)
    }
}

impl Owner {
    async fn run(mut self, mut asked: mpsc::Receiver<Question>, mut begun: mpsc::Receiver<Outcome>) {
        loop {
            let due = self.keys.values().filter_map(Held::due).min();
            select! {
                Some(outcome) = begun.recv() => {
                    self.concluded(outcome);
                    self.take_up();
                }
                question = asked.recv() => match question {
                    Some(Question::Configure(keys)) => {
                        self.configure(keys);
                        self.take_up();
                    }
                    Some(Question::Sign(sa, to_be_signed)) => self.sign(sa, to_be_signed),
                    Some(Question::Try(asked, turn, answer)) => self.try_key(*asked, turn, answer),
                    Some(Question::TryProvider(asked, turn, answer)) => {
                        self.try_provider(asked, turn, answer);
                    }
                    Some(Question::Refresh(name, answer)) => self.refresh(&name, answer),
                    None => return,
                },
                () = until(due) => self.look_again(Instant::now()),
            }
            self.show();
        }
    }

    /// What did not change stays open.
    fn configure(&mut self, wanted: BTreeMap<KeyName, KeySpec>) {
        // What is handed out again as it was gives no PIN another try.
        let is_new = |(name, spec): (&KeyName, &KeySpec)| {
            self.keys.get(name).is_none_or(|held: &Held| held.spec != *spec)
        };
        if wanted.iter().any(is_new) {
            self.modules.forget_refused();
        }
        self.keys
            .retain(|name, held| wanted.get(name) == Some(&held.spec));
        for (name, spec) in wanted {
            if self.keys.contains_key(&name) {
                continue;
            }
            self.last += 1;
            self.begin(&name, self.last, spec.clone());
            self.keys.insert(name, Held::new(spec, self.last));
        }
    }

    fn begin(&self, name: &KeyName, number: u64, spec: KeySpec) {
        let (name, modules, outcomes) = (name.clone(), Arc::clone(&self.modules), self.outcomes.clone());
        tokio::spawn(async move {
            let opened = open(spec, modules).await.map(Some);
            let _stopped = outcomes.send(Outcome::Opened(name, number, opened)).await;
        });
    }

    /// Tries again what failed, and looks for newer versions.
    fn look_again(&mut self, now: Instant) {
        let mut closed = Vec::new();
        for (name, held) in &mut self.keys {
            if held.due().is_none_or(|due| due > now) {
                continue;
            }
            held.busy = true;
            match &held.opened {
                None => closed.push((name.clone(), held.number, held.spec.clone())),
                Some(opened) => {
                    let (name, number, opened) = (name.clone(), held.number, opened.clone());
                    let outcomes = self.outcomes.clone();
                    tokio::spawn(async move {
                        let newer = opened.newer().await;
                        let _stopped = outcomes.send(Outcome::Opened(name, number, newer)).await;
                    });
                }
            }
        }
        for (name, number, spec) in closed {
            self.begin(&name, number, spec);
        }
    }

    fn concluded(&mut self, outcome: Outcome) {
        let (name, number) = match &outcome {
            Outcome::Opened(name, number, _) | Outcome::Signed(name, number, _) => (name.clone(), *number),
        };
        let Some(held) = self.keys.get_mut(&name).filter(|held| held.number == number) else {
            return;
        };
        match outcome {
            Outcome::Opened(name, _, opened) => {
                match &opened {
                    Ok(Some(_)) => {
                        info!(key = %name.0, provider = held.spec.provider(), "the private key is open")
                    }
                    Ok(None) => (),
                    Err(error) => {
                        warn!(key = %name.0, reason = error.word(), %error, "the private key is not open")
                    }
                }
                held.settled(opened, Instant::now());
            }
            Outcome::Signed(_, _, fault) => held.counted(fault),
        }
    }

    /// Signs what had to wait, as far as it need not wait any longer.
    fn take_up(&mut self) {
        for (sa, asked) in std::mem::take(&mut self.postponed) {
            self.sign(sa, asked);
        }
    }

    /// A key that is being opened for the first time signs once it is open; the engine does not wait for ever.
    fn sign(&mut self, sa: SaId, asked: ToBeSigned) {
        let held = self.keys.get(&asked.key);
        if held.is_some_and(Held::is_opening) && self.postponed.len() < QUESTIONS {
            self.postponed.push((sa, asked));
            return;
        }
        let opened = held.and_then(|held| held.opened.as_ref()).map(Opened::key);
        let number = held.map_or(0, |held| held.number);
        let unusable = held.map_or_else(
            || fault(&KeyError::KeyMissing(format!("no certificate {}", asked.key.0))),
            Held::unusable,
        );
        let (answers, outcomes) = (self.answers.clone(), self.outcomes.clone());
        tokio::spawn(async move {
            let signed = match opened {
                Some(key) => sign_all(&*key, scheme(asked.scheme), &asked.messages).await,
                None => Err(unusable),
            };
            let outcome = Outcome::Signed(asked.key, number, signed.as_ref().err().cloned());
            // Only when everything stops.
            let _stopped = answers.send(Input::Signed(sa, signed)).await;
            let _stopped = outcomes.send(outcome).await;
        });
    }

    /// By the key that is open, where it is the same; a PIN that was wrong is not tried again.
    fn try_key(&self, asked: TryKey, turn: OwnedSemaphorePermit, answer: oneshot::Sender<KeyTrial>) {
        let held = self.keys.get(&asked.name).filter(|held| held.spec == asked.spec);
        let opened = held.and_then(|held| held.opened.clone());
        let refused = held.and_then(Held::refused).cloned();
        let modules = Arc::clone(&self.modules);
        tokio::spawn(async move {
            let (begun, provider) = (tokio::time::Instant::now(), asked.spec.provider());
            let deadline = begun + TRIAL;
            let closed = |fault| KeyTrial::closed(provider, TrialFault::Signer(fault), begun.elapsed());
            let opened = match (opened, refused) {
                (Some(opened), _) => Ok(opened),
                (None, Some(fault)) => Err(fault),
                (None, None) => {
                    let opened = tokio::time::timeout_at(deadline, open(asked.spec, modules)).await;
                    opened
                        .unwrap_or_else(|_| Err(late()))
                        .map_err(|error| fault(&error))
                }
            };
            let trial = match opened {
                Ok(opened) => {
                    let whose = (provider, opened.version());
                    try_open(&*opened.key(), whose, asked.certificate, (begun, deadline)).await
                }
                Err(fault) => closed(fault),
            };
            drop(turn);
            let _gone = answer.send(trial);
        });
    }

    fn try_provider(
        &self,
        asked: TryProvider,
        turn: OwnedSemaphorePermit,
        answer: oneshot::Sender<Vec<Step>>,
    ) {
        let refused = self.refused_by(&asked);
        let modules = Arc::clone(&self.modules);
        tokio::spawn(async move {
            let deadline = tokio::time::Instant::now() + TRIAL;
            let steps = try_provider(asked, modules, refused, deadline).await;
            drop(turn);
            let _gone = answer.send(steps);
        });
    }

    /// The keys of this provider whose PIN was wrong, as the document names them.
    fn refused_by(&self, asked: &TryProvider) -> Vec<(String, SignerFault)> {
        let TryProvider::Tokens { module, pin, .. } = asked else {
            return Vec::new();
        };
        let suffix = format!("?module-path={module}");
        let refused = self.keys.values().filter_map(|held| match &held.spec {
            KeySpec::Token { uri, pin: tried } if pin.as_ref().is_ok_and(|pin| pin == tried) => {
                Some((uri.strip_suffix(&suffix)?.to_owned(), held.refused()?.clone()))
            }
            KeySpec::Token { .. } | KeySpec::File(_) | KeySpec::Vault { .. } => None,
        });
        refused.collect()
    }

    fn refresh(&mut self, name: &KeyName, answer: oneshot::Sender<Option<Refreshed>>) {
        match self.keys.get_mut(name) {
            Some(held) => held.look(answer, Instant::now()),
            None => drop(answer.send(None)),
        }
    }

    fn show(&self) {
        let keys = self.keys.iter();
        let shown: KeySnapshots = keys.map(|(name, held)| (name.clone(), held.snapshot())).collect();
        self.shown.send_if_modified(|before| {
            let changed = **before != shown;
            if changed {
                *before = Arc::new(shown);
            }
            changed
        });
    }
}

async fn sign_all(key: &dyn Key, scheme: Scheme, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, SignerFault> {
    let all = async {
        let mut signed = Vec::new();
        for message in messages {
            signed.push(key.sign(scheme, message).await?);
        }
        Ok(signed)
    };
    let late = || KeyError::SignerSlow(format!("no signature within {} seconds", LIMIT.as_secs()));
    let signed = tokio::time::timeout(LIMIT, all)
        .await
        .unwrap_or_else(|_| Err(late()));
    signed.map_err(|error: KeyError| fault(&error))
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// The chains that providers have.
pub(crate) fn chains(keys: &KeySnapshots) -> super::Chains {
    let ready = keys.iter().filter_map(|(name, key)| match &key.state {
        KeyState::Ready { chain, .. } => Some((name.clone(), chain.to_vec())),
        KeyState::Opening | KeyState::Failed => None,
    });
    ready.collect()
}

#[cfg(test)]
mod tests {
    use ike::SharedSecret;
    use ike::crypto::{Hash, SignatureScheme};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

    use super::*;

    fn to_be_signed(key: &str) -> ToBeSigned {
        ToBeSigned {
            key: KeyName(key.into()),
            scheme: SignatureScheme::Ecdsa(Hash::Sha256),
            messages: vec![b"message".to_vec()],
        }
    }

    #[tokio::test]
    async fn a_key_that_is_being_opened_signs_as_soon_as_it_is_open() {
        let (answers, mut answered) = mpsc::channel(8);
        let (signer, _shown) = start(answers);
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let spec = KeySpec::File(SharedSecret(pair.serialize_der().into()));
        let keys = [(KeyName("new".into()), spec)];
        signer.configure(keys.into()).await;
        assert!(signer.sign(SaId(1), to_be_signed("new")).is_none());
        let answer = answered.recv().await;
        assert!(
            matches!(answer, Some(Input::Signed(SaId(1), Ok(_)))),
            "{answer:?}"
        );
    }

    #[tokio::test]
    async fn a_key_that_is_taken_away_while_it_is_being_opened_is_missing() {
        let (answers, mut answered) = mpsc::channel(8);
        let (signer, _shown) = start(answers);
        let spec = KeySpec::File(SharedSecret(b"none".to_vec().into()));
        signer.configure([(KeyName("new".into()), spec)].into()).await;
        assert!(signer.sign(SaId(1), to_be_signed("new")).is_none());
        signer.configure(BTreeMap::new()).await;
        let Some(Input::Signed(SaId(1), Err(fault))) = answered.recv().await else {
            panic!("it is signed");
        };
        assert_eq!(fault.reason.word(), "key-missing");
    }
}
