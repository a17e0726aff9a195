use std::io::{self, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::answer::{Answer, Done};
use crate::client::{Client, Error};

/// Writes what is at `path` to a file, whole or not at all, or to standard output.
pub(super) fn save(client: &Client, path: &str, out: Option<&Path>) -> Done {
    let Some(out) = out else {
        if io::stdout().is_terminal() {
            let words = "what comes is no text: say with --out FILE where to, or pass it on";
            return Err(Error::Usage(words.to_owned()));
        }
        client.download(path, "standard output", &mut io::stdout().lock())?;
        return Ok(Answer::done(Value::Null, String::new()).silent());
    };
    let name = out.display().to_string();
    let unwritten = |cause| Error::Unreadable {
        file: name.clone(),
        cause,
    };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut file = NamedTempFile::new_in(folder).map_err(unwritten)?;
    let octets = client.download(path, &name, &mut BufWriter::new(&mut file))?;
    file.persist(out).map_err(|error| unwritten(error.error))?;
    let text = format!("{octets} octets are in {name}.\n");
    Ok(Answer::done(json!({ "file": name, "octets": octets }), text))
}
