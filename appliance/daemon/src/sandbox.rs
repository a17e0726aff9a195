//! What the process may still reach once it runs: few files, and no system call that it never needs.
//!
//! Both protections are inherited by `nft`, the one program that the daemon starts.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use nix::libc;
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use thiserror::Error;

/// The sandbox could not be put up.
#[derive(Debug, Error)]
pub(crate) enum SandboxError {
    /// Landlock refused the rules.
    #[error("landlock: {0}")]
    Files(#[from] RulesetError),
    /// The filter of system calls could not be made.
    #[error("seccomp: {0}")]
    Calls(#[from] BackendError),
    /// The kernel refused the filter.
    #[error("seccomp: {0}")]
    Filter(#[from] seccompiler::Error),
}

/// The files that the configuration names.
pub(crate) struct Reach<'a> {
    /// Read at start and on SIGHUP: the document's folder, and the secrets.
    pub(crate) read: &'a [&'a Path],
    /// Where the control socket lives.
    pub(crate) write: &'a [&'a Path],
}

/// What `nft` and the C library need, and /proc for the names of those who hold a port. Resolver configuration is often
/// a link from /etc to what writes it.
const READ: [&str; 10] = [
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/connman",
];
const WRITE: [&str; 2] = ["/proc", "/dev"];

/// System calls that no gateway makes: each one is a way out of a broken process.
const FORBIDDEN: [i64; 24] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Confines the calling thread and every thread and program that it starts from now on.
///
/// Returns what the kernel could not enforce, in words for the log; empty when all of it holds.
pub(crate) fn enter(reach: &Reach) -> Result<String, SandboxError> {
    let status = confine_files(reach)?;
    apply_filter(&refuse_calls()?)?;
    Ok(match status {
        RulesetStatus::FullyEnforced => String::new(),
        RulesetStatus::PartiallyEnforced => "this kernel enforces only part of the landlock rules".into(),
        RulesetStatus::NotEnforced => "this kernel has no landlock: files are not confined".into(),
    })
}

fn confine_files(reach: &Reach) -> Result<RulesetStatus, SandboxError> {
    let abi = ABI::V3;
    let read = AccessFs::from_read(abi);
    let write = read | AccessFs::WriteFile | AccessFs::Truncate;
    let make = AccessFs::from_all(abi);
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?;
    rules = allow(rules, READ.iter().map(Path::new), read)?;
    rules = allow(rules, reach.read.iter().copied(), read)?;
    rules = allow(rules, WRITE.iter().map(Path::new), write)?;
    rules = allow(rules, reach.write.iter().copied(), make)?;
    Ok(rules.restrict_self()?.ruleset)
}

/// A path that is not there gives nothing away, so it is left out.
fn allow<'a>(
    rules: RulesetCreated,
    paths: impl Iterator<Item = &'a Path>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    paths
        .filter_map(|path| Some((PathFd::new(path).ok()?, access & allowed_on(path))))
        .try_fold(rules, |rules, (file, access)| {
            rules.add_rule(PathBeneath::new(file, access))
        })
}

/// Rights that make sense on a folder only are refused on a file.
fn allowed_on(path: &Path) -> BitFlags<AccessFs> {
    if path.is_dir() {
        BitFlags::all()
    } else {
        AccessFs::from_file(ABI::V3)
    }
}

fn refuse_calls() -> Result<BpfProgram, BackendError> {
    let rules: BTreeMap<_, _> = FORBIDDEN.into_iter().map(|call| (call, Vec::new())).collect();
    let refusal = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, TargetArch::x86_64)?.try_into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::ToSocketAddrs;

    use nix::errno::Errno;
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    /// Both protections belong to the thread that enters, so each test enters in a thread of its own.
    fn confined<T: Send>(reach: &Reach, look: impl FnOnce() -> T + Send) -> T {
        let (read, write) = (reach.read, reach.write);
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    nix::sys::prctl::set_no_new_privs().unwrap();
                    assert_eq!(enter(&Reach { read, write }).unwrap(), "");
                    look()
                })
                .join()
                .unwrap()
        })
    }

    #[test]
    fn files_outside_are_out_of_reach() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&inside, &outside] {
            fs::write(folder.path().join("note"), "text").unwrap();
        }
        let (near, far) = (inside.path().join("note"), outside.path().join("note"));
        let (read, changed, left) = confined(
            &Reach {
                read: &[inside.path()],
                write: &[],
            },
            || {
                (
                    fs::read_to_string(&near),
                    fs::write(&near, "new"),
                    fs::read_to_string(&far),
                )
            },
        );
        assert_eq!(read.unwrap(), "text");
        assert_eq!(changed.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(left.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn the_runtime_folder_takes_new_files() {
        let runtime = tempfile::tempdir().unwrap();
        let file = runtime.path().join("control.sock");
        let made = confined(
            &Reach {
                read: &[],
                write: &[runtime.path()],
            },
            || {
                std::os::unix::net::UnixListener::bind(&file)
                    .map(drop)
                    .and_then(|()| fs::remove_file(&file))
            },
        );
        made.unwrap();
    }

    #[test]
    fn a_new_namespace_is_refused() {
        let refused = confined(
            &Reach {
                read: &[],
                write: &[],
            },
            || unshare(CloneFlags::CLONE_NEWUTS),
        );
        assert_eq!(refused, Err(Errno::EPERM));
    }

    /// By all the modules that nsswitch.conf names.
    #[test]
    fn names_are_still_looked_up() {
        let reach = Reach {
            read: &[],
            write: &[],
        };
        let look = || ("localhost", 0).to_socket_addrs().map(Iterator::count);
        assert!(confined(&reach, look).unwrap() > 0);
    }

    #[test]
    fn nft_still_starts() {
        let output = confined(
            &Reach {
                read: &[],
                write: &[],
            },
            || {
                std::process::Command::new("/usr/sbin/nft")
                    .arg("--version")
                    .output()
            },
        );
        assert!(output.unwrap().status.success());
    }
}
