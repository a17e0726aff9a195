//! RSA-2048 signatures a second, as AUTH payloads need them, by each provider of keys, on all cores: a file, a token of SoftHSM, and a
//! key vault of the lab at this machine; beside AWS-LC alone. Then how long a signature by file takes while 100 signatures of a vault
//! that answers after 200 ms are outstanding, beside the same without them: the 99th percentile.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use appliance_keys::file::FileKey;
use appliance_keys::key_vault::{Access, VaultKey};
use appliance_keys::managed_identity::{ManagedIdentity, Source, Which};
use appliance_keys::pkcs11::Modules;
use appliance_keys::{Hash, Key, Limits, Scheme};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use system_bench::print;
use system_tests::lab::pki::{self, Issued, Wanted};
use system_tests::peer::key_vault::{KeyVault, Version};

const SCHEME: Scheme = Scheme::RsaPkcs1(Hash::Sha256);
/// How long each provider signs.
const TIME: Duration = Duration::from_secs(3);
/// So many sign at the same time.
const AT_ONCE: usize = 8;
/// As long as what an AUTH payload covers.
const MESSAGE: [u8; 400] = [7; 400];
const SETTINGS: &str = "SOFTHSM2_CONF";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "4711";
const SLOW: Duration = Duration::from_millis(200);
const OUTSTANDING: usize = 100;

fn main() -> Result<()> {
    let root = Issued::root(&Wanted::authority("Root", 0))?;
    let leaf = root.issue(&Wanted {
        key: pki::Key::Rsa2048,
        ..Wanted::leaf("gw-a")
    })?;
    if env::var_os(SETTINGS).is_none() {
        // The module reads its settings from the environment, which cannot be changed once there are threads.
        let folder = env::temp_dir().join(format!("auth-sign-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let settings = folder.join("softhsm2.conf");
        let lines = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\n",
            folder.display()
        );
        fs::write(&settings, lines)?;
        let error = Command::new(env::current_exe()?).env(SETTINGS, settings).exec();
        return Err(error.into());
    }
    let settings = env::var(SETTINGS)?;
    let folder = Path::new(&settings).parent().context("no folder of settings")?;
    let measured = tokio::runtime::Runtime::new()?.block_on(measure(&leaf, folder));
    fs::remove_dir_all(folder)?;
    measured
}

async fn measure(leaf: &Issued, folder: &Path) -> Result<()> {
    let alone = alone(leaf)?;
    let file: Arc<dyn Key> = Arc::new(FileKey::open(&leaf.key_pem().into_bytes().into(), None)?);
    token(leaf, folder)?;
    let uri = format!("pkcs11:token=branch;object=edge?module-path={MODULE}");
    let uri = uri.parse().map_err(|error| anyhow!("{error}"))?;
    let token: Arc<dyn Key> = Arc::new(Modules::default().open(uri, Some(PIN.to_owned().into())).await?);
    let server = KeyVault::start([127, 0, 0, 1].into())?;
    server.want_audience("https://0.0.1");
    server.put("edge", Version::of(leaf, false)?);
    let vault: Arc<dyn Key> = Arc::new(open(&server).await?);
    for (name, key) in [("file", &file), ("softhsm", &token), ("vault", &vault)] {
        report(name, rate(key).await?, alone);
    }
    let before = slowest(&file).await?;
    server.delay(SLOW);
    let outstanding: Vec<_> = (0..OUTSTANDING).map(|_| sign(Arc::clone(&vault))).collect();
    let beside = slowest(&file).await?;
    for signing in outstanding {
        signing.await??;
    }
    let hundredths = beside.as_micros() * 100 / before.as_micros().max(1);
    let ratio = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let (beside, before) = (beside.as_micros(), before.as_micros());
    print(&format!(
        "auth-sign/file-beside-{OUTSTANDING}-slow ours={beside}us peer={before}us ratio={ratio}"
    ));
    Ok(())
}

fn report(name: &str, ours: u128, peer: u128) {
    let hundredths = ours * 100 / peer.max(1);
    let ratio = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    print(&format!(
        "auth-sign/{name} ours={ours}/s peer={peer}/s ratio={ratio}"
    ));
}

/// What AWS-LC alone signs in a second, by as many threads.
fn alone(leaf: &Issued) -> Result<u128> {
    let key = leaf.key_der();
    let begun = Instant::now();
    let worker = || -> Result<u128> {
        let pair = RsaKeyPair::from_pkcs8(&key)?;
        let mut signed = vec![0; pair.public_modulus_len()];
        let mut count = 0;
        while begun.elapsed() < TIME {
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &MESSAGE, &mut signed)?;
            count += 1;
        }
        Ok(count)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        let mut sum = 0;
        for worker in workers {
            sum += worker.join().map_err(|_| anyhow!("a thread ended early"))??;
        }
        Ok(sum * 1000 / TIME.as_millis())
    })
}

fn sign(key: Arc<dyn Key>) -> tokio::task::JoinHandle<Result<()>> {
    tokio::spawn(async move {
        let signed = key.sign(SCHEME, &MESSAGE).await?;
        ensure!(signed.len() == 256, "{} octets", signed.len());
        Ok(())
    })
}

/// Signatures a second.
async fn rate(key: &Arc<dyn Key>) -> Result<u128> {
    let begun = Instant::now();
    let workers = (0..AT_ONCE).map(|_| {
        let key = Arc::clone(key);
        tokio::spawn(async move {
            let mut count: u128 = 0;
            while begun.elapsed() < TIME {
                key.sign(SCHEME, &MESSAGE).await?;
                count += 1;
            }
            Ok::<_, anyhow::Error>(count)
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut sum = 0;
    for worker in workers {
        sum += worker.await??;
    }
    Ok(sum * 1000 / begun.elapsed().as_millis().max(1))
}

/// The 99th percentile of what 200 signatures take, one after another.
async fn slowest(key: &Arc<dyn Key>) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        key.sign(SCHEME, &MESSAGE).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times.get(197).copied().context("too few signatures")
}

/// A token with this key.
fn token(leaf: &Issued, folder: &Path) -> Result<()> {
    let pem = folder.join("key.pem");
    fs::write(&pem, leaf.key_pem())?;
    let tool = |arguments: &[&str]| -> Result<()> {
        let output = Command::new("softhsm2-util")
            .args(["--pin", PIN])
            .args(arguments)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "softhsm2-util {arguments:?}: {said}");
        Ok(())
    };
    tool(&["--init-token", "--free", "--label", "branch", "--so-pin", "0815"])?;
    tool(&[
        "--token",
        "branch",
        "--label",
        "edge",
        "--id",
        "a1",
        "--import",
        &pem.to_string_lossy(),
    ])
}

async fn open(server: &KeyVault) -> Result<VaultKey> {
    let which = Which::Only;
    let endpoint = server.metadata();
    let access = Access {
        identity: ManagedIdentity::open(Source::AzureVm { endpoint, which }, Limits::default())?,
        roots: vec![server.root().der().to_vec()],
        audience: None,
        limits: Limits::default(),
    };
    let reference = server.reference("edge", None);
    let reference = reference.parse().map_err(|error| anyhow!("{error}"))?;
    Ok(VaultKey::open(&reference, &access).await?)
}
