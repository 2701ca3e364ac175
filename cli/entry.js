// The first code that runs, written so that any Node since 14 can read it: an old one is refused with a sentence, not a stack trace.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `kiln: Node ${process.versions.node} is too old: Kiln needs 22.19 or later. ` +
      'Install Kiln with its optional dependencies, which bring Node 24, or set KILN_NODE to a newer node.\n',
  );
  process.exit(1);
}
const { default: nodeModule } = await import('node:module');
// Compiled code is kept next to the bundle; where that cannot be written Node goes on without.
nodeModule.enableCompileCache?.(new URL('./.compile-cache', import.meta.url).pathname);
const { main } = await import('./main.js');
await main(process.argv.slice(2));
