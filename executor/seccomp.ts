import { arch } from 'node:os';

/** `linux.seccomp` of the OCI runtime specification (config-linux.md, section Seccomp). */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArg[];
}

export interface SeccompArg {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ';
}

const EPERM = 1;
const ENOSYS = 38;
const INT = 0xffffffff;
/**
 * Address families as (mask, value) of an int: those from `value` on that differ only in the bits
 * below the mask.
 */
const FAMILIES: readonly (readonly [mask: number, value: number])[] = [
  [INT - 31, 0],
  [INT - 3, 32],
  [INT - 1, 36],
  // 38 is left out: AF_ALG.
  [INT, 39],
  // 40 is left out: AF_VSOCK.
  [INT, 41],
  [INT - 1, 42],
  [INT - 3, 44],
  [INT - 15, 48],
];
/**
 * The CLONE_NEW* flags, each of which makes a namespace. CLONE_NEWTIME is missing: it overlaps the
 * exit signal, and clone(2) cannot take it.
 */
const CLONE_NAMESPACES = 0x7e020000;

/**
 * libseccomp's names for each of Node's names of a CPU, the native one first. The same kernel runs
 * programs of the others.
 */
const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  s390x: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
  riscv64: ['SCMP_ARCH_RISCV64'],
  loong64: ['SCMP_ARCH_LOONGARCH64'],
  ppc64: ['SCMP_ARCH_PPC64LE'],
};

/**
 * System calls that any process may make, as in Docker's default profile. The runtime skips names
 * that its libseccomp does not know.
 */
const ALLOWED = `
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64
fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid
geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list
getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy
io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill
landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link
linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat
lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod
mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv
msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat
openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv
process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam
sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64
sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area
set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack
signalfd signalfd4 sigprocmask sigreturn splice stat stat64 statfs statfs64 statmount statx symlink
symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork
vmsplice wait4 waitid waitpid write writev
`;

const BY_ARCHITECTURE: Readonly<Record<string, string>> = {
  x64: 'arch_prctl modify_ldt',
  arm64: 'arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls',
  s390x: 's390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr',
  riscv64: 'riscv_flush_icache',
  ppc64: 'sync_file_range2 swapcontext',
};

/** The system calls that each capability adds. */
const BY_CAPABILITY: Readonly<Record<string, string>> = {
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_SYS_ADMIN:
    'bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount ' +
    'mount_setattr move_mount open_tree ' +
    'perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount ' +
    'umount2 unshare',
  CAP_SYS_BOOT: 'reboot',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_MODULE: 'delete_module init_module finit_module',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd process_madvise',
  CAP_SYS_RAWIO: 'iopl ioperm',
  CAP_SYS_TIME: 'settimeofday stime clock_settime clock_settime64',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  CAP_SYSLOG: 'syslog',
  CAP_BPF: 'bpf',
  CAP_PERFMON: 'perf_event_open',
};

/**
 * Docker's default seccomp profile for a process with `capabilities` on this CPU. Every call that
 * is not listed fails with EPERM. Undefined on a CPU that libseccomp has no name for. `socketRules`
 * says how it differs from Docker 28.
 */
export function defaultSeccomp(
  capabilities: readonly string[],
  cpu: string = arch(),
): SeccompProfile | undefined {
  const architectures = ARCHITECTURES[cpu];
  if (!architectures) return undefined;
  const names = words(ALLOWED).concat(words(BY_ARCHITECTURE[cpu] ?? ''));
  for (const capability of capabilities) names.push(...words(BY_CAPABILITY[capability] ?? ''));
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures,
    syscalls: [
      // This rule comes before those of sockets: for each of them libseccomp would allow the same
      // call through socketcall.
      notImplemented('socketcall'),
      { names: [...new Set(names)], action: 'SCMP_ACT_ALLOW' },
      ...socketRules(),
      ...personalityRules(),
      ...cloneRules(capabilities, cpu),
    ],
  };
}

/**
 * Allows sockets of every address family except two. AF_ALG has had holes that let a process leave
 * its container (CVE-2026-31431). AF_VSOCK talks to the hypervisor and belongs to no network
 * namespace. Later releases of Docker do the same, with two differences:
 *
 * - The kernel takes the family as an int, but a filter sees the whole register. A comparison of 64
 *   bits would allow 2^32 + 38, which is AF_ALG, so only the lower half is compared.
 * - socketpair(2) is filtered too: the kernel makes sockets of any family before it finds that they
 *   cannot be a pair.
 *
 * socketcall(2) of 32-bit programs reads the family from memory, which a filter cannot see. Every
 * such call fails with "not implemented". C libraries since 2016 then call socket(2) and its
 * relatives instead.
 */
function socketRules(): readonly SeccompRule[] {
  return ['socket', 'socketpair'].flatMap((name) =>
    FAMILIES.map(([mask, family]) =>
      allow(name, { index: 0, op: 'SCMP_CMP_MASKED_EQ', value: mask, valueTwo: family }),
    ),
  );
}

/** PER_LINUX and PER_LINUX32, each with and without UNAME26, and the query of the current value. */
function personalityRules(): readonly SeccompRule[] {
  return [0, 0x8, 0x20000, 0x20008, 0xffffffff].map((value) =>
    allow('personality', { index: 0, op: 'SCMP_CMP_EQ', value }),
  );
}

/**
 * Without CAP_SYS_ADMIN, clone(2) may not make a namespace. clone3(2) fails with "not implemented",
 * because its flags are behind a pointer.
 */
function cloneRules(capabilities: readonly string[], cpu: string): readonly SeccompRule[] {
  if (capabilities.includes('CAP_SYS_ADMIN')) return [];
  const flags = cpu === 's390x' ? 1 : 0;
  return [
    allow('clone', {
      index: flags,
      op: 'SCMP_CMP_MASKED_EQ',
      value: CLONE_NAMESPACES,
      valueTwo: 0,
    }),
    notImplemented('clone3'),
  ];
}

/** Uses another errno than the default: runc leaves out rules that repeat the default. */
function notImplemented(name: string): SeccompRule {
  return { names: [name], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS };
}

function allow(name: string, arg: SeccompArg): SeccompRule {
  return { names: [name], action: 'SCMP_ACT_ALLOW', args: [arg] };
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
