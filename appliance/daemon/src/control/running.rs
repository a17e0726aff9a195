use appliance_config::{Config, ValidConfig, canonical};
use serde_json::{Map, Value};

use super::files::Invalid;

/// A configuration that runs, or is to run.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its number; 0 before there is any. A file has one that counts how often it was read.
    pub(crate) generation: u32,
    /// The document as it was written, in canonical form.
    pub(crate) written: Value,
    /// What it means.
    pub(crate) config: ValidConfig,
}

impl Running {
    /// What a machine has that nobody has configured.
    pub(crate) fn nothing() -> Self {
        Self {
            generation: 0,
            written: Value::Object(Map::new()),
            config: ValidConfig::default(),
        }
    }

    /// A document, or all that is wrong with it.
    pub(crate) fn parse(generation: u32, bytes: &[u8]) -> Result<Self, Invalid> {
        let document = Config::parse(bytes).map_err(|problem| Invalid::of(&[problem]))?;
        let written = document.value();
        let config = document.validate().map_err(|problems| Invalid::of(&problems))?;
        let written = written.map_err(|problems| Invalid::of(&problems))?;
        Ok(Self {
            generation,
            written: canonical(&written),
            config,
        })
    }
}
