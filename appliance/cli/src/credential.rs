use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;

use crate::client::Error;
use crate::target::variable;

/// What proves to the server who asks, if there is a token: from the environment, the file that is named, or the file for
/// this host.
pub(crate) fn authorization(named: Option<&Path>, host: &str) -> Result<Option<HeaderValue>, Error> {
    let named = named.map(Path::to_path_buf);
    let token = match (named, variable("CAUSEWAY_TOKEN")) {
        (Some(file), _) => read(&file)?,
        (None, Some(token)) => token,
        (None, None) => match variable("CAUSEWAY_TOKEN_FILE") {
            Some(file) => read(Path::new(&file))?,
            None => match usual_file(host).filter(|file| file.exists()) {
                Some(file) => read(&file)?,
                None => return Ok(None),
            },
        },
    };
    let header = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut header =
        header.map_err(|_| Error::Usage("the token has characters that no token has".to_owned()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// Where the token for a host is kept (XDG Base Directory Specification).
fn usual_file(host: &str) -> Option<PathBuf> {
    let configuration = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let configuration = configuration.or_else(|| Some(Path::new(&variable("HOME")?).join(".config")))?;
    Some(configuration.join("causeway/tokens").join(host))
}

/// What stands in a file that nobody else may read.
pub(crate) fn read(file: &Path) -> Result<String, Error> {
    let name = file.display().to_string();
    let unreadable = |cause: io::Error| Error::Unreadable {
        file: name.clone(),
        cause,
    };
    let mut opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::Usage(format!(
            "{name}: others may read or write it (mode {:o}): chmod 600 {name}",
            mode & 0o777
        )));
    }
    let mut token = String::new();
    opened.read_to_string(&mut token).map_err(unreadable)?;
    Ok(token)
}
