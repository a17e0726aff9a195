//! A throw-away machine on the kernel we ship: this machine's files, read-only, under memory that takes what is written.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::disk::Disk;
use super::kernel::{Kernel, pack};

const INIT: &str = include_str!("vm-init.sh");
/// Folders that the machine has for itself, as `vm-init.sh` makes them: it sees nothing of this machine's.
const OWN: [&str; 2] = ["/run", "/tmp"];
/// Lines of the machine's console kept for the case that it ends without a result.
const CONSOLE: usize = 40;

/// Runs a shell script as root in a new machine, in the present folder; each line it prints goes to `line`.
/// The answer is its exit status.
///
/// # Errors
/// When the machine does not start, ends without a result, or runs longer than `limit`.
pub fn run(script: &str, limit: Duration, mut line: impl FnMut(&str)) -> Result<i32> {
    let end = Instant::now() + limit;
    let setup = Setup::new(script)?;
    let mut machine = setup.start()?;
    loop {
        match machine.listen(end)? {
            Said::Line(text) => line(&text),
            Said::Exit(status) => return Ok(status),
            Said::Gone(console) => bail!("the machine ended without a result:\n{console}"),
        }
    }
}

/// All that a machine starts from, as often as it is started.
pub struct Setup {
    kernel: Kernel,
    work: TempDir,
    disk: Option<PathBuf>,
}

impl Setup {
    /// A machine that runs a shell script as root in the present folder.
    ///
    /// # Errors
    /// When there is no kernel, or its first file system cannot be made.
    pub fn new(script: &str) -> Result<Self> {
        let kernel = Kernel::newest()?;
        let work = tempfile::tempdir()?;
        let own = work.path().join("own");
        fs::create_dir(&own)?;
        let place = std::env::current_dir()?;
        let hidden = OWN.iter().find(|folder| place.starts_with(folder));
        if let Some(folder) = hidden {
            let place = place.display();
            bail!("the machine has a {folder} of its own, and does not see {place}: clone to another place");
        }
        fs::write(
            own.join("cmd"),
            format!("cd {}\n{script}\n", quote(&place.to_string_lossy())),
        )?;
        let folder = quote(&kernel.folder.to_string_lossy());
        fs::write(
            own.join("vars"),
            format!("KERNEL={folder}\nVERSION={}\n", kernel.version),
        )?;
        pack(&own, &work.path().join("own.cpio"))?;
        let mut whole = File::create(work.path().join("initrd"))?;
        whole.write_all(&fs::read(kernel.archive(INIT)?)?)?;
        whole.write_all(&fs::read(work.path().join("own.cpio"))?)?;
        Ok(Self {
            kernel,
            work,
            disk: None,
        })
    }

    /// The same with this disk as `/dev/vda`.
    #[must_use]
    pub fn with_disk(self, disk: &Disk) -> Self {
        Self {
            disk: Some(disk.socket().to_owned()),
            ..self
        }
    }

    /// Switches a machine on.
    ///
    /// # Errors
    /// When the emulator does not start.
    pub fn start(&self) -> Result<Machine> {
        let mut qemu = boot(&self.kernel, &self.work.path().join("initrd"));
        if let Some(socket) = &self.disk {
            // A write-back cache: the guest flushes what is to last.
            let drive = format!("file=nbd:unix:{},format=raw,if=virtio", socket.display());
            qemu.args(["-drive", &drive]);
        }
        let emulator = qemu.spawn().context("starting qemu")?;
        Machine::new(emulator)
    }
}

/// Downloads the kernel if it is not there yet, so that several machines can be started at once.
///
/// # Errors
/// When it cannot be had.
pub fn fetch() -> Result<()> {
    Kernel::newest().map(drop)
}

/// One word for the shell, whatever it contains.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A running machine, switched off when dropped.
pub struct Machine {
    emulator: Child,
    lines: Receiver<String>,
    up: bool,
    console: VecDeque<String>,
}

/// What comes from a machine.
#[derive(Debug)]
pub enum Said {
    /// Its script printed a line.
    Line(String),
    /// Its script ended with this status.
    Exit(i32),
    /// It is off; the last lines of its console.
    Gone(String),
}

impl Machine {
    fn new(emulator: Child) -> Result<Self> {
        let (sender, lines) = channel();
        let mut machine = Self {
            emulator,
            lines,
            up: false,
            console: VecDeque::new(),
        };
        let output = machine.emulator.stdout.take().context("qemu without output")?;
        std::thread::spawn(move || {
            let (mut output, mut line) = (BufReader::new(output), Vec::new());
            // A line that the end of the machine cut off says nothing.
            while output.read_until(b'\n', &mut line).is_ok() && line.ends_with(b"\n") {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(machine)
    }

    /// Process id of the emulator.
    pub fn id(&self) -> u32 {
        self.emulator.id()
    }

    /// Waits for the next thing that it says.
    ///
    /// # Errors
    /// When it says nothing until `end`.
    pub fn listen(&mut self, end: Instant) -> Result<Said> {
        loop {
            let text = match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(text) => text,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the machine was stopped: its time was over:\n{}", self.console())
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(Said::Gone(self.console())),
            };
            if let Some(status) = text.strip_prefix("VM-EXIT ") {
                return Ok(Said::Exit(status.trim().parse().context("an exit status")?));
            }
            self.console.push_back(text.clone());
            if self.console.len() > CONSOLE {
                self.console.pop_front();
            }
            if self.up {
                return Ok(Said::Line(text));
            }
            self.up = text == "VM-UP";
        }
    }

    fn console(&self) -> String {
        self.console.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _already_gone = self.emulator.kill();
        let _reaped = self.emulator.wait();
    }
}

/// A machine with a single processor and this many MiB, that ends with us, and whose serial line is standard output.
pub(super) fn emulator(mib: u32) -> Command {
    let mut qemu = Command::new("setpriv");
    qemu.args([
        "--pdeathsig",
        "KILL",
        "--",
        "qemu-system-x86_64",
        "-M",
        "q35",
        "-smp",
        "1",
    ]);
    qemu.args(["-m", &mib.to_string()]);
    // Emulated even where there is /dev/kvm: not every such device runs a stock kernel (that of PVM does not), and a
    // test should mean the same everywhere. QEMU 7.2 emulates cmpxchg16b wrongly now and then, which crashes the guest. So
    // does, with several processors, that one runs code while another patches it: the kernel does that whenever a static
    // key changes, and the first hook of nftables is one. Hence a single processor.
    qemu.args(["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,cx16=off"]);
    qemu.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-serial",
        "stdio",
    ]);
    qemu.args(["-object", "rng-random,id=rng,filename=/dev/urandom"]);
    qemu.args(["-device", "virtio-rng-pci,rng=rng"]);
    qemu
}

fn boot(kernel: &Kernel, initrd: &Path) -> Command {
    let mut qemu = emulator(1536);
    qemu.arg("-no-reboot");
    qemu.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(initrd);
    qemu.args([
        "-append",
        "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr tsc=reliable",
    ]);
    qemu.args([
        "-fsdev",
        "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
    ]);
    qemu.args(["-device", "virtio-9p-pci,fsdev=root,mount_tag=root"]);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped());
    qemu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_survive_the_shell() {
        let word = "a 'b' $c \"d\" \\";
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("printf %s {}", quote(word)))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
    }
}
