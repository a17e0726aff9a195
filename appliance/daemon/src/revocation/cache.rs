//! Lists that were fetched, over a restart: without them, who insists on lists would believe nobody until a server answers.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use appliance_config::model::ListSource;
use aws_lc_rs::digest::{SHA256, digest};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::fetch::{LONGEST, Octets, read};
use crate::store::replace;

/// How long a list that nobody asks for any more is kept.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A folder with lists; none where a file is the only source of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Cache(Option<PathBuf>);

impl Cache {
    /// In this folder, which is made; old lists are removed.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        if let Some(folder) = &folder {
            if let Err(error) = fs::create_dir_all(folder) {
                warn!(path = %folder.display(), %error, "fetched lists are not kept");
            }
            forget(folder);
        }
        Self(folder)
    }

    /// The list of a server as it was last fetched, if one of these issued it.
    pub(super) async fn recall(&self, source: &ListSource, issuers: &BTreeSet<Vec<u8>>) -> Option<Octets> {
        let (path, issuers) = (self.path(source)?, issuers.clone());
        let recalled = spawn_blocking(move || {
            let mut octets = Vec::new();
            let most = u64::try_from(LONGEST).ok()?;
            let file = fs::File::open(path).ok()?;
            file.take(most).read_to_end(&mut octets).ok()?;
            read(&octets, &issuers).ok()
        });
        recalled.await.ok()?
    }

    /// Keeps a list of a server.
    pub(super) async fn keep(&self, source: &ListSource, der: &[u8]) {
        let Some(path) = self.path(source) else {
            return;
        };
        let (der, shown) = (der.to_vec(), path.display().to_string());
        // A disk that is slow must not hold up tunnels.
        let kept = spawn_blocking(move || replace(&path, &der)).await;
        if let Ok(Err(error)) = kept {
            warn!(path = shown, %error, "a fetched list is not kept");
        }
    }

    /// A file is where it is.
    fn path(&self, source: &ListSource) -> Option<PathBuf> {
        match source {
            ListSource::File(_) => None,
            ListSource::Http(address) => {
                let name: String = digest(&SHA256, address.as_bytes())
                    .as_ref()
                    .iter()
                    .map(|octet| format!("{octet:02x}"))
                    .collect();
                Some(self.0.as_ref()?.join(name))
            }
        }
    }
}

fn forget(folder: &PathBuf) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.map(|changed| SystemTime::now().duration_since(changed).unwrap_or_default());
        if age.is_ok_and(|age| age > FORGOTTEN) {
            // It is only in the way.
            let _kept = fs::remove_file(entry.path());
        }
    }
}
