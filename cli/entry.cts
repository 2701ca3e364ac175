// The first code that runs, written so that any Node since 14 can read it: an old one is refused with a sentence, not a stack trace.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `kiln: Node ${process.versions.node} is too old: Kiln needs 22.19 or later. ` +
      'Install Kiln with its optional dependencies, which bring Node 24, or set KILN_NODE to a newer node.\n',
  );
  process.exit(1);
}
// Compiled code is kept beside the bundle; where that cannot be written Node goes on without.
require('node:module').enableCompileCache(`${__dirname}/.compile-cache`);
require('./main.cjs').main(process.argv.slice(2));
