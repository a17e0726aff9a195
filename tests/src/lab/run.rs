//! One run of the lab: a name nobody else has, a folder, and a reaper that outlives it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{SigSet, Signal};

/// Waits until its standard input closes, which it does however the run ends, and removes what bears the name.
/// A folder named by the second argument is removed too.
const REAPER: &str = r#"
trap "" INT TERM HUP
cat >/dev/null
for path in /run/netns/"$1"-*; do
    [ -e "$path" ] || continue
    name=${path##*/}
    for pid in $(ip netns pids "$name"); do kill -9 "$pid" 2>/dev/null; done
    ip netns del "$name"
done
[ -z "$2" ] || rm -rf "$2"
"#;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// One run of the lab. Dropping it, or the death of this process, removes all that was made under its name.
pub struct Run {
    name: String,
    folder: PathBuf,
    reaper: Child,
}

impl Run {
    /// Starts a run, after removing what dead runs left behind.
    ///
    /// # Errors
    /// Without root privileges, or when the folder or the reaper cannot be made.
    pub fn new() -> Result<Self> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "the lab makes network namespaces: run it as root"
        );
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            remove_leftovers()?;
        }
        let name = format!("cw{}-{number}", std::process::id());
        let folder = PathBuf::from("/run").join(&name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let reaper = reaper(&name, &folder)?;
        Ok(Self { name, folder, reaper })
    }

    /// The prefix of everything this run makes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A folder for configurations, sockets and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps the logs of a failed test readable after the folder is gone.
    pub fn print_logs(&self) {
        let logs = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        for log in logs.filter(|path| path.extension().is_some_and(|e| e == "log")) {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines
                .get(lines.len().saturating_sub(60)..)
                .unwrap_or_default()
                .join("\n");
            eprintln!("--- {} (its end)\n{tail}", log.display());
        }
    }
}

/// Waits until somebody asks this process to end. Only the calling thread may be running.
///
/// # Errors
/// When signals cannot be waited for.
pub fn wait_for_interrupt() -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals.thread_block()?;
    signals.wait()?;
    Ok(())
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        drop(self.reaper.stdin.take());
        let _gone = self.reaper.wait();
    }
}

fn reaper(name: &str, folder: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command
        .args(["-c", REAPER, "reaper", name])
        .arg(folder)
        .stdin(Stdio::piped())
        .process_group(0);
    command.spawn().context("starting the reaper")
}

/// Removes what belongs to processes that are no more.
fn remove_leftovers() -> Result<()> {
    for folder in ["/run/netns", "/run"] {
        let names = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.filter_map(|name| dead_run(&name)) {
            let mut reaper = reaper(&name, &Path::new("/run").join(&name))?;
            drop(reaper.stdin.take());
            reaper.wait()?;
        }
    }
    Ok(())
}

/// The run that a name belongs to, when its process is gone.
fn dead_run(name: &str) -> Option<String> {
    let (pid, rest) = name.strip_prefix("cw")?.split_once('-')?;
    let number = rest.split('-').next()?;
    let (pid, number): (u32, u32) = (pid.parse().ok()?, number.parse().ok()?);
    let dead = !Path::new("/proc").join(pid.to_string()).exists();
    dead.then(|| format!("cw{pid}-{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_dead_runs_are_swept() {
        assert_eq!(dead_run("cw4194305-3-gw-a").as_deref(), Some("cw4194305-3"));
        assert_eq!(dead_run(&format!("cw{}-0-gw-a", std::process::id())), None);
        assert_eq!(dead_run("cwx-0-gw-a"), None);
        assert_eq!(dead_run("other"), None);
    }
}
