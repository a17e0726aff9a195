use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use appliance_config::ValidConfig;

use super::running::Running;
use crate::secrets::Secrets;

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug)]
pub(crate) struct Invalid(pub(super) Vec<String>);

impl Invalid {
    pub(super) fn of(problems: &[impl ToString]) -> Self {
        Self(problems.iter().map(ToString::to_string).collect())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Invalid {}

/// A configuration in files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// The document.
    pub(crate) config: PathBuf,
    /// One file per secret.
    pub(crate) secrets: PathBuf,
}

impl Files {
    /// Reads the document alone.
    pub(crate) fn document(&self, generation: u32) -> Result<Running, Invalid> {
        let bytes = read(&self.config)
            .map_err(|error| Invalid(vec![format!("/: unreadable: {}: {error}", self.config.display())]))?;
        Running::parse(generation, &bytes)
    }

    /// Reads the secrets that a document names.
    pub(crate) fn secrets_of(&self, config: &ValidConfig) -> Result<Secrets, Invalid> {
        Secrets::load(&self.secrets, config).map_err(|problems| Invalid::of(&problems))
    }
}

/// One byte more than is allowed is enough for the parser to refuse it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(appliance_config::MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
