//! A machine that boots the firmware image as a box does: its own kernel and files, two network cards, a serial line.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::namespace::Namespace;
use super::{vm, wait};
use crate::peer::causeway::Document;

/// What the image is called in the folder that it was made in.
pub const IMAGE: &str = "causeway.img";
/// What the installer is called there.
pub const INSTALLER: &str = "causeway-installer.img";
/// Where the administrator of a machine without a configuration of its own finds it.
const FIRST_ADDRESS: &str = "192.168.77.1";
/// Where Debian's `ovmf` has UEFI, and what it remembers.
const UEFI: [&str; 2] = [
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
];
/// The same with Secure Boot, which takes a machine with system management mode.
const SECURE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
/// What UEFI remembers once the certificate of the image was enrolled, in the folder that it was made in.
pub const ENROLLED: &str = "uefi-enrolled.fd";
/// Where a TPM in software is asked, in the folder of its memory.
const SOCKET: &str = "socket";
const TPM_START: Duration = Duration::from_secs(10);
/// Lines of the console kept for the case that a test fails.
const CONSOLE: usize = 60;

/// What starts the boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// The old kind: `SeaBIOS`.
    Bios,
    /// The new kind: OVMF.
    Uefi,
}

/// All that a machine is made of.
#[derive(Clone)]
pub struct Appliance {
    /// Its disk, which it writes to.
    pub disk: PathBuf,
    /// What starts the boot loader.
    pub firmware: Firmware,
    /// What UEFI remembers, with keys enrolled: it has Secure Boot then.
    pub enrolled: Option<PathBuf>,
    /// A TPM in software, which keeps what it knows in this folder.
    pub tpm: Option<PathBuf>,
    /// A volume with a first configuration.
    pub seed: Option<PathBuf>,
    /// A USB stick, which it starts from.
    pub stick: Option<PathBuf>,
    /// Further disks, in front of its own.
    pub others: Vec<PathBuf>,
    /// The address of its second card, whose port 8443 is forwarded.
    pub address: String,
    /// What its clock shows when it is switched on, for example `2020-01-01T00:00:00`; that of this machine if left out.
    pub clock: Option<String>,
    /// The gateway that it stands in for, whose links `wan` and `lan` lead into its cards; without one the first card leads nowhere.
    pub site: Option<Namespace>,
}

impl Appliance {
    /// A machine with this image on a disk of its own in `folder`, which is larger than the image.
    ///
    /// # Errors
    /// When the disk cannot be made.
    pub fn new(image: &Path, folder: &Path, mib: u64) -> Result<Self> {
        let disk = folder.join("disk.img");
        copy_sparse(image, &disk)?;
        OpenOptions::new().write(true).open(&disk)?.set_len(mib << 20)?;
        Ok(Self::with(disk))
    }

    /// A machine with an empty disk in `folder`, and a stick with the installer that it starts from.
    ///
    /// # Errors
    /// When the disk cannot be made.
    pub fn empty(stick: &Path, folder: &Path, mib: u64) -> Result<Self> {
        let disk = folder.join("disk.img");
        File::create(&disk)?.set_len(mib << 20)?;
        Ok(Self {
            stick: Some(stick.to_owned()),
            ..Self::with(disk)
        })
    }

    fn with(disk: PathBuf) -> Self {
        Self {
            disk,
            firmware: Firmware::Bios,
            enrolled: None,
            tpm: None,
            seed: None,
            stick: None,
            others: vec![],
            address: FIRST_ADDRESS.to_owned(),
            clock: None,
            site: None,
        }
    }

    /// The command that switches it on, with port 8443 of its second card at this port of ours.
    ///
    /// # Errors
    /// When UEFI's memory cannot be made.
    pub fn command(&self, port: u16) -> Result<Command> {
        let mut qemu = vm::emulator(512);
        if let Some(stick) = &self.stick {
            drive(&mut qemu, stick, "if=none,id=stick,readonly=on");
            qemu.args([
                "-device",
                "qemu-xhci",
                "-device",
                "usb-storage,drive=stick,bootindex=0",
            ]);
        }
        for other in &self.others {
            drive(&mut qemu, other, "if=virtio");
        }
        drive(&mut qemu, &self.disk, "if=virtio");
        if let Some(seed) = &self.seed {
            drive(&mut qemu, seed, "if=virtio,readonly=on");
        }
        if self.firmware == Firmware::Uefi {
            self.uefi(&mut qemu)?;
        }
        if let Some(tpm) = &self.tpm {
            let socket = format!("socket,id=tpm,path={}", tpm.join(SOCKET).display());
            qemu.args(["-chardev", &socket, "-tpmdev", "emulator,id=tpm,chardev=tpm"]);
            qemu.args(["-device", "tpm-tis,tpmdev=tpm"]);
        }
        if let Some(clock) = &self.clock {
            qemu.args(["-rtc", &format!("base={clock}")]);
        }
        let networks = match &self.site {
            Some(_) => {
                ["wan", "lan"].map(|name| format!("tap,id={name},ifname=box-{name},script=no,downscript=no"))
            }
            None => self.forwarded(port)?,
        };
        for network in &networks {
            qemu.args(["-netdev", network]);
        }
        for (card, octet) in [("wan", 1), ("lan", 2)] {
            let device = format!("virtio-net-pci,netdev={card},mac=52:54:00:00:00:0{octet}");
            qemu.args(["-device", &device]);
        }
        // Its action is to start the machine again.
        qemu.args(["-device", "i6300esb"]);
        Ok(qemu)
    }

    fn uefi(&self, qemu: &mut Command) -> Result<()> {
        let [code, kept] = UEFI;
        let memory = self.disk.with_extension("uefi");
        let (code, kept) = match &self.enrolled {
            Some(enrolled) => (SECURE, enrolled.as_path()),
            None => (code, Path::new(kept)),
        };
        fs::copy(kept, &memory).with_context(|| format!("{} is missing", kept.display()))?;
        if self.enrolled.is_some() {
            qemu.args(["-machine", "smm=on"]);
            qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
        }
        drive(qemu, Path::new(code), "if=pflash,readonly=on");
        drive(qemu, &memory, "if=pflash");
        Ok(())
    }

    /// The first network leads nowhere, the second is ours.
    fn forwarded(&self, port: u16) -> Result<[String; 2]> {
        let (network, _) = self.address.rsplit_once('.').context("an IPv4 address")?;
        let lan = format!(
            "user,id=lan,net={network}.0/24,host={network}.254,dhcpstart={network}.200,restrict=on,\
             hostfwd=tcp:127.0.0.1:{port}-{}:8443",
            self.address
        );
        Ok(["user,id=wan,restrict=on".to_owned(), lan])
    }

    /// Lets it stand in for a gateway: its links lead from cable to card, and have no address any more.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn stand_in_for(&mut self, gateway: &Namespace) -> Result<()> {
        for link in ["wan", "lan"] {
            gateway.ip(&[
                &format!("address flush dev {link}"),
                &format!("link add to-{link} type bridge"),
                &format!("tuntap add dev box-{link} mode tap"),
                &format!("link set {link} master to-{link}"),
                &format!("link set box-{link} master to-{link} up"),
                &format!("link set to-{link} up"),
            ])?;
        }
        self.site = Some(gateway.clone());
        Ok(())
    }

    /// Gives it a volume with its first configuration.
    ///
    /// # Errors
    /// When the volume cannot be made.
    pub fn seed(&mut self, document: &Document) -> Result<()> {
        let (folder, volume) = (
            self.disk.with_extension("seed"),
            self.disk.with_extension("volume"),
        );
        fs::create_dir_all(folder.join("secrets"))?;
        document.write(&folder)?;
        let script =
            "truncate -s 4M \"$1\" && mkfs.vfat -n CAUSEWAY \"$1\" && mcopy -s -i \"$1\" \"$2\"/* ::";
        let made = Command::new("sh")
            .args(["-ec", script, "seed"])
            .args([&volume, &folder])
            .output()?;
        ensure!(made.status.success(), "{made:?}");
        self.seed = Some(volume);
        Ok(())
    }

    /// Switches it on.
    ///
    /// # Errors
    /// When the emulator does not start.
    pub fn start(&self) -> Result<Running> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut qemu = self.command(port)?;
        let tpm = self.tpm.as_deref().map(Tpm::start).transpose()?;
        let _inside = self.site.as_ref().map(Namespace::enter).transpose()?;
        let mut emulator = qemu
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting qemu")?;
        let keys = emulator.stdin.take().context("qemu without input")?;
        let output = emulator.stdout.take().context("qemu without output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Ok(Running {
            _tpm: tpm,
            emulator,
            keys,
            lines,
            port,
            said: VecDeque::new(),
        })
    }
}

fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    let copied = copy.arg("--sparse=always").arg(from).arg(to).status()?;
    ensure!(copied.success(), "copying {} failed", from.display());
    Ok(())
}

fn drive(qemu: &mut Command, file: &Path, how: &str) {
    let drive = format!("file={},format=raw,{how}", file.display());
    qemu.args(["-drive", &drive]);
}

/// A TPM in software, until it is dropped.
struct Tpm(Child);

impl Tpm {
    fn start(memory: &Path) -> Result<Self> {
        fs::create_dir_all(memory)?;
        let socket = memory.join(SOCKET);
        let _none = fs::remove_file(&socket);
        let tpm = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate"])
            .arg(format!("dir={}", memory.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .spawn()
            .context("starting swtpm")?;
        let tpm = Self(tpm);
        wait::until("the socket of the TPM", TPM_START, || {
            ensure!(socket.exists(), "swtpm has none yet");
            Ok(())
        })?;
        Ok(tpm)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A machine that is on; its power is cut when it is dropped.
pub struct Running {
    _tpm: Option<Tpm>,
    emulator: Child,
    keys: ChildStdin,
    lines: Receiver<String>,
    port: u16,
    said: VecDeque<String>,
}

impl Running {
    /// What follows these words on the next line of the serial console that has them.
    ///
    /// # Errors
    /// When no such line comes in time; it tells what came instead.
    pub fn says(&mut self, words: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let said: String = self.said.iter().map(|line| format!("{line}\n")).collect();
                bail!("the machine did not say \"{words}\" within {limit:?}, but:\n{said}");
            };
            if self.said.len() == CONSOLE {
                self.said.pop_front();
            }
            self.said.push_back(line.clone());
            if let Some((_, rest)) = line.split_once(words) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    /// Types a line at its serial console.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub fn types(&mut self, line: &str) -> Result<()> {
        self.keys.write_all(line.as_bytes())?;
        self.keys.write_all(b"\r")?;
        Ok(self.keys.flush()?)
    }

    /// Calls its API by HTTPS as curl with these arguments does, at a path below `/api/v1`; the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn call(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let output = self.curl(path, arguments).output()?;
        ensure!(
            output.status.success(),
            "curl: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The command that calls its API so.
    pub fn curl(&self, path: &str, arguments: &[&str]) -> Command {
        let url = format!("https://127.0.0.1:{}/api/v1{path}", self.port);
        let mut curl = Command::new("curl");
        curl.args(["--insecure", "--silent", "--show-error", "--max-time", "60"]);
        curl.args(arguments).arg(url);
        curl
    }

    /// What this machine would be if its power went now, with a disk of its own in `folder`: a disk that has what the emulator has written
    /// is what a cut leaves.
    ///
    /// # Errors
    /// When the disk cannot be copied.
    pub fn left_by_a_power_cut(&self, machine: &Appliance, folder: &Path) -> Result<Appliance> {
        fs::create_dir_all(folder)?;
        let disk = folder.join("disk.img");
        let emulator = Pid::from_raw(self.emulator.id().try_into()?);
        kill(emulator, Signal::SIGSTOP)?;
        waitpid(emulator, Some(WaitPidFlag::WUNTRACED))?;
        let copied = copy_sparse(&machine.disk, &disk);
        kill(emulator, Signal::SIGCONT)?;
        copied?;
        Ok(Appliance {
            disk,
            ..machine.clone()
        })
    }

    /// Cuts its power.
    ///
    /// # Errors
    /// When the emulator was gone already.
    pub fn cut_power(mut self) -> Result<()> {
        self.emulator.kill()?;
        self.emulator.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_gone = self.emulator.kill();
        let _reaped = self.emulator.wait();
    }
}
