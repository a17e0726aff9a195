use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::Reason;
use crate::reader::Value;

/// Where a list of revoked certificates is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListSource {
    /// At this address (`http:`).
    Http(String),
    /// In this file, by its absolute path.
    File(PathBuf),
}

/// The longest address or path, in octets.
pub(crate) const LONGEST: usize = 1024;
/// The most sources of one trust.
pub(crate) const MOST: usize = 8;

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => f.write_str(address),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl ListSource {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        match parse(text) {
            Some(source) => Some(source),
            None => value.wrong(
                Reason::InvalidListSource,
                text,
                "expected http://HOST/PATH, or file:// and an absolute path",
            ),
        }
    }
}

fn parse(text: &str) -> Option<ListSource> {
    if text.len() > LONGEST || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return None;
    }
    if let Some(path) = text.strip_prefix("file://") {
        let path = Path::new(path);
        let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        let fits = path.is_absolute() && path.file_name().is_some() && path.components().all(plain);
        return fits.then(|| ListSource::File(path.to_owned()));
    }
    let (host, _) = text.strip_prefix("http://")?.split_once('/')?;
    let fits = !host.is_empty() && !host.contains('@') && !text.contains('#');
    fits.then(|| ListSource::Http(text.to_owned()))
}

/// At most so many, none twice.
pub(super) fn sources(value: &Value<'_>) -> Option<Vec<ListSource>> {
    let sources = value.list(ListSource::read)?;
    if sources.len() > MOST {
        let detail = format!("{} sources; there can be {MOST}", sources.len());
        value.problem(Reason::OutOfRange, detail);
        return None;
    }
    for (index, source) in sources.iter().enumerate() {
        if sources.iter().take(index).any(|before| before == source) {
            value.element_problem(index, Reason::OutOfRange, "is there already");
            return None;
        }
    }
    Some(sources)
}
