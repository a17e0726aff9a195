//! The kernel that the virtual machine boots: the one Debian ships for the product, unpacked and never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Depends on the newest kernel of the line we ship.
const META_PACKAGE: &str = "linux-image-6.12-amd64";
/// Kernels unpacked before, a folder per package.
const CACHE: &str = "/var/cache/causeway/kernel";
/// The folder of an unpacked kernel that is booted instead, with `boot` and `lib/modules` as a package has them: one that
/// can do more than the one we ship.
const OWN: &str = "CAUSEWAY_KERNEL";
/// Modules without which the machine cannot reach the host's files.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// An unpacked kernel.
pub(super) struct Kernel {
    /// As the package lays it out.
    pub(super) folder: PathBuf,
    /// As `uname -r` tells it.
    pub(super) version: String,
}

impl Kernel {
    /// Looks up the newest version and downloads it, unless it is in the cache or the caller has one of its own.
    pub(super) fn newest() -> Result<Self> {
        if let Some(folder) = std::env::var_os(OWN) {
            return Self::in_folder(folder.into());
        }
        let package = match image_package() {
            Ok(package) => package,
            Err(_) => {
                run(Command::new("apt-get").args(["-qq", "update"]))?;
                image_package()?
            }
        };
        let folder = Path::new(CACHE).join(&package);
        if !folder.is_dir() {
            download(&package, &folder)?;
        }
        Self::in_folder(folder)
    }

    fn in_folder(folder: PathBuf) -> Result<Self> {
        let modules = fs::read_dir(folder.join("lib/modules"))?
            .next()
            .context("a kernel without modules")??;
        let version = modules.file_name().to_string_lossy().into_owned();
        Ok(Self { folder, version })
    }

    /// The compressed kernel.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join(format!("boot/vmlinuz-{}", self.version))
    }

    /// The first archive of the initial file system, made once per kernel.
    pub(super) fn archive(&self, init: &str) -> Result<PathBuf> {
        let work = tempfile::tempdir()?;
        let root = work.path();
        for folder in ["bin", "dev", "proc", "sys", "lower", "rw", "new", "mod"] {
            fs::create_dir(root.join(folder))?;
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox-static is missing")?;
        for (number, module) in self.modules()?.iter().enumerate() {
            let name = Path::new(module).file_stem().context("a module without a name")?;
            let unpacked = run(Command::new("xz").args(["-dc", module]))?;
            fs::write(root.join(format!("mod/{number:02}-{}", name.display())), unpacked)?;
        }
        fs::write(root.join("init"), init)?;
        run(Command::new("chmod").arg("+x").arg(root.join("init")))?;
        let archive = self.folder.join(format!("base-{}.cpio", std::process::id()));
        pack(root, &archive)?;
        let place = self.folder.join("base.cpio");
        fs::rename(&archive, &place)?;
        Ok(place)
    }

    /// Files of [`MODULES`] and what they need, in the order to load them.
    fn modules(&self) -> Result<Vec<String>> {
        let mut command = Command::new("modprobe");
        command
            .arg("-d")
            .arg(&self.folder)
            .args(["-S", &self.version, "-a", "--show-depends"])
            .args(MODULES);
        let said = String::from_utf8(run(&mut command)?)?;
        let mut files: Vec<String> = Vec::new();
        for file in said.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let file = file.trim().to_owned();
            if !files.contains(&file) {
                files.push(file);
            }
        }
        Ok(files)
    }
}

/// Packs a folder into an archive that the kernel unpacks at its start.
pub(super) fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let script = "find . | cpio -o -H newc --quiet >\"$1\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "pack"])
        .arg(archive)
        .current_dir(folder);
    run(&mut command).map(|_| ())
}

/// The package that [`META_PACKAGE`] depends on at present.
fn image_package() -> Result<String> {
    let said = String::from_utf8(run(Command::new("apt-cache").args(["depends", META_PACKAGE]))?)?;
    let name = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    name.map(|name| format!("linux-image-{name}"))
        .with_context(|| format!("{META_PACKAGE} is unknown: {said}"))
}

fn download(package: &str, folder: &Path) -> Result<()> {
    let work = PathBuf::from(format!("{}.{}", folder.display(), std::process::id()));
    fs::create_dir_all(&work)?;
    eprintln!("downloading {package}");
    run(Command::new("apt-get")
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download", package])
        .current_dir(&work))?;
    let debs = fs::read_dir(&work)?.filter_map(|entry| Some(entry.ok()?.path()));
    let deb = debs
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .context("no package came")?;
    run(Command::new("dpkg").arg("-x").arg(&deb).arg(&work))?;
    fs::remove_file(deb)?;
    let modules = fs::read_dir(work.join("lib/modules"))?
        .next()
        .context("a kernel without modules")??;
    run(Command::new("depmod")
        .arg("-b")
        .arg(&work)
        .arg(modules.file_name()))?;
    fs::rename(&work, folder)?;
    Ok(())
}

/// Runs a program to its end and returns what it printed.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}
