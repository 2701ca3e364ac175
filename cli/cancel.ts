import { CancelledError } from '../base/errors.ts';
import { endNow } from './outcome.ts';

/**
 * Turns Ctrl-C and SIGTERM into an aborted signal for as long as the scope lasts. A second signal
 * ends the process at once: the private mount namespace and the sandbox watchdog see to it that
 * nothing is left even then.
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
