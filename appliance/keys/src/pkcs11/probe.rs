//! A module and a token tried without any key.

use cryptoki::error::Error;
use secrecy::SecretString;

use super::failure::Failure;
use super::module::{InUse, Module};
use crate::error::KeyError;
use crate::uri::Pkcs11Uri;

/// How far a trial came: what comes after a failure is not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The module loads and starts.
    pub module: Result<(), KeyError>,
    /// The token is there.
    pub token: Option<Result<(), KeyError>>,
    /// The token takes the PIN, or asks for none.
    pub pin: Option<Result<(), KeyError>>,
}

impl Probed {
    /// The module cannot even be asked.
    pub(super) fn failed(error: KeyError) -> Self {
        Self {
            module: Err(error),
            token: None,
            pin: None,
        }
    }

    pub(super) fn of(module: &Module, uri: &Pkcs11Uri, pin: Option<&SecretString>) -> Self {
        let mut probed = Self {
            module: Ok(()),
            token: None,
            pin: None,
        };
        if !names_token(uri) {
            return match module.in_use() {
                Ok(_) => probed,
                Err(failure) => Self::failed(failure.into()),
            };
        }
        // A module notices some tokens only at its start, so it is begun anew once.
        for is_last in [false, true] {
            let in_use = match module.in_use() {
                Ok(in_use) => in_use,
                Err(failure) => return Self::failed(failure.into()),
            };
            let failure = match in_use.slot(uri).map(|_| ()) {
                Ok(()) => {
                    probed.token = Some(Ok(()));
                    probed.pin = Some(log_in(module, &in_use, uri, pin).map_err(KeyError::from));
                    return probed;
                }
                Err(failure) => failure,
            };
            let (generation, is_lost) = (in_use.generation, failure.is_lost);
            drop(in_use);
            probed.token = Some(Err(failure.into()));
            if is_last || !is_lost {
                return probed;
            }
            module.begin_anew(generation);
        }
        probed
    }
}

/// Without a name the PIN could be given to a token that it is not of.
fn names_token(uri: &Pkcs11Uri) -> bool {
    let named = [&uri.token, &uri.serial, &uri.manufacturer, &uri.model];
    uri.slot.is_some() || named.iter().any(|name| name.is_some())
}

/// Logs in by a session of its own.
fn log_in(
    module: &Module,
    in_use: &InUse<'_>,
    uri: &Pkcs11Uri,
    pin: Option<&SecretString>,
) -> Result<(), Failure> {
    let slot = in_use.slot(uri)?;
    let fail = |error: Error| Failure::of(&error, &format!("{}, opening", uri.module_path.display()));
    let session = in_use.module.open_ro_session_no_drop(slot).map_err(fail)?;
    let logged_in = module.log_in(&in_use.module, slot, &session, pin);
    let _ = session.close();
    logged_in
}
