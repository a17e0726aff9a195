//! A throw-away machine on the kernel we ship: this machine's files, read-only, under memory that takes what is written.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::kernel::{Kernel, pack};

const INIT: &str = include_str!("vm-init.sh");
/// Lines of the machine's console kept for the case that it ends without a result.
const CONSOLE: usize = 40;

/// Runs a shell script as root in a new machine, in the present folder; each line it prints goes to `line`.
/// The answer is its exit status.
///
/// # Errors
/// When the machine does not start, ends without a result, or runs longer than `limit`.
pub fn run(script: &str, limit: Duration, mut line: impl FnMut(&str)) -> Result<i32> {
    let kernel = Kernel::newest()?;
    let work = tempfile::tempdir()?;
    let initrd = work.path().join("initrd");
    let own = work.path().join("own");
    fs::create_dir(&own)?;
    let place = std::env::current_dir()?;
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
    let mut whole = File::create(&initrd)?;
    whole.write_all(&fs::read(kernel.archive(INIT)?)?)?;
    whole.write_all(&fs::read(work.path().join("own.cpio"))?)?;
    drop(whole);
    let mut machine = Machine(boot(&kernel, &initrd).spawn().context("starting qemu")?);
    let lines = machine.console()?;
    follow(&lines, Instant::now() + limit, &mut line)
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

/// A running emulator, ended when dropped.
struct Machine(Child);

impl Machine {
    fn console(&mut self) -> Result<Receiver<String>> {
        let output = self.0.stdout.take().context("qemu without output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Ok(lines)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Passes on what the script prints until it ends.
fn follow(lines: &Receiver<String>, end: Instant, line: &mut impl FnMut(&str)) -> Result<i32> {
    let (mut up, mut console) = (false, Vec::new());
    loop {
        let text = match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(text) => text,
            Err(RecvTimeoutError::Timeout) => bail!("the machine was stopped: its time was over"),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the machine ended without a result:\n{}", console.join("\n"))
            }
        };
        if let Some(status) = text.strip_prefix("VM-EXIT ") {
            return status.trim().parse().context("an exit status");
        }
        if up {
            line(&text);
        }
        up |= text == "VM-UP";
        console.push(text);
        if console.len() > CONSOLE {
            console.remove(0);
        }
    }
}

fn boot(kernel: &Kernel, initrd: &Path) -> Command {
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
        "-m",
        "1536",
    ]);
    // Emulated even where there is /dev/kvm: not every such device runs a stock kernel (that of PVM does not), and a
    // test should mean the same everywhere. QEMU 7.2 emulates cmpxchg16b wrongly now and then, which crashes the guest. So
    // does, with several processors, that one runs code while another patches it: the kernel does that whenever a static
    // key changes, and the first hook of nftables is one. Hence a single processor.
    qemu.args(["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,cx16=off"]);
    qemu.args([
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-serial",
        "stdio",
    ]);
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
    qemu.args([
        "-object",
        "rng-random,id=rng,filename=/dev/urandom",
        "-device",
        "virtio-rng-pci,rng=rng",
    ]);
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
