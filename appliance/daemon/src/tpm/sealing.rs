use std::path::Path;

use secrecy::{ExposeSecret, SecretSlice};
use thiserror::Error;

use super::channel::Channel;
use super::command::{
    Answer, CREATE, CREATE_PRIMARY, Command, FLUSH_CONTEXT, LOAD, OWNER, UNSEAL, sealed_template,
    storage_template, value_of,
};

/// Why a TPM did not do what it was asked for.
#[derive(Debug, Error)]
pub(crate) enum TpmFault {
    /// There is none, or it cannot be spoken to.
    #[error("the TPM cannot be spoken to: {0}")]
    Unreachable(#[from] std::io::Error),
    /// It refused a command, with this response code (part 2, section 6.6).
    #[error("the TPM refuses {command} with response code {code:#05x}")]
    Refused {
        /// The command, as the specification calls it.
        command: &'static str,
        /// The response code.
        code: u32,
    },
    /// What it answered is no answer to what it was asked.
    #[error("the TPM gave an answer that is none")]
    Answer,
    /// What it is to open is nothing that a TPM sealed.
    #[error("what is kept is not what the TPM sealed")]
    Damaged,
}

/// The bits of a response code that blames a parameter (part 2, section 6.6.2).
const OF_PARAMETER: u32 = 0xc0;

impl TpmFault {
    /// Whether another TPM sealed this, or the same one before it was cleared: it will never open it.
    pub(crate) fn is_for_good(&self) -> bool {
        match self {
            Self::Refused { command, code } => *command == LOAD.0 && code & OF_PARAMETER == OF_PARAMETER,
            Self::Damaged => true,
            Self::Unreachable(_) | Self::Answer => false,
        }
    }
}

/// A TPM that answered once: its storage key is loaded.
#[derive(Debug)]
pub(crate) struct Tpm {
    channel: Channel,
    storage_key: u32,
}

impl Tpm {
    /// Opens a device (`/dev/tpmrm0`), or the socket of a TPM in software, and has it make its storage key: the same one
    /// each time, until the TPM is cleared.
    ///
    /// # Errors
    /// When there is none, or its owner has set a password.
    pub(crate) fn open(path: &Path) -> Result<Self, TpmFault> {
        let mut channel = Channel::open(path)?;
        let create = Command::new(CREATE_PRIMARY).handle(OWNER).authorized();
        let create = create
            .sized(&Command::sensitive(&[]))
            .sized(&storage_template())
            .sized(&[])
            .number(0);
        let storage_key = channel.ask(&create)?.handle().ok_or(TpmFault::Answer)?;
        Ok(Self { channel, storage_key })
    }

    /// Has it encrypt at most 128 octets so that only it can decrypt them. What comes is to be kept.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn seal(&mut self, secret: &SecretSlice<u8>) -> Result<Vec<u8>, TpmFault> {
        let create = Command::new(CREATE).handle(self.storage_key).authorized();
        let create = create
            .sized(&Command::sensitive(secret.expose_secret()))
            .sized(&sealed_template())
            .sized(&[])
            .number(0);
        let answer = self.channel.ask(&create)?;
        let (private, rest) = answer.parameters().and_then(value_of).ok_or(TpmFault::Answer)?;
        let (public, _) = value_of(rest).ok_or(TpmFault::Answer)?;
        Ok(Command::pair(private, public))
    }

    /// What it sealed.
    ///
    /// # Errors
    /// When it does not open it; [`TpmFault::is_for_good`] when it never will.
    pub(crate) fn unseal(&mut self, sealed: &[u8]) -> Result<SecretSlice<u8>, TpmFault> {
        let (private, rest) = value_of(sealed).ok_or(TpmFault::Damaged)?;
        let (public, _) = value_of(rest).ok_or(TpmFault::Damaged)?;
        let load = Command::new(LOAD).handle(self.storage_key).authorized();
        let loaded = self.channel.ask(&load.sized(private).sized(public))?;
        let loaded = loaded.handle().ok_or(TpmFault::Answer)?;
        let unseal = Command::new(UNSEAL).handle(loaded).authorized();
        let answer = self.channel.ask(&unseal);
        self.flush(loaded)?;
        secret_in(&answer?).ok_or(TpmFault::Answer)
    }

    fn flush(&mut self, handle: u32) -> Result<(), TpmFault> {
        let flush = Command::new(FLUSH_CONTEXT).number(handle);
        self.channel.ask(&flush).map(drop)
    }
}

/// A TPM without a resource manager has room for three objects, and keeps them when the channel closes.
impl Drop for Tpm {
    fn drop(&mut self) {
        let _gone = self.flush(self.storage_key);
    }
}

pub(super) fn secret_in(answer: &Answer) -> Option<SecretSlice<u8>> {
    let (value, _) = value_of(answer.parameters()?)?;
    Some(value.to_vec().into())
}
