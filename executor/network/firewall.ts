/**
 * The nftables commands for the namespaces of one process, and how the rules of others are read.
 */

/**
 * The commands that make one process's table. `create` fails when the name is taken, so two
 * processes never use one block. Outgoing traffic is translated. Steps cannot reach each other or
 * use a foreign source address. From outside only replies reach a step.
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
 * The same for the older tables of iptables, which `nft` does not show. `tables` is
 * /proc/net/ip_tables_names. `rules` gives the output of `iptables-legacy -S FORWARD`, or undefined
 * where that program is missing.
 */
export function legacyObstacle(
  tables: string,
  rules: () => string | undefined,
): string | undefined {
  if (!/^filter$/m.test(tables)) return undefined;
  const text = rules();
  if (text === undefined)
    return 'the host has rules of iptables-legacy, and the program to read them is not installed';
  return /^-P FORWARD (?!ACCEPT)/m.test(text)
    ? 'the chain FORWARD of iptables-legacy drops forwarded packets'
    : undefined;
}

/**
 * Why forwarded packets would be dropped according to `nft list chains`, or undefined. Every chain
 * on its way must accept a packet, so Kiln's rules cannot override another chain whose policy is
 * drop (Docker's, ufw's).
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
