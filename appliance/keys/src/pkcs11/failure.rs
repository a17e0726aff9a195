//! What a module answers when it will not, as our own failures.

use cryptoki::error::{Error, RvError};

use crate::error::KeyError;

/// Why a call of a module failed, and whether to connect anew may help.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: KeyError,
    /// The session, the token or the module is not what it was when the session began.
    pub(super) is_lost: bool,
}

impl Failure {
    /// One that lasts.
    pub(super) fn lasting(error: KeyError) -> Self {
        Self {
            error,
            is_lost: false,
        }
    }

    /// One that may end with a connection of its own.
    pub(super) fn lost(error: KeyError) -> Self {
        Self { error, is_lost: true }
    }

    /// What a module answered; `whose` says to whom, and at which stage.
    pub(super) fn of(error: &Error, whose: &str) -> Self {
        let said = format!("{whose}: {error}");
        let Error::Pkcs11(answer, _) = error else {
            let is_missing = matches!(error, Error::LibraryLoading(_) | Error::MissingSymbol(_));
            let word = if is_missing {
                KeyError::ModuleMissing
            } else {
                KeyError::ModuleFailed
            };
            return Self::lasting(word(said));
        };
        match answer {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired => {
                Self::lasting(KeyError::PinWrong(said))
            }
            RvError::PinLocked | RvError::UserPinNotInitialized => Self::lasting(KeyError::PinLocked(said)),
            RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::KeyFunctionNotPermitted
            | RvError::KeyTypeInconsistent
            | RvError::KeySizeRange
            | RvError::DataLenRange
            | RvError::FunctionNotSupported
            | RvError::CurveNotSupported => Self::lasting(KeyError::SchemeUnsupported(said)),
            RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::DeviceRemoved
            | RvError::SlotIdInvalid => Self::lost(KeyError::TokenMissing(said)),
            RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::KeyHandleInvalid
            | RvError::UserNotLoggedIn
            | RvError::DeviceError
            | RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::CryptokiNotInitialized => Self::lost(KeyError::ModuleFailed(said)),
            _ => Self::lasting(KeyError::ModuleFailed(said)),
        }
    }
}

impl From<Failure> for KeyError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}
