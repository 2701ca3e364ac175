import { openLibrary } from '../snapshotter/sys/native.ts';
import type { SeccompArg, SeccompProfile, SeccompRule } from './seccomp.ts';

export const LIBSECCOMP = 'libseccomp.so.2';

/**
 * Compiles a seccomp profile to the BPF program that the kernel takes. The host's libseccomp does
 * it, as it would for the runtime, but only once and as a binary tree. crun 1.8 compiles the
 * profile again for every process, which takes 20 ms for three architectures (2-core VM, 2026-11).
 */

const ACT_ALLOW = 0x7fff0000;
const ACT_ERRNO = 0x00050000;
const ATTR_OPTIMIZE = 8;
const OPTIMIZE_TREE = 2;
const UNKNOWN_SYSCALL = -1;
const EEXIST = -17;
/** sizeof(struct scmp_arg_cmp): unsigned arg, enum op, uint64 datum_a, uint64 datum_b. */
const ARG_SIZE = 24;
const OPERATORS: Readonly<Record<SeccompArg['op'], number>> = {
  SCMP_CMP_EQ: 4,
  SCMP_CMP_MASKED_EQ: 7,
};

/**
 * Writes the program for `profile` to the open file `fd`. Returns false when this host's libseccomp
 * cannot be loaded or refuses a rule. The runtime then gets the profile itself.
 */
export function compileSeccomp(profile: SeccompProfile, fd: number): boolean {
  const library = loadSeccomp();
  const context = library?.init(ACT_ERRNO | profile.defaultErrnoRet);
  if (!library || !context) return false;
  try {
    return (
      library.attrSet(context, ATTR_OPTIMIZE, OPTIMIZE_TREE) === 0 &&
      chooseArchitectures(library, context, profile.architectures) &&
      profile.syscalls.every((rule) => addRule(library, context, rule)) &&
      library.exportBpf(context, fd) === 0
    );
  } finally {
    library.release(context);
  }
}

/**
 * Gives the context exactly the architectures of the profile. Every new context has the host's own,
 * which a profile for another processor lacks.
 */
function chooseArchitectures(
  library: Seccomp,
  context: Pointer,
  names: readonly string[],
): boolean {
  const tokens = names.map((name) =>
    library.archResolve(name.replace('SCMP_ARCH_', '').toLowerCase()),
  );
  const native = library.archNative();
  // This comes before the others are added, because a context cannot hold architectures of both
  // byte orders.
  if (!tokens.includes(native) && library.archRemove(context, native) !== 0) return false;
  return tokens.every((token) => {
    if (token === 0) return false;
    const status = library.archAdd(context, token);
    return status === 0 || status === EEXIST;
  });
}

function addRule(library: Seccomp, context: Pointer, rule: SeccompRule): boolean {
  const action = rule.action === 'SCMP_ACT_ALLOW' ? ACT_ALLOW : ACT_ERRNO | (rule.errnoRet ?? 1);
  const args = rule.args ?? [];
  const packed = Buffer.alloc(ARG_SIZE * args.length);
  for (const [at, arg] of args.entries()) {
    packed.writeUInt32LE(arg.index, at * ARG_SIZE);
    packed.writeUInt32LE(OPERATORS[arg.op], at * ARG_SIZE + 4);
    packed.writeBigUInt64LE(BigInt(arg.value), at * ARG_SIZE + 8);
    packed.writeBigUInt64LE(BigInt(arg.valueTwo ?? 0), at * ARG_SIZE + 16);
  }
  return rule.names.every((name) => {
    const syscall = library.syscallResolve(name);
    return (
      syscall === UNKNOWN_SYSCALL ||
      library.ruleAdd(context, action, syscall, args.length, packed) === 0
    );
  });
}

/** An address. The prototypes below pass pointers as integers. */
type Pointer = number | bigint;

/** The functions of libseccomp without the prefix `seccomp_` (seccomp_init(3) and others). */
interface Seccomp {
  init(action: number): Pointer;
  release(context: Pointer): unknown;
  attrSet(context: Pointer, attribute: number, value: number): unknown;
  archResolve(name: string): number;
  archNative(): number;
  archAdd(context: Pointer, token: number): number;
  archRemove(context: Pointer, token: number): number;
  syscallResolve(name: string): number;
  ruleAdd(context: Pointer, action: number, syscall: number, count: number, args: Buffer): unknown;
  exportBpf(context: Pointer, fd: number): unknown;
}

function loadSeccomp(): Seccomp | undefined {
  const so = openLibrary(LIBSECCOMP);
  if (!so) return undefined;
  const archResolve = so.func('uint32_t seccomp_arch_resolve_name(const char *)');
  const archNative = so.func('uint32_t seccomp_arch_native()');
  const archRemove = so.func('int seccomp_arch_remove(uint64_t, uint32_t)');
  const archAdd = so.func('int seccomp_arch_add(uint64_t, uint32_t)');
  const syscallResolve = so.func('int seccomp_syscall_resolve_name(const char *)');
  const ruleAdd = so.func(
    'int seccomp_rule_add_array(uint64_t, uint32_t, int, uint32_t, const void *)',
  );
  return {
    init: so.func('uint64_t seccomp_init(uint32_t)'),
    release: so.func('void seccomp_release(uint64_t)'),
    attrSet: so.func('int seccomp_attr_set(uint64_t, int, uint32_t)'),
    archResolve: (name) => Number(archResolve(name)),
    archNative: () => Number(archNative()),
    archRemove: (context, token) => Number(archRemove(context, token)),
    archAdd: (context, token) => Number(archAdd(context, token)),
    syscallResolve: (name) => Number(syscallResolve(name)),
    ruleAdd: (context, action, syscall, count, args) =>
      ruleAdd(context, action, syscall, count, count === 0 ? null : args),
    exportBpf: so.func('int seccomp_export_bpf(uint64_t, int)'),
  };
}
