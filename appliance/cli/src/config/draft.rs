use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::place::line_of;
use crate::client::{Error, Violation};
use crate::report::push;
use crate::target::variable;

/// What begins a line that is not part of the document: no line of JSON begins so.
const MARK: char = '#';

/// A document that is being edited, in a folder that nobody else can enter.
pub(super) struct Draft {
    folder: TempDir,
    file: PathBuf,
    original: String,
}

impl Draft {
    pub(super) fn new(document: &Value) -> Result<Self, Error> {
        let unwritable = |cause| Error::Unreadable {
            file: std::env::temp_dir().display().to_string(),
            cause,
        };
        let folder = tempfile::Builder::new()
            .prefix("causeway-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(unwritable)?;
        let file = folder.path().join("config.json");
        let original = format!("{document:#}\n");
        let draft = Self {
            folder,
            file,
            original,
        };
        draft.write(&draft.original)?;
        Ok(draft)
    }

    /// Opens it in the editor and returns what stands in it when that is closed.
    pub(super) fn edit(&self) -> Result<String, Error> {
        let editor = variable("VISUAL").or_else(|| variable("EDITOR"));
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        // By the shell, as other programs do: the variable may hold options for the editor, too.
        let ended = Command::new("sh")
            .arg("-c")
            .arg(format!("{editor} \"$1\""))
            .arg("causeway")
            .arg(&self.file)
            .status()
            .map_err(|cause| Error::Usage(format!("cannot start the editor {editor:?}: {cause}")))?;
        if !ended.success() {
            let why = "say with VISUAL or EDITOR which one to use";
            return Err(Error::Usage(format!(
                "the editor {editor:?} ended with {ended}: {why}"
            )));
        }
        self.read()
    }

    /// Writes what is wrong above the lines where it is, for the next time it is opened, and returns the same with the
    /// numbers of those lines.
    pub(super) fn mark(&self, text: &str, violations: &[Violation]) -> Result<String, Error> {
        let lines: Vec<(usize, String)> = violations
            .iter()
            .map(|violation| (line_of(text, &violation.path), violation.to_string()))
            .collect();
        self.mark_lines(text, &lines)
    }

    /// The same of what is no JSON.
    pub(super) fn mark_syntax(&self, text: &str, error: &serde_json::Error) -> Result<String, Error> {
        self.mark_lines(
            text,
            &[(error.line().saturating_sub(1), format!("no JSON: {error}"))],
        )
    }

    fn mark_lines(&self, text: &str, found: &[(usize, String)]) -> Result<String, Error> {
        let text = if text.is_empty() { "\n" } else { text };
        let last = text.lines().count().saturating_sub(1);
        let (mut marked, mut told) = (String::new(), String::new());
        let mut above = 0;
        for (place, line) in text.lines().enumerate() {
            let here: Vec<&String> = found
                .iter()
                .filter(|(at, _)| (*at).min(last) == place)
                .map(|(_, what)| what)
                .collect();
            above += here.len();
            for what in here {
                push(&mut marked, &format!("{MARK} {what}"));
                push(&mut told, &format!("line {}: {what}", place + above + 1));
            }
            marked.push_str(line);
            marked.push('\n');
        }
        self.write(&marked)?;
        Ok(told)
    }

    /// Keeps it where it is, without marks, if anything was edited.
    pub(super) fn keep(self) -> Option<String> {
        // What cannot be read or written now is kept as it is.
        match self.read() {
            Ok(text) if text == self.original => return None,
            Ok(text) => self.write(&text).unwrap_or_default(),
            Err(_) => {}
        }
        let _ = self.folder.keep();
        Some(self.file.display().to_string())
    }

    fn read(&self) -> Result<String, Error> {
        let text = fs::read_to_string(&self.file).map_err(|cause| self.unreadable(cause))?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with(MARK));
        Ok(lines.map(|line| format!("{line}\n")).collect())
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        let mut options = OpenOptions::new();
        let opened = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.file);
        opened
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|cause| self.unreadable(cause))
    }

    fn unreadable(&self, cause: io::Error) -> Error {
        Error::Unreadable {
            file: self.file.display().to_string(),
            cause,
        }
    }
}
