import {
  choiceField,
  flagField,
  intField,
  intList,
  message,
  messageField,
  messageList,
  optionalField,
  textField,
  textList,
} from './codec.ts';
import { NET_MODE, type NetMode, SECURITY_MODE, type SecurityMode } from './enums.ts';
import { MOUNT, type Mount } from './mount.ts';

/** pb.ExecOp: runs a process. Its root file system is the mount at `/`. */
export interface ExecOp {
  readonly meta: ExecMeta;
  readonly mounts: readonly Mount[];
  readonly network: NetMode;
  readonly security: SecurityMode;
  /** Secrets in variables of the environment. */
  readonly secretenv?: readonly SecretEnv[];
  readonly cdiDevices?: readonly CdiDevice[];
}

/** pb.Meta */
export interface ExecMeta {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user?: string;
  readonly proxyEnv?: ProxyEnv;
  readonly extraHosts?: readonly HostIp[];
  readonly hostname?: string;
  readonly ulimit?: readonly Ulimit[];
  readonly cgroupParent?: string;
  readonly removeMountStubsRecursive?: boolean;
  readonly validExitCodes?: readonly number[];
}

/** pb.SecretEnv */
interface SecretEnv {
  readonly id: string;
  readonly name: string;
  readonly optional: boolean;
}
export const SECRET_ENV = message<SecretEnv>({
  id: textField(1, 'ID'),
  name: textField(2),
  optional: flagField(3),
});

/** pb.CDIDevice */
interface CdiDevice {
  readonly name: string;
  readonly optional: boolean;
}
const CDI_DEVICE = message<CdiDevice>({ name: textField(1), optional: flagField(2) });

/** pb.HostIP */
interface HostIp {
  readonly host: string;
  readonly ip: string;
}
export const HOST_IP = message<HostIp>({ host: textField(1, 'Host'), ip: textField(2, 'IP') });

/** pb.Ulimit */
interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}
const ULIMIT = message<Ulimit>({
  name: textField(1, 'Name'),
  soft: intField(2, 'Soft'),
  hard: intField(3, 'Hard'),
});

/** pb.ProxyEnv */
export interface ProxyEnv {
  readonly httpProxy?: string;
  readonly httpsProxy?: string;
  readonly ftpProxy?: string;
  readonly noProxy?: string;
  readonly allProxy?: string;
}
const PROXY_ENV = message<ProxyEnv>({
  httpProxy: optionalField(textField(1)),
  httpsProxy: optionalField(textField(2)),
  ftpProxy: optionalField(textField(3)),
  noProxy: optionalField(textField(4)),
  allProxy: optionalField(textField(5)),
});

export const META = message<ExecMeta>({
  args: textList(1),
  env: textList(2),
  cwd: textField(3),
  user: optionalField(textField(4)),
  proxyEnv: optionalField(messageField(5, PROXY_ENV)),
  extraHosts: optionalField(messageList(6, HOST_IP)),
  hostname: optionalField(textField(7)),
  ulimit: optionalField(messageList(9, ULIMIT)),
  cgroupParent: optionalField(textField(10)),
  removeMountStubsRecursive: optionalField(flagField(11)),
  validExitCodes: optionalField(intList(12)),
});

export const EXEC_OP = message<ExecOp>({
  meta: messageField(1, META),
  mounts: messageList(2, MOUNT),
  network: choiceField(3, NET_MODE),
  security: choiceField(4, SECURITY_MODE),
  secretenv: optionalField(messageList(5, SECRET_ENV)),
  cdiDevices: optionalField(messageList(6, CDI_DEVICE)),
});
