//! The challenge of Azure Arc's agent: to show what stands in a file that not every program of the machine can read.

use std::io;
use std::path::{Component, Path};

use secrecy::SecretString;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

/// How long what is to be shown may be.
const MOST_OCTETS: u64 = 4096;

/// What answers a challenge. Only a file of the agent's own folder is read, so that whoever listens in its place learns
/// nothing.
pub(super) async fn answered(challenge: &str, folder: &Path) -> Result<SecretString, String> {
    let realm = challenge.strip_prefix("Basic realm=");
    let named = realm.ok_or("answers 401 without naming a file to show")?;
    let path = Path::new(named.trim().trim_matches('"'));
    if !is_of(path, folder) {
        return Err(format!("asks for a file outside of {}", folder.display()));
    }
    let octets = read(path).await;
    let octets = octets.map_err(|error| format!("{}: {error}", path.display()))?;
    let text = str::from_utf8(&octets).map_err(|_| format!("{} is no text", path.display()))?;
    Ok(SecretString::from(format!("Basic {}", text.trim())))
}

/// Whether it is a file right in the folder, of the kind that the agent writes.
fn is_of(path: &Path, folder: &Path) -> bool {
    path.parent() == Some(folder)
        && path.extension().is_some_and(|extension| extension == "key")
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

async fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let about = tokio::fs::symlink_metadata(path).await?;
    if !about.is_file() || about.len() > MOST_OCTETS {
        return refused("no file of at most 4096 octets");
    }
    let limit = usize::try_from(MOST_OCTETS).unwrap_or_default();
    let mut octets = Zeroizing::new(Vec::with_capacity(limit));
    File::open(path)
        .await?
        .take(MOST_OCTETS)
        .read_to_end(&mut octets)
        .await?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Whoever listens where the agent should gets no other file of the machine.
    #[tokio::test]
    async fn only_files_of_the_agent_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.key"), "secret\n").unwrap();
        std::fs::write(path("a.txt"), "other").unwrap();
        std::fs::create_dir(path("b")).unwrap();
        std::fs::write(path("b/c.key"), "other").unwrap();
        std::fs::write(path("long.key"), vec![b'x'; 5000]).unwrap();
        symlink("/etc/hostname", path("link.key")).unwrap();
        let answer = async |name: &str| {
            let challenge = format!("Basic realm={}", path(name).display());
            answered(&challenge, folder.path()).await
        };
        use secrecy::ExposeSecret;
        assert_eq!(answer("a.key").await.unwrap().expose_secret(), "Basic secret");
        for other in [
            "a.txt",
            "b/c.key",
            "b/../a.key",
            "long.key",
            "link.key",
            "missing.key",
        ] {
            assert!(answer(other).await.is_err(), "{other}");
        }
        assert!(answered("Bearer", folder.path()).await.is_err());
        assert!(
            answered("Basic realm=/etc/shadow.key", folder.path())
                .await
                .is_err()
        );
    }
}
