/**
 * Loaded before a test file. `node:test` follows every promise and callback, only to tell which test an uncaught error belongs to,
 * which takes a quarter of the processor time of files that ask much of a database. Here such an error is printed, and fails
 * its file as a whole (see test-file.ts).
 */
import { createHook } from 'node:async_hooks';

interface Hook {
  enable(): this;
}

const hooks = Object.getPrototypeOf(createHook({})) as Hook;
hooks.enable = function enable(this: Hook): Hook {
  return this;
};

process.on('uncaughtExceptionMonitor', (error) => console.error('uncaught:', error));
process.on('unhandledRejection', (error) => console.error('rejected, and nobody asked:', error));
