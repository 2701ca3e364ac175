import { CancelledError } from '../base/errors.ts';
import { endNow } from './outcome.ts';

/**
 * Aborts the returned signal on SIGINT (Ctrl-C), SIGTERM or SIGHUP, until it is disposed. A second
 * of these signals ends the process at once. The private mount namespace and the watchdog of the
 * sandboxes clean up even then.
 */
export function cancelOnSignals(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const cancel = () => {
    if (controller.signal.aborted) endNow(130);
    controller.abort(new CancelledError());
  };
  process.on('SIGINT', cancel).on('SIGTERM', cancel).on('SIGHUP', cancel);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      process.off('SIGINT', cancel).off('SIGTERM', cancel).off('SIGHUP', cancel);
    },
  };
}
