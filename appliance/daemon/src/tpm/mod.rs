//! A TPM 2.0 that keeps what this machine alone may read (TPM 2.0 Library, part 3: commands).

mod channel;
mod command;
mod sealing;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use sealing::{Tpm, TpmFault};
