/**
 * The three parts of undici that Kiln uses, each imported from its own file. Loading undici's index
 * takes three times as long (100 ms against 35 ms on a 2-core VM, 2026-11-21), because it also
 * loads fetch, WebSocket, mocks and caches.
 */
declare module 'undici/lib/dispatcher/pool.js' {
  const Pool: typeof import('undici').Pool;
  // biome-ignore lint/style/noDefaultExport: it is what the module has
  export default Pool;
}
declare module 'undici/lib/dispatcher/proxy-agent.js' {
  const ProxyAgent: typeof import('undici').ProxyAgent;
  // biome-ignore lint/style/noDefaultExport: it is what the module has
  export default ProxyAgent;
}
declare module 'undici/lib/api/api-request.js' {
  /** Called with a dispatcher as `this`. */
  const request: (
    this: import('undici').Dispatcher,
    options: import('undici').Dispatcher.RequestOptions,
  ) => Promise<import('undici').Dispatcher.ResponseData>;
  // biome-ignore lint/style/noDefaultExport: it is what the module has
  export default request;
}
