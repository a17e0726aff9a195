//! A module, loaded once, and its tokens.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use secrecy::{ExposeSecret, SecretString};

use super::failure::Failure;
use crate::error::KeyError;
use crate::outstanding::Outstanding;
use crate::uri::Pkcs11Uri;

/// How many keys of a module are opened at a time.
const MOST_OPENING: usize = 4;

/// How many wrong PINs are remembered per module; the oldest is forgotten then.
const MOST_REFUSED: usize = 64;

/// A module that is loaded. It stays so until the process ends, as modules do not bear to be unloaded while threads are in
/// them.
pub(super) struct Module {
    path: PathBuf,
    /// The module while it is initialized, and the how-manieth time that is.
    loaded: RwLock<(Option<Pkcs11>, u64)>,
    /// Held by the one who initializes it.
    loading: Mutex<()>,
    /// Held by the one who logs in.
    logging_in: Mutex<()>,
    refused: Mutex<Vec<Refused>>,
    /// Keys that are being opened.
    pub(super) opening: Outstanding,
}

/// A PIN that a token did not take.
struct Refused {
    token: String,
    pin: SecretString,
}

/// A module in use: it is not initialized anew meanwhile.
pub(super) struct InUse<'a> {
    pub(super) module: Pkcs11,
    /// The how-manieth time it is initialized: sessions of before are none any more.
    pub(super) generation: u64,
    _not_begun_anew: RwLockReadGuard<'a, (Option<Pkcs11>, u64)>,
}

impl Module {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            loaded: RwLock::new((None, 0)),
            loading: Mutex::default(),
            logging_in: Mutex::default(),
            refused: Mutex::default(),
            opening: Outstanding::new(MOST_OPENING),
        }
    }

    /// The module to be used, initialized if it is not yet.
    pub(super) fn in_use(&self) -> Result<InUse<'_>, Failure> {
        if let Some(in_use) = self.if_loaded() {
            return Ok(in_use);
        }
        {
            // Who waits here does not wait to write, so that no reader that is in the module for long stops those after it.
            let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
            if self.if_loaded().is_none() {
                let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
                *loaded = (Some(self.load()?), loaded.1 + 1);
            }
        }
        let again = || KeyError::ModuleFailed(format!("{} begins anew at this moment", self.path.display()));
        self.if_loaded().ok_or_else(|| Failure::lost(again()))
    }

    /// The module to be used, if it is initialized.
    pub(super) fn if_loaded(&self) -> Option<InUse<'_>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let generation = loaded.1;
        let module = loaded.0.clone()?;
        Some(InUse {
            module,
            generation,
            _not_begun_anew: loaded,
        })
    }

    fn load(&self) -> Result<Pkcs11, Failure> {
        let fail = |error: Error| Failure::of(&error, &format!("{} at its start", self.path.display()));
        let module = Pkcs11::new(&self.path).map_err(fail)?;
        // Several threads are in the module at a time (PKCS#11 v2.40 §5.4, C_Initialize).
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
            Err(error) => Err(fail(error)),
        }
    }

    /// Begins anew after the module or a token failed: a module notices some tokens only at its start. Does nothing while
    /// somebody is in the module, or if it was begun anew since `generation`.
    pub(super) fn begin_anew(&self, generation: u64) {
        let Ok(mut loaded) = self.loaded.try_write() else {
            return;
        };
        if loaded.1 != generation {
            return;
        }
        if let Some(module) = loaded.0.take() {
            // Whatever it answers, it is initialized when it is used next.
            let _ = module.clone().finalize();
        }
    }

    /// Forgets wrong PINs, as the user has set one.
    pub(super) fn forget_refused(&self) {
        self.refused().clear();
    }

    fn refused(&self) -> MutexGuard<'_, Vec<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember_refused(&self, token: String, pin: SecretString) {
        let mut refused = self.refused();
        if refused.len() >= MOST_REFUSED {
            refused.remove(0);
        }
        refused.push(Refused { token, pin });
    }

    /// Logs in, unless the token is known not to take this PIN, or takes hardly any more. One at a time, so that one PIN is
    /// not tried twice at the same time either.
    pub(super) fn log_in(
        &self,
        module: &Pkcs11,
        slot: Slot,
        session: &Session,
        pin: Option<&SecretString>,
    ) -> Result<(), Failure> {
        let whose = format!("{}, logging in", self.path.display());
        let _logging_in = self.logging_in.lock().unwrap_or_else(PoisonError::into_inner);
        let info = module
            .get_token_info(slot)
            .map_err(|error| Failure::of(&error, &whose))?;
        if !info.login_required() {
            return Ok(());
        }
        let token = format!("{}/{}", info.label(), info.serial_number());
        let none = || KeyError::PinWrong(format!("token {token} asks for a PIN, and none was given"));
        let pin = pin.ok_or_else(none).map_err(Failure::lasting)?;
        let is_this = |one: &Refused| one.token == token && one.pin.expose_secret() == pin.expose_secret();
        if self.refused().iter().any(is_this) {
            let again = format!("token {token} refused this PIN before");
            return Err(Failure::lasting(KeyError::PinWrong(again)));
        }
        let tries = Tries {
            is_final: info.user_pin_final_try(),
            is_locked: info.user_pin_locked(),
        };
        tries.check(&token).map_err(Failure::lasting)?;
        match session.login(UserType::User, Some(pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error) => {
                let failure = Failure::of(&error, &format!("token {token}, logging in"));
                if matches!(failure.error, KeyError::PinWrong(_)) {
                    self.remember_refused(token, pin.clone());
                }
                Err(failure)
            }
        }
    }
}

impl InUse<'_> {
    /// The slot with the one token that a URI names.
    pub(super) fn slot(&self, uri: &Pkcs11Uri) -> Result<Slot, Failure> {
        let whose = format!("{}, looking for tokens", uri.module_path.display());
        let slots = self.module.get_slots_with_token();
        let slots = slots.map_err(|error| Failure::of(&error, &whose))?;
        let mut labels = Vec::new();
        let mut found = Vec::new();
        for slot in slots {
            // A token that is pulled at this moment is none.
            let Ok(info) = self.module.get_token_info(slot) else {
                continue;
            };
            if is_meant(uri, slot, &info) {
                found.push(slot);
            }
            if info.token_initialized() {
                labels.push(info.label().to_owned());
            }
        }
        labels.sort();
        match found.as_slice() {
            [slot] => Ok(*slot),
            [] => Err(Failure::lost(KeyError::TokenMissing(format!(
                "{} has no token that {} describes; it has [{}]",
                uri.module_path.display(),
                described(uri),
                labels.join(", ")
            )))),
            several => Err(Failure::lasting(KeyError::TokenMissing(format!(
                "{} has {} tokens that {} describes; name one by its serial number",
                uri.module_path.display(),
                several.len(),
                described(uri)
            )))),
        }
    }
}

/// How often a token still takes a wrong PIN.
struct Tries {
    is_final: bool,
    is_locked: bool,
}

impl Tries {
    /// The last try is the user's own: were the PIN wrong, it would lock the token.
    fn check(&self, token: &str) -> Result<(), KeyError> {
        let what = match (self.is_locked, self.is_final) {
            (true, _) => "is locked after wrong PINs",
            (false, true) => "takes only one more wrong PIN, so it is not given one",
            (false, false) => return Ok(()),
        };
        Err(KeyError::PinLocked(format!("token {token} {what}")))
    }
}

fn is_meant(uri: &Pkcs11Uri, slot: Slot, info: &TokenInfo) -> bool {
    let is =
        |wanted: &Option<String>, present: &str| wanted.as_deref().is_none_or(|wanted| wanted == present);
    is(&uri.token, info.label())
        && is(&uri.serial, info.serial_number())
        && is(&uri.manufacturer, info.manufacturer_id())
        && is(&uri.model, info.model())
        && uri.slot.is_none_or(|wanted| wanted == slot.id())
}

/// How a URI describes a token.
fn described(uri: &Pkcs11Uri) -> String {
    let slot = uri.slot.map(|slot| slot.to_string());
    let attributes = [
        ("token", &uri.token),
        ("serial", &uri.serial),
        ("manufacturer", &uri.manufacturer),
        ("model", &uri.model),
        ("slot-id", &slot),
    ];
    let named = attributes
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")));
    named.collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a token's patience is left to its user.
    #[test]
    fn last_try_is_not_ours() {
        let tries = |is_final, is_locked| Tries { is_final, is_locked }.check("a");
        assert!(tries(false, false).is_ok());
        for (is_final, is_locked) in [(true, false), (false, true), (true, true)] {
            assert_eq!(tries(is_final, is_locked).unwrap_err().word(), "pin-locked");
        }
    }

    #[test]
    fn missing_module_is_named() {
        let module = Module::new(PathBuf::from("/nowhere/libmissing.so"));
        let failure = module.in_use().err().unwrap();
        assert_eq!(failure.error.word(), "module-missing");
        assert!(failure.error.to_string().contains("/nowhere/libmissing.so"));
    }
}
