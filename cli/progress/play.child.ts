import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { stderr } from '../output.ts';
import { createTtyView } from './tty.ts';

// Shows progress events on the terminal that it runs in, for live.test.ts. It reads them as lines
// of JSON from the FIFO that is its argument, until a line with an outcome.
const view = createTtyView(stderr, { color: false, activity: 'Building', env: process.env });
const fifo = createReadStream(process.argv[2] ?? '', { flags: 'r+' });
createInterface({ input: fifo }).on('line', (line) => {
  const message = JSON.parse(line);
  if (message.outcome) {
    view.close(message.outcome);
    // A read of the FIFO is still waiting.
    process.exit(0);
  }
  view.event(message.kind === 'log' ? { ...message, data: Buffer.from(message.text) } : message);
});
