//! What the process gives up before it begins: whatever breaks into it finds little that it may do.
//!
//! All of this is a matter of threads, and passes to those that are begun later and to programs that are started for
//! credentials. So it is done first of all, while there is one thread.
//!
//! - New privileges: none, not by a set-user-id program either.
//! - Capabilities: all but the two that are of use later. `NET_BIND_SERVICE` is, as further data threads and reloads bind
//!   ports, unless the system lets everybody have those below 1024; `DAC_READ_SEARCH` is what lets root read the files of others, which
//!   a Corefile may name.
//! - Files (Landlock): none is written, made or removed, but in the folders that the command line names. Any may be read, since a
//!   reload may name any.
//! - System calls (seccomp): those are refused that a server has no use for and that break out of containers. It is a list of
//!   what is denied and not of what is allowed, and refuses with EPERM and does not kill: a new C library or a program for
//!   credentials may want a call that nobody has thought of, and a cluster without DNS costs more than that one is worth.
//!
//! What the kernel does not have is left out, and said at level `debug`.

#![expect(unsafe_code, reason = "seccomp and the flag for no new privileges have no safe interface")]

use std::fmt::Display;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
};

/// What could not be given up, in words for the log; empty when all was.
pub(crate) type Shortfall = Vec<String>;

/// Gives up what the process has no use for. Files may be written in these folders alone.
pub(crate) fn enter(writable: &[PathBuf]) -> Shortfall {
    let mut short = Shortfall::new();
    let mut lack = |what: &str, done: Result<(), String>| {
        if let Err(why) = done {
            short.push(format!("{what}: {why}"));
        }
    };
    lack("no new privileges", no_new_privileges());
    lack("capabilities", drop_capabilities());
    lack("Landlock", restrict_files(writable));
    lack("seccomp", restrict_calls());
    short
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn no_new_privileges() -> Result<(), String> {
    // SAFETY: takes numbers alone.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(text(std::io::Error::last_os_error())),
    }
}

fn drop_capabilities() -> Result<(), String> {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    let mut useful = CapsHashSet::from([Capability::CAP_DAC_READ_SEARCH]);
    if first.trim() != "0" {
        useful.insert(Capability::CAP_NET_BIND_SERVICE);
    }
    for capability in caps::all().difference(&useful) {
        // It takes a capability of its own; without that, no new privileges says the same.
        let _ = caps::drop(None, CapSet::Bounding, *capability);
    }
    let held = caps::read(None, CapSet::Permitted).map_err(text)?;
    let kept: CapsHashSet = held.intersection(&useful).copied().collect();
    // A set that is not there is an old kernel's, and empty.
    let _ = caps::clear(None, CapSet::Ambient);
    caps::clear(None, CapSet::Inheritable).map_err(text)?;
    caps::set(None, CapSet::Effective, &kept).map_err(text)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(text)
}

fn restrict_files(writable: &[PathBuf]) -> Result<(), String> {
    let writes = AccessFs::from_write(ABI::V5);
    let folders = writable.iter().map(|folder| existing(folder)).chain(["/dev/null".into()]);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writes)
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(folders, writes)))
        .and_then(|ruleset| ruleset.restrict_self())
        .map_err(text)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel does not have it".to_owned()),
        _ => Ok(()),
    }
}

/// The folder, or the first above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let found = here.ancestors().find(|folder| folder.exists() || folder.as_os_str().is_empty());
    match found {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => ".".into(),
    }
}

//----------- System calls ----------------------------------------------------------

/// The calls that are refused.
const DENIED: &[libc::c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    // The kernel and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    libc::SYS_personality,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    // What exploits of kernels are made of.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Flags of `clone` by which a process gets namespaces of its own.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

#[cfg(target_arch = "x86_64")]
const MACHINE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const MACHINE: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: Option<u32> = None;

/// The places of a call's number, machine and first argument (its low half) in what a filter sees.
const NUMBER: u32 = 0;
const MACHINE_AT: u32 = 4;
const FIRST: u32 = 16;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const ANY_OF: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The filter. By hand: `seccompiler` 0.5 kills whoever calls from another machine's mode, and lets the second numbering of
/// calls of x86-64 (x32) past a list of what is denied.
///
/// A kernel since 5.11 knows of most calls without running it that it lets them pass, those of the data path among them.
fn filter(machine: u32) -> Vec<libc::sock_filter> {
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let refuse = |errno: i32| step(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0);
    let mut filter = vec![
        step(LOAD, MACHINE_AT, 0, 0),
        step(EQUAL, machine, 1, 0),
        refuse(libc::EPERM),
        step(LOAD, NUMBER, 0, 0),
        step(AT_LEAST, 0x4000_0000, 0, 1),
        refuse(libc::EPERM),
        // Its flags lie in memory, where no filter can look: the C library takes `clone` then.
        step(EQUAL, libc::SYS_clone3 as u32, 0, 1),
        refuse(libc::ENOSYS),
    ];
    for call in DENIED {
        filter.extend([step(EQUAL, *call as u32, 0, 1), refuse(libc::EPERM)]);
    }
    filter.extend([
        step(EQUAL, libc::SYS_clone as u32, 0, 3),
        step(LOAD, FIRST, 0, 0),
        step(ANY_OF, NAMESPACES as u32, 0, 1),
        refuse(libc::EPERM),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]);
    filter
}

fn restrict_calls() -> Result<(), String> {
    let machine = MACHINE.ok_or("not for this processor")?;
    let mut filter = filter(machine);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // Without this flag an older kernel guards whoever has a filter against its own speculation, at a cost for all it does.
    let fast = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let mut done = -1;
    for flags in [fast, 0] {
        // SAFETY: the program and its instructions are borrowed for the call.
        done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        if done == 0 {
            break;
        }
    }
    if done == 0 { Ok(()) } else { Err(text(std::io::Error::last_os_error())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter makes of a call.
    fn verdict(filter: &[libc::sock_filter], machine: u32, number: u32, first: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = filter[at];
            at += 1;
            let holds = match u32::from(step.code) {
                LOAD => {
                    value = [(NUMBER, number), (MACHINE_AT, machine), (FIRST, first)]
                        .into_iter()
                        .find(|w| w.0 == step.k)
                        .unwrap()
                        .1;
                    continue;
                }
                RETURN => return step.k,
                EQUAL => value == step.k,
                AT_LEAST => value >= step.k,
                ANY_OF => value & step.k != 0,
                other => panic!("no such step: {other}"),
            };
            at += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    #[test]
    fn what_is_denied_is_refused_and_the_rest_passes() {
        let machine = MACHINE.unwrap();
        let filter = filter(machine);
        let of = |call: libc::c_long, first: i32| verdict(&filter, machine, call as u32, first as u32);
        let (allowed, refused) = (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        for call in DENIED {
            assert_eq!(of(*call, 0), refused, "{call}");
        }
        for call in [
            libc::SYS_recvmmsg,
            libc::SYS_sendmmsg,
            libc::SYS_execve,
            libc::SYS_openat,
            libc::SYS_futex,
            libc::SYS_bind,
            0,
        ] {
            assert_eq!(of(call, -1), allowed, "{call}");
        }
        let thread = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND;
        assert_eq!(
            (of(libc::SYS_clone, thread), of(libc::SYS_clone, thread | libc::CLONE_NEWUSER)),
            (allowed, refused)
        );
        assert_eq!(of(libc::SYS_clone3, 0), libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
        assert_eq!(verdict(&filter, machine, 0x4000_0000 | libc::SYS_ptrace as u32, 0), refused);
        assert_eq!(verdict(&filter, machine ^ 1, libc::SYS_openat as u32, 0), refused);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_stands_for_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("a/b")), folder.path());
        assert_eq!((existing(Path::new("")), existing(Path::new("no-such/folder"))), (".".into(), ".".into()));
    }
}
