/** What nftables is told for the namespaces of one process, and what it says about everybody else's rules. */

/**
 * The commands that make one process's table. `create` fails when the name is taken, which is how two processes never use one block.
 * Outgoing traffic is translated; steps reach neither each other nor come with another's address; nothing from outside reaches a step
 * but the answers to what it asked.
 */
export function tableCommands(table: string, subnet: string, interfaces: string): string {
  return [
    `create table ip ${table}`,
    `add chain ip ${table} outgoing { type nat hook postrouting priority 100 ; }`,
    `add rule ip ${table} outgoing ip saddr ${subnet} masquerade`,
    `add chain ip ${table} forwarded { type filter hook forward priority 0 ; }`,
    `add rule ip ${table} forwarded iifname "${interfaces}*" ip saddr != ${subnet} drop`,
    `add rule ip ${table} forwarded iifname "${interfaces}*" ip daddr ${subnet} drop`,
    `add rule ip ${table} forwarded ip daddr ${subnet} ct state established,related accept`,
    `add rule ip ${table} forwarded ip daddr ${subnet} drop`,
    'list chains',
    '',
  ].join('\n');
}

/**
 * The same for the tables of iptables before nftables, which `nft` does not show: `tables` is /proc/net/ip_tables_names, `rules` what
 * `iptables-legacy -S FORWARD` says of them (undefined where nobody can be asked).
 */
export function legacyObstacle(tables: string, rules: () => string | undefined): string | undefined {
  if (!/^filter$/m.test(tables)) return undefined;
  const text = rules();
  if (text === undefined) return 'the host has rules of iptables-legacy, and the program to read them is not there';
  return /^-P FORWARD (?!ACCEPT)/m.test(text) ? 'the chain FORWARD of iptables-legacy drops forwarded packets' : undefined;
}

/**
 * Why forwarded packets would not pass, from `nft list chains`, or undefined. A packet must be accepted by every chain on its way, so a
 * chain of somebody else whose policy is drop (Docker's, ufw's) cannot be overruled by ours.
 */
export function forwardObstacle(chains: string): string | undefined {
  let table = '';
  let chain = '';
  for (const line of chains.split('\n')) {
    table = /^table (.*) \{/.exec(line)?.[1] ?? table;
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (/^inet firewalld$/.test(table)) return 'firewalld decides about forwarded packets';
    if (/^ip6 /.test(table)) continue;
    if (/hook forward\b.*policy drop/.test(line))
      return `the chain ${chain} of the firewall table ${table} drops forwarded packets`;
  }
  return undefined;
}
